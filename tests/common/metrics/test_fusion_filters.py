import numpy as np
import pytest
import torch
from scipy import signal

from common.metrics.fusion_filters import central_gradient, frequency_filter, gaussian_taps, separable_filter, sobel
from tests.common.metrics.fusion_images import textured


def test_separable_filter_equals_correlation_with_the_outer_product() -> None:
    image = textured(1, 1, 13, 17).double()
    down, across = [1.0, -2.0, 0.5], [0.25, 0.0, 0.5, 1.0]
    expected = signal.correlate2d(image[0, 0].numpy(), np.outer(down, across), mode="valid")
    np.testing.assert_allclose(separable_filter(image, down, across)[0, 0].numpy(), expected, atol=1e-10)


def test_gaussian_taps_by_hand() -> None:
    taps = np.exp([-2.0, -0.5, 0, -0.5, -2.0])
    np.testing.assert_allclose(gaussian_taps(5, 1.0), taps / taps.sum())


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_sobel_equals_correlation_on_a_padded_image(mode: str) -> None:
    image = textured(1, 1, 9, 8).double()
    padded = np.pad(image[0, 0].numpy(), 1, mode={"replicate": "edge"}.get(mode, mode))
    kernel = np.outer([1, 2, 1], [-1, 0, 1])
    x, y = sobel(image, mode)
    np.testing.assert_allclose(x[0, 0].numpy(), signal.correlate2d(padded, kernel, "valid"))
    np.testing.assert_allclose(y[0, 0].numpy(), signal.correlate2d(padded, kernel.T, "valid"))


def test_central_gradient_equals_numpy() -> None:
    image = textured(2, 1, 7, 9).double()
    y, x = np.gradient(image[1, 0].numpy())
    found = central_gradient(image)
    np.testing.assert_allclose(found[0][1, 0].numpy(), x)
    np.testing.assert_allclose(found[1][1, 0].numpy(), y)


@pytest.mark.parametrize("shape", [(8, 10), (7, 9), (8, 9), (9, 8)])
def test_frequency_filter_scales_a_wave_by_the_response_at_its_cycles(shape: tuple[int, int]) -> None:
    rows, columns = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    wave = torch.from_numpy(np.cos(2 * np.pi * (3 * columns - 2 * rows)))[None, None]
    found = frequency_filter(wave, lambda radius: radius**2)
    torch.testing.assert_close(found, 13 * wave)
