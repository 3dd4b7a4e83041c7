"""A drug screen in memory: responses as a table of cells by drugs, cut into the sections of the datalist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .common.data import read_response_tables, responses_of

__all__ = ["Screen", "pairs_of", "read_screen"]


@dataclass(frozen=True)
class Screen:
    """Responses, drugs and cells of one data folder.

    Args:
        drugs: columns ``drug, smiles, parent``, D rows.
        cells: names of the C cells.
        values: omics (C, G) of all kinds side by side, NaN where a cell lacks a kind.
        sizes: number of values of each kind, in their order.
        features: the G names.
        responses: ln IC50 (C, D) by section, NaN where a pair is not measured or not of the section.
        pair_groups: group of each pair (C, D), empty where not measured.
    """

    drugs: pd.DataFrame
    cells: list[str]
    values: np.ndarray
    sizes: dict[str, int]
    features: list[str]
    responses: dict[str, np.ndarray]
    pair_groups: np.ndarray

    def items(self, section: str) -> list[dict[str, Any]]:
        """One item for each cell with a pair in the section: ``id, section, image`` (G,) and ``label`` (D,).

        Raises:
            ValueError: the section has no measured pair.
        """
        table = self.responses.get(section, np.full((1, 1), np.nan))
        if not np.isfinite(table).any():
            raise ValueError(
                f"Screen: section {section!r} has no measured pair, {list(self.responses)} are there; check dataset.json."
            )
        return [
            {"id": self.cells[c], "section": section, "image": self.values[c], "label": table[c]}
            for c in np.flatnonzero(np.isfinite(table).any(axis=1))
        ]

    @property
    def keys(self) -> list[str]:
        """Kind and name of the G values, as ``expression:TP53``: a gene may stand in more than one kind."""
        kinds = np.repeat(list(self.sizes), list(self.sizes.values()))
        return [f"{kind}:{name}" for kind, name in zip(kinds, self.features, strict=True)]

    @property
    def everything(self) -> np.ndarray:
        """Ln IC50 (C, D) of all sections."""
        result: np.ndarray = np.full((len(self.cells), len(self.drugs)), np.nan)
        for table in self.responses.values():
            result = np.where(np.isfinite(table), table, result)
        return result


def pairs_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Response, drug index and cell index (P,) of the measured pairs of a table (C, D)."""
    cell, drug = np.nonzero(np.isfinite(table))
    return table[cell, drug], drug, cell


def read_screen(datalist: Mapping[str, Sequence[dict[str, Any]]], kinds: Sequence[str]) -> Screen:
    """Read the tables that a datalist points at.

    Args:
        datalist: cases by section, each with ``responses``, ``column``, ``value`` and ``group``.
        kinds: omics to read, in this order.

    Raises:
        FileNotFoundError: a table is missing.
        ValueError: a table is malformed, or the cases point at more than one folder.
    """
    folders = {Path(case["responses"]).parent for cases in datalist.values() for case in cases}
    if len(folders) != 1:
        raise ValueError(f"read_screen: the cases point at {len(folders)} folders of tables, it must be one.")
    tables = read_response_tables(folders.pop(), kinds)
    drug_at = {name: k for k, name in enumerate(tables.drugs["drug"])}
    cell_at = {name: k for k, name in enumerate(tables.cells["cell"])}
    shape = (len(cell_at), len(drug_at))
    groups = np.full(shape, "", dtype=object)
    responses = {}
    for section, cases in datalist.items():
        group_of = {(case["column"], str(case["value"])): case["group"] for case in cases}
        responses[section] = np.full(shape, np.nan)
        pairs = responses_of(tables.responses, cases)
        cell, drug = pairs["cell"].map(cell_at).to_numpy(), pairs["drug"].map(drug_at).to_numpy()
        responses[section][cell, drug] = pairs["ln_ic50"]
        for column in {column for column, _ in group_of}:
            found = [group_of.get((column, str(value)), "") for value in pairs[column]]
            groups[cell, drug] = np.where(np.array(found, dtype=object) == "", groups[cell, drug], found)
    values = np.concatenate(list(tables.omics.values()), axis=1).astype(np.float32)
    sizes = {kind: part.shape[1] for kind, part in tables.omics.items()}
    features = [name for names in tables.omics_features.values() for name in names]
    return Screen(tables.drugs, list(cell_at), values, sizes, features, responses, groups)
