"""Join the sources of a fusion case into one image."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

__all__ = ["JoinSources", "JoinSourcesd"]

_AFFINE_TOLERANCE = 1e-3


class JoinSources(Transform):
    """Concatenate N registered images into one with N channels, and never resize one to fit.

    From here on a spatial transform moves all sources alike, because they are channels of one image.
    """

    def __call__(self, sources: Sequence[NdarrayOrTensor], names: Sequence[str] | None = None) -> torch.Tensor:
        """Join ``sources``, each (1, H, W[, D]), to (N, H, W[, D]) with the affine of the first.

        Args:
            sources: images on one grid.
            names: of the sources, for errors.

        Raises:
            ValueError: a source has several channels, or sizes or affines (beyond 1e-3 mm) differ.
        """
        names = [f"source {k}" for k in range(len(sources))] if names is None else names
        images = [convert_to_tensor(source, track_meta=get_track_meta()) for source in sources]
        first = images[0]
        for name, image in zip(names, images, strict=True):
            if image.shape[0] != 1:
                raise ValueError(
                    f"JoinSources: {name} has {image.shape[0]} channels, and a source has one; give a gray image."
                )
            if image.shape != first.shape:
                raise ValueError(
                    f"JoinSources: {names[0]} has size {_size(first)} and {name} {_size(image)}; register them to one "
                    "grid first."
                )
            if not _same_place(first, image):
                raise ValueError(
                    f"JoinSources: {names[0]} and {name} have equal sizes and different affines; register them to one "
                    "grid first."
                )
        return torch.cat(images)


class JoinSourcesd(MapTransform):
    """Join the sources of an item with :class:`JoinSources`.

    Of the keys, those that the item has are joined, two or more. An item that has only the first key holds all sources
    in it, (N, H, W[, D]), and passes.

    Args:
        keys: entries of the sources in order; they are removed.
        name: entry of the joined image.
    """

    def __init__(self, keys: KeysCollection = ("image", "mri"), name: str = "image") -> None:
        super().__init__(keys)
        self.name = name
        self.join = JoinSources()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Join the sources of one item.

        Raises:
            KeyError: the item has not the first key.
            ValueError: it has only the first, with one channel.
        """
        item = dict(data)
        present = [key for key in self.keys if key in item]
        if self.keys[0] not in present:
            raise KeyError(
                f"JoinSourcesd: the item has no {self.keys[0]}, the first of {self.keys}; give it, or change keys."
            )
        if present == [self.keys[0]]:
            joined = convert_to_tensor(item.pop(present[0]), track_meta=get_track_meta())
            if joined.shape[0] < 2:
                raise ValueError(
                    f"JoinSourcesd: {present[0]} has one channel and there is no {self.keys[1]}; give two or more sources."
                )
        else:
            joined = self.join([item.pop(key) for key in present], [str(key) for key in present])
        item[self.name] = joined
        return item


def _size(image: torch.Tensor) -> str:
    return " x ".join(str(size) for size in image.shape[1:])


def _same_place(first: torch.Tensor, image: torch.Tensor) -> bool:
    if not (isinstance(first, MetaTensor) and isinstance(image, MetaTensor)):
        return True
    return np.allclose(first.affine, image.affine, rtol=0, atol=_AFFINE_TOLERANCE)
