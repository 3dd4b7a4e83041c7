import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from common.metrics.fusion_vif import visual_information_fidelity
from tests.common.metrics.fusion_images import arrays, fusion, textured


def window(size: int) -> np.ndarray:
    distance = np.arange(size) - size // 2
    kernel = np.exp(-(distance[:, None] ** 2 + distance[None] ** 2) / (2 * (size / 5) ** 2))
    return kernel / kernel.sum()


def naive_vif(reference: np.ndarray, image: np.ndarray) -> float:
    """Twin with whole 2D windows and a decision per pixel."""
    kept = full = 0.0
    for scale in (1, 2, 3, 4):
        kernel = window(2 ** (5 - scale) + 1)
        if scale > 1:
            reference, image = (convolve2d(each, kernel, "valid")[::2, ::2] for each in (reference, image))
        pictures = (reference, image, reference**2, image**2, reference * image)
        maps = [convolve2d(each, kernel, "valid").ravel() for each in pictures]
        for mean_r, mean_i, square_r, square_i, product in zip(*maps, strict=True):
            variance_r, variance_i = max(square_r - mean_r**2, 0.0), max(square_i - mean_i**2, 0.0)
            covariance = product - mean_r * mean_i
            gain = covariance / (variance_r + 1e-10)
            rest = variance_i - gain * covariance
            if variance_r < 1e-10:
                gain, rest, variance_r = 0.0, variance_i, 0.0
            if variance_i < 1e-10:
                gain, rest = 0.0, 0.0
            if gain < 0:
                gain, rest = 0.0, variance_i
            kept += np.log10(1 + gain**2 * variance_r / (max(rest, 1e-10) + 2))
            full += np.log10(1 + variance_r / 2)
    return kept / full


def test_equals_naive_twin_summed_over_sources() -> None:
    fused, sources = fusion(2, 2, 52, 61)
    expected = [sum(naive_vif(source, f) for source in s) for f, s in (arrays(fused, sources, k) for k in range(2))]
    np.testing.assert_allclose(visual_information_fidelity(fused, sources), expected, rtol=1e-9)


@pytest.mark.parametrize("num_sources", [2, 3])
def test_equal_images_give_the_number_of_sources(num_sources: int) -> None:
    fused = textured(1, 1, 48, 48)
    found = visual_information_fidelity(fused, fused.expand(-1, num_sources, -1, -1))
    assert float(found) == pytest.approx(num_sources, abs=1e-8)


def test_more_contrast_exceeds_equality_and_blur_falls_short() -> None:
    source = (textured(1, 1, 64, 64) / 2).round()
    pair = source.expand(-1, 2, -1, -1)
    assert float(visual_information_fidelity(source * 2, pair)) > 2
    assert float(visual_information_fidelity(torch.nn.functional.avg_pool2d(source, 5, 1, 2), pair)) < 1


def test_constant_source_counts_as_one() -> None:
    fused = textured(1, 1, 48, 48)
    found = visual_information_fidelity(fused, torch.cat([fused, torch.full_like(fused, 30.0)], dim=1))
    assert float(found) == pytest.approx(2, abs=1e-8)
