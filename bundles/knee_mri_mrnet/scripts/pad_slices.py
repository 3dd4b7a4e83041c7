"""Batches of exams with unlike numbers of slices."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import list_data_collate
from torch.nn.functional import pad

__all__ = ["pad_slices"]


def pad_slices(batch: Sequence[Mapping[str, Any]], key: str = "image") -> Any:
    """Collate items; tensors of ``key`` are filled up with zeros, empty slices, at their ends to the largest of them.

    MONAI's ``PadListDataCollate`` does not pad the first axis, which is that of the slices here.

    Args:
        batch: items with ``key`` (S, H, W), its features (S, F), or either with an axis of planes in front.
        key: entry to pad.

    Returns:
        The batch of ``list_data_collate``.
    """
    largest = [max(sizes) for sizes in zip(*(item[key].shape for item in batch), strict=True)]

    def filled(image: torch.Tensor) -> torch.Tensor:
        missing = [new - old for new, old in zip(largest, image.shape, strict=True)]
        return pad(image, [amount for gap in reversed(missing) for amount in (0, gap)])

    return list_data_collate([dict(item) | {key: filled(item[key])} for item in batch])
