"""Input checks of the fusion metrics."""

import torch
from torch import Tensor

__all__ = ["check_pair", "is_vifb"]


def check_pair(name: str, fused: Tensor, sources: Tensor, min_side: int = 2) -> tuple[Tensor, Tensor]:
    """Plain float64 images of one fusion, after a check of shape and range.

    Args:
        name: metric, for the message.
        fused: fused images (B, 1, H, W), gray levels in [0, 255].
        sources: source images (B, N, H, W), N >= 2, gray levels in [0, 255].
        min_side: least height and width that the metric needs.

    Returns:
        ``fused`` and ``sources`` as detached float64 tensors of the same shapes.

    Raises:
        ValueError: shapes do not fit, an image is too small, or values are no gray levels (NaN, outside [0, 255], or
            fractions that all lie in [0, 1]).
    """
    if fused.ndim != 4 or fused.shape[1] != 1:
        raise ValueError(f"{name}: fused has shape {tuple(fused.shape)}, expected (B, 1, H, W); add the missing axes.")
    expected = (fused.shape[0], *fused.shape[2:])
    if sources.ndim != 4 or sources.shape[1] < 2 or (sources.shape[0], *sources.shape[2:]) != expected:
        raise ValueError(
            f"{name}: sources have shape {tuple(sources.shape)} beside fused {tuple(fused.shape)}, expected (B, N, H, W)"
            " with N >= 2 and the same B, H, W; stack the sources on axis 1."
        )
    if not len(fused) or min(fused.shape[2:]) < min_side:
        raise ValueError(
            f"{name}: fused has shape {tuple(fused.shape)}, the metric needs B >= 1 and sides of {min_side} or more; leave"
            " it out for such images."
        )
    _check_gray_levels(name, "fused", fused)
    _check_gray_levels(name, "sources", sources)
    return fused.detach().as_subclass(Tensor).double(), sources.detach().as_subclass(Tensor).double()


def _check_gray_levels(name: str, argument: str, image: Tensor) -> None:
    low, high = (float(bound) for bound in torch.aminmax(image.detach()))
    if not (low >= 0 and high <= 255):  # NaN fails too
        raise ValueError(
            f"{name}: {argument} has values in [{low:g}, {high:g}], expected gray levels in [0, 255]; scale and clamp first."
        )
    if 0 < high <= 1 and bool((image != image.round()).any()):
        raise ValueError(
            f"{name}: {argument} has fractions in [{low:g}, {high:g}], expected gray levels in [0, 255]; multiply by 255 and"
            " round."
        )


def is_vifb(name: str, variant: str) -> bool:
    """True for the variant ``"vifb"``, False for ``"mean"``.

    Raises:
        ValueError: another variant.
    """
    if variant not in ("mean", "vifb"):
        raise ValueError(f'{name}: variant is {variant!r}, expected "mean" or "vifb".')
    return variant == "vifb"
