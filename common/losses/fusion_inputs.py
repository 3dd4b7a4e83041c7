"""Shapes and precision of what the fusion losses get."""

import torch
from torch import Tensor

__all__ = ["fusion_inputs", "source_weights_or_mean"]


def fusion_inputs(name: str, fused: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Check the shapes of a fused image and its sources and widen half precision to float32.

    Args:
        name: of the loss, for the message.
        fused: (B, 1, H, W).
        sources: (B, N, H, W), N >= 2.

    Returns:
        Both tensors, float32 or float64.

    Raises:
        ValueError: for other shapes.
    """
    fits = fused.ndim == sources.ndim == 4 and sources.shape[1] >= 2
    if not fits or fused.shape != (sources.shape[0], 1, *sources.shape[2:]):
        raise ValueError(
            f"{name}: fused has shape {tuple(fused.shape)} and sources {tuple(sources.shape)}; expected (B, 1, H, W) and"
            " (B, N, H, W) with N >= 2."
        )
    dtype = torch.promote_types(torch.promote_types(fused.dtype, sources.dtype), torch.float32)
    return fused.to(dtype), sources.to(dtype)


def source_weights_or_mean(name: str, weights: Tensor | None, sources: Tensor) -> Tensor:
    """Weights (B, N) of the sources, each 1 / N when ``weights`` is None.

    Args:
        name: of the loss, for the message.
        weights: (B, N) or None.
        sources: (B, N, H, W).

    Raises:
        ValueError: when the weights have another shape.
    """
    if weights is None:
        return sources.new_full(sources.shape[:2], 1 / sources.shape[1])
    if weights.shape != sources.shape[:2]:
        raise ValueError(
            f"{name}: weights have shape {tuple(weights.shape)}, expected (B, N) = {tuple(sources.shape[:2])}; give one"
            " weight per image and source."
        )
    return weights.to(sources)
