"""Fusion metrics of pixelwise agreement: correlation, PSNR and RMSE."""

from typing import Literal

import torch
from torch import Tensor

from .fusion_checks import check_pair, is_vifb

__all__ = [
    "correlation_coefficient",
    "peak_signal_to_noise_ratio",
    "root_mean_square_error",
    "sum_of_correlations_of_differences",
]

Variant = Literal["mean", "vifb"]


def correlation_coefficient(fused: Tensor, sources: Tensor) -> Tensor:
    r"""CC, mean over sources of Pearson's :math:`r(S_k, F)`. Up.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,) in [-1, 1]; NaN where an image is constant.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Deshmukh and Bhosale, International Journal of Image Processing 4(5):484-508 (2010).
    """
    fused, sources = check_pair("correlation_coefficient", fused, sources)
    return _correlation(sources, fused).mean(1)


def sum_of_correlations_of_differences(fused: Tensor, sources: Tensor) -> Tensor:
    r"""SCD, :math:`r(F - B, A) + r(F - A, B)`. Up.

    N sources: :math:`\sum_k r(F - M_k, S_k)` with the mean :math:`M_k` of the other sources.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,) in [-N, N]; NaN where a source or a difference is constant.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Aslantas and Bendes, AEU International Journal of Electronics and Communications 69(12):1890-1896 (2015).
    """
    fused, sources = check_pair("sum_of_correlations_of_differences", fused, sources)
    others = (sources.sum(1, keepdim=True) - sources) / (sources.shape[1] - 1)
    return _correlation(fused - others, sources).sum(1)


def peak_signal_to_noise_ratio(fused: Tensor, sources: Tensor, variant: Variant = "mean") -> Tensor:
    r"""PSNR, :math:`10 \log_{10} (255^2 / E)`, in dB. Up.

    Variants: ``"mean"`` takes the mean squared error over all sources as E. ``"vifb"`` takes the mean over sources of
    :math:`\|S_k - F\|_2 / (H W)`, see :func:`root_mean_square_error`; it grows with the size of the image.
    CDDFuse's code takes the fused image's largest value for 255; Tang's adds 48.13 dB (peak 255 on images in [0, 1]).

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.
        variant: ``"mean"`` or ``"vifb"``.

    Returns:
        (B,); infinite where all images are equal.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown variant.

    Reference:
        Jagalingam and Hegde, Aquatic Procedia 4:133-142 (2015).
    """
    fused, sources = check_pair("peak_signal_to_noise_ratio", fused, sources)
    squares = (sources - fused).square()
    vifb = is_vifb("peak_signal_to_noise_ratio", variant)
    error = _norm_per_pixel(squares) if vifb else squares.flatten(1).mean(1)
    return 10 * torch.log10(255**2 / error)


def root_mean_square_error(fused: Tensor, sources: Tensor, variant: Variant = "mean") -> Tensor:
    r"""RMSE, mean over sources of :math:`\sqrt{\mathrm{mean} (S_k - F)^2}`. Down.

    Variants: ``"mean"`` as above. ``"vifb"`` divides the norm by the pixels instead of by their root,
    :math:`\|S_k - F\|_2 / (H W)`: an error of that benchmark's code, for its published figures only.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.
        variant: ``"mean"`` or ``"vifb"``.

    Returns:
        (B,), >= 0, in gray levels.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown variant.

    Reference:
        Jagalingam and Hegde, Aquatic Procedia 4:133-142 (2015).
    """
    fused, sources = check_pair("root_mean_square_error", fused, sources)
    squares = (sources - fused).square()
    if is_vifb("root_mean_square_error", variant):
        return _norm_per_pixel(squares)
    return squares.mean((2, 3)).sqrt().mean(1)


def _norm_per_pixel(squares: Tensor) -> Tensor:
    return (squares.sum((2, 3)).sqrt() / squares[0, 0].numel()).mean(1)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's r per channel (B, N); NaN where an image is constant, also where rounding hides that."""
    a, b = (image - image.mean((2, 3), keepdim=True) for image in (first, second))
    power = a.square().mean((2, 3)), b.square().mean((2, 3))
    defined = (power[0] > 1e-20) & (power[1] > 1e-20)
    return torch.where(defined, (a * b).mean((2, 3)) / (power[0] * power[1]).sqrt(), torch.nan)
