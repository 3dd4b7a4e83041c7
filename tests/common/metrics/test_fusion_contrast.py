import numpy as np
import pytest
import torch
from scipy import ndimage

from common.metrics.fusion_contrast import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from tests.common.metrics.fusion_images import arrays, fusion

FUSED, SOURCES = fusion(2, 2, 20, 31)
IMAGES = [arrays(FUSED, SOURCES, k)[0] for k in range(2)]
RAMP = torch.arange(5.0).mul(10).expand(1, 1, 4, 5)  # 10 more per column
PAIR = RAMP.expand(-1, 2, -1, -1)


def test_standard_deviation_is_that_of_the_population() -> None:
    np.testing.assert_allclose(standard_deviation(FUSED, SOURCES), [image.std() for image in IMAGES])


def test_spatial_frequency_equals_root_of_mean_squared_differences() -> None:
    expected = [np.sqrt(sum(np.mean(np.diff(image, axis=k) ** 2) for k in (0, 1))) for image in IMAGES]
    np.testing.assert_allclose(spatial_frequency(FUSED, SOURCES), expected)


@pytest.mark.parametrize(
    ("metric", "variant", "expected"),
    [
        pytest.param(spatial_frequency, "mean", 10, id="sf-mean"),
        pytest.param(spatial_frequency, "vifb", (1600 / 20) ** 0.5, id="sf-vifb: 16 differences over 20 pixels"),
        pytest.param(average_gradient, "mean", 50**0.5, id="ag-mean"),
        pytest.param(average_gradient, "vifb", 50**0.5 * 20 / 12, id="ag-vifb: 20 pixels over 3 x 4"),
    ],
)
def test_ramp_by_hand(metric, variant: str, expected: float) -> None:
    assert float(metric(RAMP, PAIR, variant=variant)) == pytest.approx(expected)


def test_average_gradient_equals_numpy_gradient() -> None:
    expected = [np.sqrt((np.square(np.gradient(image)).sum(0)) / 2).mean() for image in IMAGES]
    np.testing.assert_allclose(average_gradient(FUSED, SOURCES), expected)


def test_edge_intensity_equals_scipy_sobel_with_repeated_border() -> None:
    expected = [np.hypot(*(ndimage.sobel(image, k, mode="nearest") for k in (0, 1))).mean() for image in IMAGES]
    np.testing.assert_allclose(edge_intensity(FUSED, SOURCES), expected)


@pytest.mark.parametrize("metric", [spatial_frequency, average_gradient])
def test_unknown_variant_is_refused(metric) -> None:
    with pytest.raises(ValueError, match="variant is 'tang'"):
        metric(FUSED, SOURCES, variant="tang")
