"""Put the planes of an exam into one tensor."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .names import PLANES

__all__ = ["PackPlanesd", "pack_planes"]


def pack_planes(planes: Mapping[Hashable, torch.Tensor], order: KeysCollection = PLANES) -> torch.Tensor:
    """Stack planes of unlike numbers of slices; short and absent ones are filled up with empty slices (zeros).

    Args:
        planes: slices (S_k, H, W), or their features (S_k, F), of the planes that there are.
        order: names of the channels.

    Returns:
        Tensor (3, max S_k, ...) in `order`.

    Raises:
        ValueError: there is no plane, or the slices differ in size.
    """
    names = (order,) if isinstance(order, str) else tuple(order)  # type: ignore[arg-type]
    present = {name: planes[name] for name in names if name in planes}
    if not present:
        raise ValueError(f"pack_planes: the exam has none of the planes {list(names)}; give at least one.")
    sizes = {name: tuple(plane.shape[1:]) for name, plane in present.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"pack_planes: slices differ in size, {sizes}; bring all planes to one size first.")
    like = next(iter(present.values()))
    packed = like.new_zeros((len(names), max(len(plane) for plane in present.values()), *like.shape[1:]))
    for channel, name in enumerate(names):
        if name in present:
            packed[channel, : len(present[name])] = present[name]
    return packed


class PackPlanesd(MapTransform):
    """Replace the planes of an exam by one entry (3, S, ...) with :func:`pack_planes`.

    Args:
        keys: planes in the order of the channels; an exam may lack some of them.
        name: the new entry.
    """

    def __init__(self, keys: KeysCollection = PLANES, name: str = "image") -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.name = name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with the new entry and without the planes."""
        planes = {key: data[key] for key in self.keys if key in data}
        rest = {key: value for key, value in data.items() if key not in planes}
        return rest | {self.name: pack_planes(planes, self.keys)}
