import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from common.metrics.fusion_perception import chen_blum, chen_varshney
from tests.common.metrics.fusion_images import arrays, fusion, textured


def stretched(image: np.ndarray) -> np.ndarray:
    return np.floor((image - image.min()) / (image.max() - image.min()) * 255 + 0.5)


def filtered(image: np.ndarray, cycles_unit: float, response) -> np.ndarray:
    """Centred spectrum times the response on MATLAB's ``freqspace`` grid, scaled to a part of the image's cycles."""
    axes = []
    for n in image.shape:
        axes.append((np.arange(-n, n - 1, 2) if n % 2 == 0 else np.arange(-n + 1, n, 2)) / n * n / 2 / cycles_unit)
    radius = np.hypot(axes[0][:, None], axes[1][None])
    spectrum = np.fft.fftshift(np.fft.fft2(image)) * response(radius)
    return np.fft.ifft2(np.fft.ifftshift(spectrum)).real


def naive_chen_blum(fused: np.ndarray, sources: list[np.ndarray]) -> float:
    def masked_contrast(image: np.ndarray) -> np.ndarray:
        seen = filtered(
            stretched(image), 15, lambda r: np.exp(-((r / 15.387) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2))
        )
        x, y = np.meshgrid(np.arange(-15, 16), np.arange(-15, 16))
        blurred = []
        for sigma in (2, 4):
            kernel = np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
            blurred.append(correlate2d(seen, kernel, "same"))
        contrast = np.abs(blurred[0] / blurred[1] - 1)
        return contrast**3 / (contrast**2 + 0.0001)

    of_fused, of_sources = masked_contrast(fused), [masked_contrast(source) for source in sources]
    total = sum(each**2 for each in of_sources)
    kept = [np.where(each < of_fused, each / of_fused, of_fused / each) for each in of_sources]
    return float(sum(each**2 / total * k for each, k in zip(of_sources, kept, strict=True)).mean())


def naive_chen_varshney(fused: np.ndarray, sources: list[np.ndarray]) -> float:
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    total = weights = 0.0
    for source in sources:
        s = stretched(source)
        edge = np.hypot(correlate2d(s, kernel, "same"), correlate2d(s, kernel.T, "same")) ** 5
        seen = filtered(s - stretched(fused), 4, lambda r: 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1)))
        for i in range(0, s.shape[0], 16):
            for j in range(0, s.shape[1], 16):
                saliency = edge[i : i + 16, j : j + 16].sum()
                total += saliency * (seen[i : i + 16, j : j + 16] ** 2).sum() / 256
                weights += saliency
    return total / weights


@pytest.mark.parametrize(
    ("num_sources", "height", "width"),
    [
        pytest.param(2, 48, 64, id="whole-windows"),
        pytest.param(2, 45, 50, id="odd-height"),
        pytest.param(3, 50, 37, id="odd-width-three-sources"),
    ],
)
@pytest.mark.parametrize(("metric", "twin"), [(chen_blum, naive_chen_blum), (chen_varshney, naive_chen_varshney)])
def test_equals_naive_twin(metric, twin, num_sources: int, height: int, width: int) -> None:
    fused, sources = fusion(2, num_sources, height, width)
    expected = [twin(*arrays(fused, sources, k)) for k in range(2)]
    np.testing.assert_allclose(metric(fused, sources), expected, rtol=1e-8)


@pytest.mark.parametrize("metric", [chen_blum, chen_varshney])
def test_stretch_of_an_image_does_not_matter(metric) -> None:
    fused, sources = fusion(1, 2, 40, 40)
    fused[..., 0, 0], fused[..., 0, 1] = 0, 255
    half = fused - fused % 5
    torch.testing.assert_close(metric(half / 5 + 90, sources), metric(half, sources))


def test_constant_image_has_no_contrast_to_lose() -> None:
    sources = torch.zeros(1, 2, 40, 40)
    assert float(chen_blum(torch.zeros(1, 1, 40, 40), sources)) == 1
    assert float(chen_blum(textured(1, 1, 40, 40), sources)) < 1
    assert chen_varshney(textured(1, 1, 40, 40), sources).isnan().all()
