"""Structural similarity of the fused image to all sources, at one scale and at five."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .fusion_checks import check_pair
from .fusion_filters import gaussian_taps, separable_filter

__all__ = ["multi_scale_ssim", "structural_similarity"]

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
Reduction = Literal["sum", "mean"]


def structural_similarity(
    fused: Tensor,
    sources: Tensor,
    window: Literal["gaussian", "uniform"] = "gaussian",
    reduction: Reduction = "sum",
    data_range: float = 255.0,
) -> Tensor:
    r"""SSIM, over sources the sum of the mean of :math:`l(S_k, F)\, cs(S_k, F)` where the window fits. Up.

    :math:`l = (2 \mu_S \mu_F + C_1) / (\mu_S^2 + \mu_F^2 + C_1)`,
    :math:`cs = (2 \sigma_{SF} + C_2) / (\sigma_S^2 + \sigma_F^2 + C_2)`, :math:`C = (0.01 L)^2, (0.03 L)^2`.

    Variants: window ``"gaussian"`` (11 x 11, sigma 1.5, population variance), sum and 255 is VIFB's Ssim; ``"uniform"``
    (7 x 7, sample variance), sum and 255 is what scikit-image computes by default. The tables of CDDFuse and its kin
    are ``"uniform"`` with ``data_range=2`` on gray levels in [0, 255], almost a test for an exactly black background.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], sides >= 11.
        sources: (B, N, H, W), N >= 2, likewise.
        window: ``"gaussian"`` or ``"uniform"``.
        reduction: over sources, ``"sum"`` (largest value N) or ``"mean"`` (largest value 1).
        data_range: L.

    Returns:
        (B,), <= N.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown option.

    Reference:
        Wang et al., IEEE Transactions on Image Processing 13(4):600-612 (2004), Eq. (13).
    """
    fused, sources = check_pair("structural_similarity", fused, sources, 11)
    if window not in ("gaussian", "uniform") or not data_range > 0:
        raise ValueError(
            f'structural_similarity: window is {window!r}, data_range {data_range}; expected "gaussian" or "uniform" and a'
            " range above 0."
        )
    luminance, contrast = _terms(fused, sources, window, data_range)
    return _reduce("structural_similarity", (luminance * contrast).mean((2, 3)), reduction)


def multi_scale_ssim(fused: Tensor, sources: Tensor, reduction: Reduction = "sum", data_range: float = 255.0) -> Tensor:
    r"""MS-SSIM, over sources the sum of :math:`\prod_{j=1}^{5} \bar{cs}_j^{w_j}` with :math:`\overline{l\,cs}` at scale 5. Up.

    Gaussian window 11 x 11, sigma 1.5, where it fits; 2 x 2 means between the scales; negative means count as 0.
    Libraries that fill the border give other figures for the same images.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], sides >= 176, so that the window fits at the last scale.
        sources: (B, N, H, W), N >= 2, likewise.
        reduction: over sources, ``"sum"`` (largest value N) or ``"mean"`` (largest value 1).
        data_range: L.

    Returns:
        (B,) in [0, N].

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown reduction.

    Reference:
        Wang, Simoncelli and Bovik, Asilomar Conference on Signals, Systems and Computers 2003, Eq. (7).
    """
    fused, sources = check_pair("multi_scale_ssim", fused, sources, 176)
    product = torch.ones(sources.shape[:2], dtype=torch.float64, device=fused.device)
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        luminance, contrast = _terms(fused, sources, "gaussian", data_range)
        last = scale == len(SCALE_WEIGHTS)
        mean = (luminance * contrast if last else contrast).mean((2, 3))
        product = product * mean.clamp(min=0) ** weight  # Eq. (7)
        if not last:
            fused, sources = avg_pool2d(fused, 2), avg_pool2d(sources, 2)
    return _reduce("multi_scale_ssim", product, reduction)


def _terms(fused: Tensor, sources: Tensor, window: str, data_range: float) -> tuple[Tensor, Tensor]:
    """Maps l and cs (B, N, H', W')."""
    taps = gaussian_taps(11, 1.5) if window == "gaussian" else [1 / 7] * 7
    unbiased = 1.0 if window == "gaussian" else 49 / 48  # sample variance of 7 x 7 pixels
    mean_f, mean_s, square_f, square_s, product = (
        separable_filter(image, taps, taps) for image in (fused, sources, fused**2, sources**2, fused * sources)
    )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    means, mean_squares = mean_f * mean_s, mean_f.square() + mean_s.square()
    luminance = (2 * means + c1) / (mean_squares + c1)
    contrast = (2 * unbiased * (product - means) + c2) / (unbiased * (square_f + square_s - mean_squares) + c2)
    return luminance, contrast


def _reduce(name: str, values: Tensor, reduction: str) -> Tensor:
    if reduction not in ("sum", "mean"):
        raise ValueError(f'{name}: reduction is {reduction!r}, expected "sum" or "mean" over the sources.')
    return values.sum(1) if reduction == "sum" else values.mean(1)
