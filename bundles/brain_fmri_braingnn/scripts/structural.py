"""Structural connectivity (streamline counts of diffusion MRI) that lies beside the functional file."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from .common.data import read_numbers

__all__ = ["LoadStructural", "LoadStructurald"]


class LoadStructural(Transform):
    """Path of a FUNCTIONAL file to the structural adjacency (1, N, N) of the same subject, float32.

    The rule of file names needs nothing but that path: of ``sub-01_task-rest_bold.nii.gz`` the matrix is
    ``sub-01_task-rest_bold``, or the same with fewer parts (``sub-01_task-rest``, ``sub-01``), plus ``suffix``, in
    ``folder``. Counts become log(1 + count); the diagonal becomes 0. A subject without the file has all zeros.

    Args:
        num_regions: N.
        suffix: end of the name of the matrix (``.npy .csv .tsv .txt``).
        folder: where it lies, from the folder of the functional file.

    Raises:
        ValueError: another N, NaN, negative or asymmetric counts. The message names the file.
    """

    def __init__(self, num_regions: int, suffix: str = "_streamlines.npy", folder: str = "../structural") -> None:
        self.num_regions = num_regions
        self.suffix = suffix
        self.folder = folder

    def __call__(self, path: str | os.PathLike[str]) -> torch.Tensor:
        """Read (1, N, N)."""
        file = self._find(Path(path))
        if file is None:
            return torch.zeros(1, self.num_regions, self.num_regions)
        counts = read_numbers(str(file))[1].astype(np.float64)
        self._check(file, counts)
        weights = np.log1p((counts + counts.T) / 2)
        np.fill_diagonal(weights, 0)
        return torch.from_numpy(weights.astype(np.float32))[None]

    def _find(self, path: Path) -> Path | None:
        parts = path.name.split(".")[0].split("_")
        names = ["_".join(parts[:count]) + self.suffix for count in range(len(parts), 0, -1)]
        return next((file for name in names if (file := path.parent / self.folder / name).is_file()), None)

    def _check(self, file: Path, counts: np.ndarray) -> None:
        size = self.num_regions
        if counts.shape != (size, size):
            raise ValueError(f"LoadStructural: {file} has shape {counts.shape}, expected ({size}, {size}); check it.")
        if not np.isfinite(counts).all() or (counts < 0).any():
            raise ValueError(f"LoadStructural: {file} holds NaN, infinite or negative counts; repair or remove it.")
        if not np.allclose(counts, counts.T):
            raise ValueError(f"LoadStructural: {file} is not symmetric; average both directions first.")


class LoadStructurald(MapTransform):
    """Dictionary version of :class:`LoadStructural`: each key holds the path of the functional file."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **settings: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = LoadStructural(**settings)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the matrix of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
