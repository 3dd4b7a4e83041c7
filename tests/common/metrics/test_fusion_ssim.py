import numpy as np
import pytest
from monai.metrics import MultiScaleSSIMMetric
from skimage.metrics import structural_similarity as skimage_ssim

from common.metrics.fusion_ssim import multi_scale_ssim, structural_similarity
from tests.common.metrics.fusion_images import arrays, fusion

FUSED, SOURCES = fusion(2, 2, 40, 51)
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.mark.parametrize(
    ("options", "library"),
    [
        pytest.param({}, GAUSSIAN | {"data_range": 255}, id="gaussian"),
        pytest.param({"window": "uniform"}, {"data_range": 255}, id="uniform"),
        pytest.param({"window": "uniform", "data_range": 2}, {"data_range": 2}, id="cddfuse"),
        pytest.param({"data_range": 1}, GAUSSIAN | {"data_range": 1}, id="gaussian-other-range"),
    ],
)
def test_sum_and_mean_over_sources_equal_scikit_image(options: dict, library: dict) -> None:
    cases = [arrays(FUSED, SOURCES, k) for k in range(2)]
    expected = np.array([[skimage_ssim(source, fused, **library) for source in s] for fused, s in cases])
    np.testing.assert_allclose(structural_similarity(FUSED, SOURCES, **options), expected.sum(1), rtol=1e-9)
    found = structural_similarity(FUSED, SOURCES, reduction="mean", **options)
    np.testing.assert_allclose(found, expected.mean(1), rtol=1e-9)


def test_five_scales_equal_monai() -> None:
    fused, sources = fusion(2, 2, 200, 178)
    library = MultiScaleSSIMMetric(spatial_dims=2, data_range=255.0)
    expected = sum(library(fused.double(), sources[:, k : k + 1].double()) for k in range(2))[:, 0]
    np.testing.assert_allclose(multi_scale_ssim(fused, sources), expected, rtol=1e-5)
    np.testing.assert_allclose(multi_scale_ssim(fused, sources, reduction="mean"), expected / 2, rtol=1e-5)


def test_inverted_image_has_no_similarity_below_zero_at_five_scales() -> None:
    fused, sources = fusion(1, 2, 176, 176)
    assert float(multi_scale_ssim(255 - fused, sources)) >= 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"window": "box"}, "window is 'box'", id="window"),
        pytest.param({"data_range": 0}, "data_range 0", id="range"),
        pytest.param({"reduction": "max"}, "reduction is 'max'", id="reduction"),
    ],
)
def test_unknown_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structural_similarity(FUSED, SOURCES, **options)
