"""Fusion metrics with a contrast sensitivity of the eye: Qcb (Chen-Blum) and Qcv (Chen-Varshney)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from .fusion_checks import check_pair
from .fusion_filters import frequency_filter, separable_filter, sobel

__all__ = ["chen_blum", "chen_varshney"]


def chen_blum(fused: Tensor, sources: Tensor) -> Tensor:
    r"""Qcb, mean of :math:`\sum_k \lambda_k \min(C'_k, C'_F) / \max(C'_k, C'_F)`. Up.

    Each image is stretched to whole gray levels in [0, 255] and filtered by the contrast sensitivity
    :math:`\exp(-(r / 15.387)^2) - 0.7622 \exp(-(r / 1.3456)^2)`, r in cycles per 15 images. Then the local contrast is
    :math:`C = |G_2 * I / G_4 * I - 1|` (Gaussians of sigma 2 and 4, 31 x 31, zeros outside), masked
    :math:`C' = C^3 / (C^2 + 10^{-4})`, and the saliency :math:`\lambda_k = C_k'^2 / \sum_j C_j'^2`.
    N sources: the sum over all. A ratio 0 / 0 counts as 1, equal contrast; without contrast all sources weigh the same.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,) in [0, 1].

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Chen and Blum, Image and Vision Computing 27(10):1421-1432 (2009), with the constants of Liu's toolbox (2012).
    """
    fused, sources = check_pair("chen_blum", fused, sources)
    contrast_f, contrast_s = _masked_contrast(fused), _masked_contrast(sources)
    larger = torch.maximum(contrast_s, contrast_f)
    preserved = torch.where(larger > 0, torch.minimum(contrast_s, contrast_f) / larger, 1)
    power = contrast_s.square()
    total = power.sum(1, keepdim=True)
    saliency = torch.where(total > 0, power / total, 1 / sources.shape[1])
    return (saliency * preserved).sum(1).mean((1, 2))


def _masked_contrast(image: Tensor) -> Tensor:
    def sensitivity(radius: Tensor) -> Tensor:
        return torch.exp(-((radius / 15 / 15.3870) ** 2)) - 0.7622 * torch.exp(-((radius / 15 / 1.3456) ** 2))

    seen = pad(frequency_filter(_stretch(image), sensitivity), (15, 15, 15, 15))
    narrow, wide = (separable_filter(seen, taps, taps) for taps in (_gaussian(2.0), _gaussian(4.0)))
    contrast = torch.where(wide != 0, narrow / wide - 1, 0).abs()
    return contrast**3 / (contrast**2 + 1e-4)


def _gaussian(sigma: float) -> list[float]:
    """31 samples of the normal density, whose sum falls short of 1 by the cut tails, as published figures have it."""
    distance = torch.arange(-15, 16, dtype=torch.float64)
    density = torch.exp(-distance.square() / (2 * sigma**2)) / (2 * torch.pi * sigma**2) ** 0.5
    return [float(tap) for tap in density]


def chen_varshney(fused: Tensor, sources: Tensor) -> Tensor:
    r"""Qcv, :math:`\sum_k \sum_w \lambda_{kw} D_{kw} / \sum_k \sum_w \lambda_{kw}` over windows w of 16 x 16. Down.

    Each image is stretched to whole gray levels in [0, 255]. :math:`\lambda = \sum g^5` with the Sobel strength g (zeros
    outside) and D the mean square of :math:`S_k - F` after the Mannos-Sakrison sensitivity
    :math:`2.6 (0.0192 + 0.144 r) \exp(-(0.144 r)^{1.1})`, r in cycles per 4 images. Windows at the right and lower end
    are filled up with zeros. N sources: sums over all.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,), >= 0, in squared gray levels; NaN where no source has an edge (all of them 0).

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Chen and Varshney, Information Fusion 8(2):193-207 (2007), with the constants of Liu's toolbox (2012).
    """
    fused, sources = check_pair("chen_varshney", fused, sources)

    def sensitivity(radius: Tensor) -> Tensor:
        scaled = 0.144 * radius / 4
        return 2.6 * (0.0192 + scaled) * torch.exp(-(scaled**1.1))

    fused, sources = _stretch(fused), _stretch(sources)
    saliency = _window_sums(torch.hypot(*sobel(sources, "constant")) ** 5)
    distance = _window_sums(frequency_filter(sources - fused, sensitivity).square()) / 256
    return (saliency * distance).sum((1, 2, 3)) / saliency.sum((1, 2, 3))


def _window_sums(image: Tensor) -> Tensor:
    """Sums (B, N, H', W') over windows of 16 x 16 side by side, zeros outside."""
    height, width = image.shape[-2:]
    padded = pad(image, (0, -width % 16, 0, -height % 16))
    return padded.unflatten(-1, (-1, 16)).unflatten(-3, (-1, 16)).sum((-3, -1))


def _stretch(image: Tensor) -> Tensor:
    """Whole gray levels from 0 to 255 in each channel; a constant channel stays as it is."""
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, torch.floor((image - low) / torch.where(span > 0, span, 1) * 255 + 0.5), image)
