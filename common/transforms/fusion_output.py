"""Range and background of a fused image."""

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["FusedOutputd", "fused_output"]


def fused_output(
    fused: torch.Tensor, sources: torch.Tensor, output_range: Literal["clip", "minmax"] | str = "clip"
) -> torch.Tensor:
    """Set the background to 0 and the range to [0, 1].

    Where all sources are 0 the fused image is exactly 0. ``clip`` then cuts to [0, 1]; ``minmax`` also stretches each
    image (a volume as a whole) from 0 to 1, as the field's published tables do without saying so.

    Args:
        fused: (1, H, W[, D]), or with a batch axis (B, 1, H, W[, D]).
        sources: (N, H, W[, D]) or (B, N, H, W[, D]) with N >= 2, in [0, 1].
        output_range: ``clip`` or ``minmax``.

    Returns:
        Tensor of the shape of ``fused``, at least float32.

    Raises:
        ValueError: shapes do not match, or `output_range` is unknown.
    """
    if output_range not in ("clip", "minmax"):
        raise ValueError(f"fused_output: output_range is {output_range!r}; it must be clip or minmax.")
    axis = _channel_axis(fused, sources)
    values = fused.float() if fused.dtype in (torch.float16, torch.bfloat16) else fused
    values = values.masked_fill((sources == 0).all(dim=axis, keepdim=True), 0)
    if output_range == "clip":
        return values.clamp(0, 1)
    values = values.clamp(min=0)  # a negative minimum would lift the background
    axes = tuple(range(axis, values.ndim))
    lowest, highest = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
    flat = highest == lowest
    return torch.where(flat, values.clamp(max=1), (values - lowest) / torch.where(flat, 1, highest - lowest))


class FusedOutputd(MapTransform):
    """Apply :func:`fused_output` to entries of an item.

    Args:
        keys: entries of fused images.
        sources_key: entry of the sources that were fused.
        output_range: ``clip`` or ``minmax``.
    """

    def __init__(
        self,
        keys: KeysCollection = "pred",
        sources_key: str = "image",
        output_range: Literal["clip", "minmax"] = "clip",
    ) -> None:
        super().__init__(keys)
        self.sources_key = sources_key
        self.output_range = output_range

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = fused_output(item[key], item[self.sources_key], self.output_range)
        return item


def _channel_axis(fused: torch.Tensor, sources: torch.Tensor) -> int:
    """0 for one image, 1 for a batch: sources have several channels, so only one of the two fits."""
    for axis in (0, 1):
        shape, wanted = list(fused.shape), list(sources.shape)
        if len(shape) == len(wanted) >= 3 + axis and shape[axis] == 1 and wanted[axis] >= 2:
            wanted[axis] = 1
            if shape == wanted:
                return axis
    raise ValueError(
        f"fused_output: fused has shape {tuple(fused.shape)} and sources {tuple(sources.shape)}; they must be (1, ...) "
        "and (N, ...) or (B, 1, ...) and (B, N, ...) with N >= 2 and equal sizes."
    )
