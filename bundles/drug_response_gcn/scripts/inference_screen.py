"""What there is to predict: every drug of a table on every cell."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .cases import training_cases
from .common.data import load_datalist, parent_molecule, parent_smiles, read_molecule
from .molecule_graph import check_size
from .reference import load_reference
from .screen import Screen, read_screen

__all__ = ["InferenceScreen", "inference_screen"]


@dataclass(frozen=True)
class InferenceScreen:
    """Drugs and cells whose pairs are to be predicted.

    Args:
        drugs: columns ``drug, smiles, parent`` of the D readable drugs.
        failed: name -> reason of drugs that cannot be read.
        cells: names of the C cells.
        values: omics (C, G), NaN where missing.
        measured: known ln IC50 (C, D), NaN elsewhere.
        sections: section of each pair (C, D), ``new`` where not measured.
        groups: group of each pair (C, D), the cell where not measured.
    """

    drugs: pd.DataFrame
    failed: dict[str, str]
    cells: list[str]
    values: np.ndarray
    measured: np.ndarray
    sections: np.ndarray
    groups: np.ndarray

    def items(self) -> list[dict[str, Any]]:
        """One item a cell: ``id, group, section, label`` (-1) and ``image`` (G,)."""
        return [
            {"id": cell, "group": cell, "section": "new", "label": -1, "image": values}
            for cell, values in zip(self.cells, self.values, strict=True)
        ]


def inference_screen(
    dataset_dir: str,
    default_dir: str,
    kinds: Sequence[str],
    weights: str,
    max_atoms: int,
    phantoms: Mapping[str, Any] | None = None,
) -> InferenceScreen:
    """Read what is to be predicted.

    Args:
        dataset_dir: folder with ``dataset.json``; or with ``drugs.csv`` (columns ``drug, smiles``) and, for each kind of
            omics, ``<kind>.csv`` (``expression.csv``: first column the cell, one column a gene). Columns are brought into
            the order of the weights; a gene that the table lacks counts as missing.
        default_dir: the bundle's own data folder: the phantoms.
        kinds: omics that the network takes, in its order.
        weights: file of weights, whose reference names the genes.
        max_atoms: heavy atoms that there is room for.
        phantoms: settings of the phantoms that differ from the defaults.

    Raises:
        FileNotFoundError: no such folder or table.
        ValueError: a table lacks a column, no drug can be read, or fewer than half of the genes are there.
    """
    if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
        screen = read_screen(training_cases(dataset_dir, default_dir, phantoms=phantoms), kinds)
    elif (Path(dataset_dir) / "dataset.json").is_file():
        screen = read_screen(load_datalist(dataset_dir), kinds)
    else:
        screen = _from_tables(Path(dataset_dir), kinds, weights)
    failed = {
        drug: why
        for drug, smiles in zip(screen.drugs["drug"], screen.drugs["smiles"], strict=True)
        if (why := _problem(str(smiles), str(drug), max_atoms))
    }
    kept = ~screen.drugs["drug"].isin(failed).to_numpy()
    if not kept.any():
        raise ValueError(
            f"inference_screen: none of {len(kept)} drugs can be read; the first: {next(iter(failed.values()))}"
        )
    drugs = screen.drugs[kept].reset_index(drop=True)
    if "parent" not in drugs:  # a datalist brings them as training read them, which is how weights know a drug
        trained = {_parent(parent, name): parent for name, parent in load_reference(weights).drugs.items()}
        own_parents = [_parent(smiles, drug) for drug, smiles in zip(drugs["drug"], drugs["smiles"], strict=True)]
        drugs["parent"] = [trained.get(parent, parent) for parent in own_parents]
    sections = np.full((len(screen.cells), len(kept)), "new", dtype=object)
    for name, table in screen.responses.items():
        sections[np.isfinite(table)] = name
    own = np.repeat(np.array(screen.cells, dtype=object)[:, None], len(kept), axis=1)
    groups = np.where(screen.pair_groups == "", own, screen.pair_groups)
    measured = screen.everything
    return InferenceScreen(
        drugs,
        failed,
        screen.cells,
        screen.values,
        measured[:, kept],
        sections[:, kept],
        groups[:, kept],
    )


def _parent(smiles: str, drug: str) -> str:
    return parent_smiles(read_molecule(smiles, drug))


def _problem(smiles: str, name: str, max_atoms: int) -> str:
    """Why a drug cannot be used; empty when it can."""
    try:
        check_size(parent_molecule(read_molecule(smiles, name)), name, max_atoms)
    except ValueError as problem:
        return str(problem)
    return ""


def _from_tables(folder: Path, kinds: Sequence[str], weights: str) -> Screen:
    drugs = _table(folder / "drugs.csv", "drug", "smiles")
    if missing := [name for name in ("drug", "smiles") if name not in drugs]:
        raise ValueError(
            f"inference_screen: {folder / 'drugs.csv'} lacks the column {missing[0]!r}; it needs drug, smiles."
        )
    if (twice := drugs["drug"].duplicated().to_numpy()).any():
        raise ValueError(
            f"inference_screen: {folder / 'drugs.csv'} has the drug {drugs['drug'][twice.argmax()]} twice."
        )
    joined = pd.concat([_indexed(folder / f"{kind}.csv").add_prefix(f"{kind}:") for kind in kinds], axis=1)
    names = load_reference(weights).features
    found = [name for name in names if name in joined]
    if 2 * len(found) < len(names):
        raise ValueError(
            f"inference_screen: {folder} has {len(found)} of the {len(names)} values that {weights} takes; name the"
            " columns as the training data do (gene symbols), half of them at least."
        )
    values = joined.reindex(columns=names).to_numpy(dtype=np.float32)
    cells = [str(name) for name in joined.index]
    nothing = np.full((len(cells), len(drugs)), "", dtype=object)
    return Screen(drugs[["drug", "smiles"]], cells, values, {}, list(names), {}, nothing)


def _indexed(path: Path) -> pd.DataFrame:
    """Omics with the cells, the first column, as index."""
    table = _table(path, 0)
    table = table.set_index(table.columns[0])
    if table.index.duplicated().any():
        raise ValueError(f"inference_screen: {path} has the cell {table.index[table.index.duplicated()][0]} twice.")
    return table.apply(pd.to_numeric, errors="coerce")


def _table(path: Path, *text: str | int) -> pd.DataFrame:
    """A table with a row or more; names such as 697 or NA stay what they are in the columns of text."""
    if not path.is_file():
        raise FileNotFoundError(
            f"inference_screen: {path} does not exist; give a folder with dataset.json, or with drugs.csv and a table of"
            " each kind of omics."
        )
    table = pd.DataFrame()
    if path.stat().st_size:
        table = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False)
    if table.empty:
        raise ValueError(f"inference_screen: {path} has no rows; give one or more below the header.")
    return table
