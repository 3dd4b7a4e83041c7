import numpy as np
import pytest
import torch
from skimage.measure import shannon_entropy
from sklearn.metrics import mutual_info_score

from common.metrics.fusion_information import (
    entropy,
    histogram_cross_entropy,
    mutual_information,
    normalized_mutual_information,
)
from tests.common.metrics.fusion_images import arrays, fusion

FUSED, SOURCES = fusion(2, 3, 30, 40)
CASES = [arrays(FUSED, SOURCES, k) for k in range(2)]


def probabilities(image: np.ndarray) -> np.ndarray:
    return np.bincount(image.astype(int).ravel(), minlength=256) / image.size


def test_entropy_equals_scikit_image() -> None:
    expected = [shannon_entropy(fused.astype(np.uint8), base=2) for fused, _ in CASES]
    np.testing.assert_allclose(entropy(FUSED, SOURCES), expected)


def test_entropy_rounds_to_gray_levels() -> None:
    assert torch.equal(entropy((FUSED + 0.4).clamp(max=255), SOURCES), entropy(FUSED, SOURCES))


def test_mutual_information_equals_scikit_learn_in_nats() -> None:
    expected = [sum(mutual_info_score(s.ravel(), fused.ravel()) for s in sources) for fused, sources in CASES]
    np.testing.assert_allclose(mutual_information(FUSED, SOURCES), expected)
    np.testing.assert_allclose(mutual_information(FUSED, SOURCES, unit="bits"), np.array(expected) / np.log(2))


def test_normalized_mutual_information_divides_by_the_marginal_entropies() -> None:
    expected = []
    for fused, sources in CASES:
        terms = []
        for source in sources:
            both = shannon_entropy(source, base=np.e) + shannon_entropy(fused, base=np.e)
            terms.append(2 * mutual_info_score(source.ravel(), fused.ravel()) / both)
        expected.append(sum(terms))
    np.testing.assert_allclose(normalized_mutual_information(FUSED, SOURCES), expected)


def test_cross_entropy_equals_a_loop_over_levels() -> None:
    expected = []
    for fused, sources in CASES:
        q = probabilities(fused)
        terms = [p[k] * np.log2(p[k] / q[k]) for p in map(probabilities, sources) for k in range(256) if p[k] * q[k]]
        expected.append(sum(terms) / len(sources))
    np.testing.assert_allclose(histogram_cross_entropy(FUSED, SOURCES), expected)


def test_cross_entropy_of_equal_histograms_is_zero() -> None:
    assert histogram_cross_entropy(FUSED, FUSED.flip(2).expand(-1, 2, -1, -1)).tolist() == [0, 0]


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unit is 'bit'"):
        mutual_information(FUSED, SOURCES, unit="bit")  # type: ignore[arg-type]
