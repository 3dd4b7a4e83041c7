"""One subject as one row of numbers: phenotype, then the edges of its connectivity."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from torch import Tensor

from .phenotype import PHENOTYPE, phenotype_numbers

__all__ = ["SubjectRowd", "row_edges", "upper_triangle"]


def upper_triangle(matrices: Tensor) -> Tensor:
    """Entries above the diagonal, row by row: (..., N, N) -> (..., N (N - 1) / 2)."""
    size = matrices.shape[-1]
    row, column = torch.triu_indices(size, size, 1)
    return matrices[..., row, column]


class SubjectRowd(MapTransform):
    """Connectivity (C, N, N) to (3 + N (N - 1) / 2,): site, sex, age, and the edges of channel 0.

    An edge of exactly 0 is missing: a region without signal has only such ones.

    Args:
        keys: entries with connectivity; the phenotype stands beside them as ``site``, ``sex`` and ``age``.
        allow_missing_keys: skip a key that an item lacks.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the row of every key."""
        result = dict(data)
        phenotype = phenotype_numbers(data)  # type: ignore[arg-type]
        for key in self.key_iterator(result):
            result[key] = torch.cat([phenotype, upper_triangle(torch.as_tensor(result[key])[0]).float()])
        return result


def row_edges(row: Any) -> np.ndarray:
    """Edges of a row, NaN where missing: what :class:`~.common.metrics.EdgeBaseline` wants."""
    edges = np.asarray(row, dtype=float)[len(PHENOTYPE) :].copy()
    edges[edges == 0] = np.nan
    return edges
