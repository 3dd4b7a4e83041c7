"""Fusion without learning, to stand beside every model in a table."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from .fusion_filters import separable_filter

__all__ = ["FUSION_BASELINES", "average", "laplacian_pyramid", "maximum"]

TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def average(sources: Tensor) -> Tensor:
    """Mean of the sources (B, N, H, W) in each pixel: (B, 1, H, W)."""
    return sources.mean(1, keepdim=True)


def maximum(sources: Tensor) -> Tensor:
    """Largest value of the sources (B, N, H, W) in each pixel: (B, 1, H, W)."""
    return sources.amax(1, keepdim=True)


def laplacian_pyramid(sources: Tensor, num_levels: int = 4) -> Tensor:
    """Fuse Laplacian pyramids: at each place the detail of largest size, and the mean of the bases.

    Args:
        sources: (B, N, H, W), values in [0, 1].
        num_levels: levels of detail; fewer where a side would fall below 2.

    Returns:
        (B, 1, H, W), clamped to [0, 1]. Where all sources are 0 it may be above 0: the background rule is the caller's.

    Raises:
        ValueError: when ``num_levels`` is below 1.

    Reference:
        Burt and Adelson, IEEE Transactions on Communications 31(4):532-540 (1983), a = 0.375; the rule of choice is
        that of Burt and Kolczynski, ICCV 1993, without their match measure.
    """
    if num_levels < 1:
        raise ValueError(f"laplacian_pyramid: num_levels is {num_levels}, expected 1 or more.")
    details: list[Tensor] = []
    base = sources
    while len(details) < num_levels and min(base.shape[2:]) > 2:
        coarse = _reduce(base)
        detail = base - _expand(coarse, base.shape)
        strongest = detail.abs().argmax(1, keepdim=True)
        details.append(detail.gather(1, strongest))  # (B, 1, h, w)
        base = coarse
    fused = base.mean(1, keepdim=True)
    for detail in reversed(details):
        fused = detail + _expand(fused, detail.shape)
    return fused.clamp(0, 1)


def _reduce(image: Tensor) -> Tensor:
    return separable_filter(pad(image, (2, 2, 2, 2), mode="replicate"), TAPS, TAPS)[..., ::2, ::2]


def _expand(image: Tensor, shape: torch.Size) -> Tensor:
    """Double the size to that of ``shape``; the border repeats the last coarse pixel."""
    height, width = shape[2:]
    coarse = pad(image, (1, 1, 1, 1), mode="replicate")
    spread = torch.zeros(*image.shape[:2], height + 4, width + 4, dtype=image.dtype, device=image.device)
    spread[..., ::2, ::2] = coarse[..., : (height + 5) // 2, : (width + 5) // 2]
    taps = [2 * tap for tap in TAPS]  # every second pixel is empty
    return separable_filter(spread, taps, taps)


FUSION_BASELINES: dict[str, Callable[[Tensor], Tensor]] = {
    "average": average,
    "maximum": maximum,
    "laplacian_pyramid": laplacian_pyramid,
}
