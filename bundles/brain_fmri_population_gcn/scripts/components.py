"""Fitted features in a preprocessing pipeline."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from .network import PopulationGCN
from .phenotype import PHENOTYPE

__all__ = ["Componentsd", "subject_vectors"]

_LEAD = len(PHENOTYPE)


def subject_vectors(network: PopulationGCN, rows: Tensor) -> Tensor:
    """Rows (M, 3 + E) of subjects that the fit did not see to vectors (M, 3 + F): phenotype and fitted features."""
    return torch.cat([rows[:, :_LEAD], network.features.features(rows[:, _LEAD:])], dim=1)


class Componentsd(MapTransform):
    """Row (3 + E,) of a subject to its vector (3 + F,), with what the network has fitted.

    A training subject gets the features that the fit gave it, in which its own label has no part
    (:class:`~.subject_features.SubjectFeatures`); the network knows those by ``id`` until the process ends.

    Args:
        keys: entries with rows; ``id`` stands beside them.
        network: fitted, or with loaded weights when the first case is read.
        allow_missing_keys: skip a key that an item lacks.

    Raises:
        ValueError: a row of another length.
    """

    def __init__(self, keys: KeysCollection, network: PopulationGCN, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.network = network

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the vector of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            known = self.network.training_vectors.get(result.get("id", ""))
            result[key] = self._vector(torch.as_tensor(result[key])) if known is None else known
        return result

    @torch.no_grad()
    def _vector(self, row: Tensor) -> Tensor:
        features = self.network.features
        wanted = _LEAD + features.num_regions * (features.num_regions - 1) // 2
        if row.shape != (wanted,):
            raise ValueError(
                f"Componentsd: the row has shape {list(row.shape)}, expected ({wanted},): site, sex, age and the edges "
                f"of {features.num_regions} regions; check the atlas."
            )
        return subject_vectors(self.network, row[None].to(features.mean.device))[0].cpu()
