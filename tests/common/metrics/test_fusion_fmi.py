import numpy as np
import pytest

from common.metrics.fusion_fmi import feature_mutual_information
from tests.common.metrics.fusion_images import arrays, fusion, textured


def distribution(window: np.ndarray) -> np.ndarray:
    span = window.max() - window.min()
    flat = (window.T.ravel() - window.min()) if span else np.ones(9)
    return flat / flat.sum()


def information(a: np.ndarray, f: np.ndarray) -> float:
    """Twin with both of Frechet's bounds as 9 x 9 tables of the joint distribution function."""
    if np.array_equal(a, f):
        return 1.0
    p, q = distribution(a), distribution(f)
    below_p, below_q = np.concatenate([[0], p.cumsum()])[:, None], np.concatenate([[0], q.cumsum()])[None]
    constant = np.ptp(a) == 0 or np.ptp(f) == 0
    correlation = 0.0 if constant else np.corrcoef(p, q)[0, 1]
    upper, lower = np.minimum(below_p, below_q), np.maximum(below_p + below_q - 1, 0)
    bound = upper if correlation >= 0 else lower
    place = np.arange(1, 10)
    deviations = [np.sqrt(max((place**2 * each).sum() - (place * each).sum() ** 2, 0)) for each in (p, q)]
    phi = 0.0
    if correlation and min(deviations) > 1e-7:
        phi = correlation / ((bound - below_p * below_q).sum() / np.prod(deviations))
    joint = phi * np.diff(np.diff(bound, axis=0), axis=1) + (1 - phi) * np.outer(p, q)
    entropies = [-(each[each > 0] * np.log2(each[each > 0])).sum() for each in (p, q)]
    used = np.abs(joint) > 1e-15
    mutual = sum(entropies) + (joint[used] * np.log2(np.abs(joint[used]))).sum()
    return 2 * mutual / sum(entropies) if sum(entropies) > 1e-9 else 0.0


def naive_fmi(fused: np.ndarray, sources: list[np.ndarray], feature: str) -> float:
    if feature == "gradient":
        fused, sources = np.gradient(fused, axis=1), [np.gradient(source, axis=1) for source in sources]
    values = []
    for i in range(fused.shape[0] - 2):
        for j in range(fused.shape[1] - 2):
            cut = np.s_[i : i + 3, j : j + 3]
            values += [information(source[cut], fused[cut]) for source in sources]
    return float(np.mean(values))


@pytest.mark.parametrize("feature", ["pixel", "gradient"])
@pytest.mark.parametrize("num_sources", [2, 3])
def test_equals_naive_twin(feature: str, num_sources: int) -> None:
    fused, sources = fusion(2, num_sources, 24, 21)
    sources[:, 0, 10:20, 10:20] = 255 - fused[:, 0, 10:20, 10:20]  # r < 0
    sources[:, 1, :5, 8:16] = 60  # constant windows
    fused[:, 0, 20:, :6] = 0
    fused[:, 0, 22, 3] = 9  # one place holds all the mass
    expected = [naive_fmi(*arrays(fused, sources, k), feature) for k in range(2)]
    np.testing.assert_allclose(feature_mutual_information(fused, sources, feature=feature), expected, rtol=1e-7)


def test_equal_images_give_one_and_unrelated_ones_less() -> None:
    fused = textured(1, 1, 30, 30)
    assert float(feature_mutual_information(fused, fused.expand(-1, 2, -1, -1))) == 1
    other = textured(1, 2, 30, 30, seed=3)
    assert float(feature_mutual_information(fused, other)) < 0.7


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    fused, sources = fusion(2, 2, 20, 20)
    whole = feature_mutual_information(fused, sources)
    monkeypatch.setattr("common.metrics.fusion_fmi.CHUNK", 37)
    np.testing.assert_allclose(feature_mutual_information(fused, sources), whole, rtol=1e-12)


def test_unknown_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="feature is 'dct'"):
        feature_mutual_information(*fusion(1, 2, 8, 8), feature="dct")  # type: ignore[arg-type]
