"""Random transforms that treat each source of a fusion case by itself."""

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import get_track_meta
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import convert_to_tensor

__all__ = ["PerSource", "PerSourced"]


class _RandomTransform(Protocol):
    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Any: ...

    def __call__(self, img: Any) -> Any: ...


class PerSource(Randomizable, Transform):
    """Apply a random array transform to each channel with draws of its own.

    MONAI's ``RandAdjustContrast`` and ``RandCoarseDropout`` draw once for all channels, so the contrast of one source
    could never change against the other, nor one be occluded while the other is seen.

    Args:
        transform: random array transform of (1, H, W[, D]) that keeps the shape.
    """

    def __init__(self, transform: _RandomTransform) -> None:
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "PerSource":
        """Seed the transform."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(state=self.R)
        return self

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """Transform ``img`` (N, H, W[, D])."""
        image = convert_to_tensor(img, track_meta=get_track_meta())
        # clones: RandCoarseDropout writes into what it is given
        return torch.cat([self.transform(image[k : k + 1].clone()) for k in range(len(image))])


class PerSourced(Randomizable, MapTransform):
    """Apply :class:`PerSource` to entries of an item.

    Args:
        keys: entries (N, H, W[, D]).
        transform: as in :class:`PerSource`.
    """

    def __init__(self, keys: KeysCollection, transform: _RandomTransform) -> None:
        MapTransform.__init__(self, keys)
        self.per_source = PerSource(transform)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "PerSourced":
        """Seed the transform."""
        super().set_random_state(seed, state)
        self.per_source.set_random_state(state=self.R)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform the entries of one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.per_source(item[key])
        return item
