"""Linear filters in float64 that the fusion metrics share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["central_gradient", "frequency_filter", "gaussian_taps", "separable_filter", "sobel"]


def gaussian_taps(size: int, sigma: float) -> list[float]:
    """Samples of a Gaussian at whole pixels around the centre, with sum 1."""
    distance = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    taps = torch.exp(-distance.square() / (2 * sigma**2))
    return [float(tap) for tap in taps / taps.sum()]


def separable_filter(image: Tensor, vertical: Sequence[float], horizontal: Sequence[float]) -> Tensor:
    """Correlate (..., H, W) with an outer product, where the kernel fits: (..., H - h + 1, W - w + 1).

    A sum of shifted images: on a CPU torch has no quick convolution in float64.
    """
    return _filter_axis(_filter_axis(image, vertical, -2), horizontal, -1)


def _filter_axis(image: Tensor, taps: Sequence[float], dim: int) -> Tensor:
    length = image.shape[dim] - len(taps) + 1
    result = image.narrow(dim, 0, length) * taps[0]
    for k, tap in enumerate(taps[1:], start=1):
        if tap:
            result.add_(image.narrow(dim, k, length), alpha=tap)
    return result


def sobel(image: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Derivatives ``(along the rows x, along the columns y)`` of (B, C, H, W), weights 1 2 1, border by ``mode``."""
    padded = pad(image, (1, 1, 1, 1), mode=mode)
    return separable_filter(padded, (1, 2, 1), (-1, 0, 1)), separable_filter(padded, (-1, 0, 1), (1, 2, 1))


def central_gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives ``(x, y)`` of (B, C, H, W): central differences, one-sided at the border (MATLAB's ``gradient``)."""
    y, x = torch.gradient(image, dim=(-2, -1))
    return x, y


def frequency_filter(image: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
    """Filter (..., H, W), taken as periodic, by a real response to the radius in cycles per image."""
    height, width = image.shape[-2:]
    rows = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64, device=image.device)
    columns = torch.fft.rfftfreq(width, 1 / width, dtype=torch.float64, device=image.device)
    radius = torch.hypot(rows[:, None], columns[None])  # (H, W // 2 + 1)
    return torch.fft.irfft2(torch.fft.rfft2(image) * response(radius), s=(height, width))
