"""Fusion metrics of the fused image alone: spread, frequency and edges."""

from typing import Literal

import torch
from torch import Tensor

from .fusion_checks import check_pair, is_vifb
from .fusion_filters import central_gradient, sobel

__all__ = ["average_gradient", "edge_intensity", "spatial_frequency", "standard_deviation"]

Variant = Literal["mean", "vifb"]


def standard_deviation(fused: Tensor, sources: Tensor) -> Tensor:
    r"""SD, :math:`\sqrt{\mathrm{mean} (F - \bar F)^2}`, of the population, in gray levels. Up.

    Noise raises it: never the only evidence. VIFB's Variance is the same.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2; not used.

    Returns:
        (B,), >= 0.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Rao, Measurement Science and Technology 8(4):355 (1997).
    """
    fused, _ = check_pair("standard_deviation", fused, sources)
    return fused.flatten(1).std(1, correction=0)


def spatial_frequency(fused: Tensor, sources: Tensor, variant: Variant = "mean") -> Tensor:
    r"""SF, :math:`\sqrt{\mathrm{mean} (\partial_x F)^2 + \mathrm{mean} (\partial_y F)^2}`, differences of neighbours. Up.

    Noise raises it: never the only evidence. Variants: ``"mean"`` divides by the number of differences; ``"vifb"`` by
    the number of pixels. VIFB's figure of a colour image is that of its channels side by side, (1, 1, H, 3 W).

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2; not used.
        variant: ``"mean"`` or ``"vifb"``.

    Returns:
        (B,), >= 0, in gray levels.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown variant.

    Reference:
        Eskicioglu and Fisher, IEEE Transactions on Communications 43(12):2959-2965 (1995), divides by the pixels.
    """
    fused, _ = check_pair("spatial_frequency", fused, sources)
    squares = [torch.diff(fused, dim=dim).square().flatten(1) for dim in (-1, -2)]
    if is_vifb("spatial_frequency", variant):
        return ((squares[0].sum(1) + squares[1].sum(1)) / fused[0].numel()).sqrt()
    return (squares[0].mean(1) + squares[1].mean(1)).sqrt()


def average_gradient(fused: Tensor, sources: Tensor, variant: Variant = "mean") -> Tensor:
    r"""AG, mean of :math:`\sqrt{(g_x^2 + g_y^2) / 2}` with central differences, one-sided at the border. Up.

    Noise raises it: never the only evidence. Variants: ``"mean"`` divides by H W, ``"vifb"`` by (H - 1) (W - 1).

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2; not used.
        variant: ``"mean"`` or ``"vifb"``.

    Returns:
        (B,), >= 0, in gray levels per pixel.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown variant.

    Reference:
        Cui et al., Optics Communications 341:199-209 (2015).
    """
    fused, _ = check_pair("average_gradient", fused, sources)
    x, y = central_gradient(fused)
    size = ((x.square() + y.square()) / 2).sqrt().flatten(1)
    if is_vifb("average_gradient", variant):
        return size.sum(1) / ((fused.shape[2] - 1) * (fused.shape[3] - 1))
    return size.mean(1)


def edge_intensity(fused: Tensor, sources: Tensor) -> Tensor:
    r"""EI, mean of the Sobel magnitude :math:`\sqrt{s_x^2 + s_y^2}`, weights 1 2 1, border repeated. Up.

    Noise raises it: never the only evidence. VIFB's Edge_intensity is the same.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2; not used.

    Returns:
        (B,), >= 0.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Rajalingam and Priya, International Journal of Engineering Science Invention (2018).
    """
    fused, _ = check_pair("edge_intensity", fused, sources)
    return torch.hypot(*sobel(fused, "replicate")).flatten(1).mean(1)
