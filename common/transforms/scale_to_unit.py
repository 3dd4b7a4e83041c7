"""Bring images of any unit to [0, 1]."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

__all__ = ["ScaleToUnit", "ScaleToUnitd"]


class ScaleToUnit(Transform):
    """Scale intensities to [0, 1] in float32.

    8 bit (uint8) is divided by 255. All else (16 bit, HU, SUV, arbitrary MR units) is scaled and cut: from ``window``,
    or else from 0 to the upper percentile of the foreground, the voxels that are not 0, of each channel. The volume
    counts, not the slice, so slices stay comparable. An image of zeros stays zero.

    Args:
        window: lowest and highest value of interest, in the unit of the image; None uses the percentile.
        upper_percentile: of the foreground, in (0, 100].
    """

    def __init__(self, window: Sequence[float] | None = None, upper_percentile: float = 99) -> None:
        if window is not None and (len(window) != 2 or not window[0] < window[1]):
            raise ValueError(f"ScaleToUnit: window is {window}; it must be [low, high] with low < high, or None.")
        if not 0 < upper_percentile <= 100:
            raise ValueError(f"ScaleToUnit: upper_percentile is {upper_percentile}; it must be in (0, 100].")
        self.window = window
        self.upper_percentile = upper_percentile

    def __call__(self, img: NdarrayOrTensor, name: str = "img") -> torch.Tensor:
        """Scale ``img`` (C, H, W[, D]); ``name`` is for errors.

        Raises:
            ValueError: NaN or infinite values; or without a window, an upper percentile that is not positive.
        """
        image = convert_to_tensor(img, track_meta=get_track_meta())
        if image.dtype == torch.uint8:
            return image.float() / 255
        if not torch.isfinite(image).all():
            raise ValueError(f"ScaleToUnit: {name} holds NaN or infinite values; repair the file.")
        image = image.float()
        if self.window is not None:
            return ((image - self.window[0]) / (self.window[1] - self.window[0])).clamp(0, 1)
        highest = torch.tensor([self._upper(channel, name) for channel in image], device=image.device)
        return (image / highest.reshape(-1, *[1] * (image.ndim - 1))).clamp(0, 1)

    def _upper(self, channel: torch.Tensor, name: str) -> float:
        # numpy: torch.quantile refuses volumes of more than 2^24 voxels
        values = np.asarray(channel.detach().cpu())
        foreground = values[values != 0]
        highest = float(np.percentile(foreground, self.upper_percentile)) if foreground.size else 1.0
        if highest <= 0:
            raise ValueError(
                f"ScaleToUnit: percentile {self.upper_percentile} of the foreground of {name} is {highest:g}, not above "
                "0; give a window."
            )
        return highest


class ScaleToUnitd(MapTransform):
    """Scale entries of an item with :class:`ScaleToUnit`.

    Args:
        keys: entries to scale, each by itself.
        window: as in :class:`ScaleToUnit`.
        upper_percentile: as in :class:`ScaleToUnit`.
        allow_missing_keys: pass items without a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        window: Sequence[float] | None = None,
        upper_percentile: float = 99,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleToUnit(window, upper_percentile)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale the entries of one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.scale(item[key], str(key))
        return item
