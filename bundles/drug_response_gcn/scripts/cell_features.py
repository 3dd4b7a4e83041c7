"""Fitted features of a cell in a preprocessing pipeline."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .response_network import ResponseNetwork

__all__ = ["CellFeaturesd"]


class CellFeaturesd(MapTransform):
    """Omics (G,) of a cell to effect and features (1 + K,), with what the network has fitted.

    Args:
        keys: entries with omics; ``id`` beside them is the cell's name.
        network: fitted, or with loaded weights when the first cell is read.
        allow_missing_keys: skip a key that an item lacks.

    Raises:
        ValueError: another number of values than the fit saw, an infinite one, or fewer than a quarter of the values.
    """

    def __init__(self, keys: KeysCollection, network: ResponseNetwork, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.network = network

    @torch.no_grad()
    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the vector of every key."""
        result = dict(data)
        offset = torch.tensor([self.network.known.cell_offset(str(result.get("id", "")))])
        for key in self.key_iterator(result):
            values = torch.as_tensor(result[key], dtype=torch.float32).to(self.network.known.mean.device)
            known = int(torch.isfinite(values).sum())
            if known < len(values) / 4:
                raise ValueError(
                    f"CellFeaturesd: {result.get('id', 'a cell')} has {known} of {len(values)} values, it must have a"
                    " quarter of them; leave the cell out or complete its omics."
                )
            features = self.network.omics.features(values[None])[0]
            result[key] = torch.cat([offset, features.cpu()])
        return result
