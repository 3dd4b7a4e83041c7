"""Make the data folder of one's own drug response tables (datalist kind ``drug_response``)."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from .molecules import parent_smiles, read_molecule
from .response_tables import ResponseTables, write_response_tables

__all__ = ["average_replicates", "datalist_drug_response", "drug_table"]

COLUMNS = ("drug", "smiles", "cell", "ln_ic50")

_logger = logging.getLogger(__name__)


def datalist_drug_response(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    omics_table: str | os.PathLike[str],
    split: str = "cell",
    kind: str = "expression",
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Join a table of responses with a table of omics, split them and write the data folder.

    Args:
        source: csv with the columns `drug`, `smiles`, `cell`, `ln_ic50` (natural logarithm of the IC50 in uM) and
            optionally `tissue`; a pair on several rows is averaged before the split.
        dataset_dir: folder for ``dataset.json`` and the tables.
        omics_table: csv with the cells in the first column and one feature in each other column.
        split: cell, drug (by molecule without salts), tissue or random (pairs).
        kind: name of the omics (expression, mutation, copy_number, pathway).
        validation: share of the units for validation.
        test: share of the units for test.
        seed: of the split.
        progress: show a bar.

    Returns:
        ``dataset_dir/dataset.json``.

    Raises:
        FileNotFoundError: a table does not exist.
        ValueError: a missing column, an empty name, a value that is no number, an invalid SMILES, a drug with two
            SMILES, a cell with two tissues or two rows of omics, no cell in both tables, or an impossible split.
    """
    rows = _responses(Path(source))
    omics = _omics(Path(omics_table))
    raw, lost = len(rows), sorted(set(rows["cell"]) - set(omics.index))
    if lost:
        rows = rows[rows["cell"].isin(omics.index)]
        _logger.warning("left out %d cells without %s: %s", len(lost), kind, ", ".join(lost[:10]))
    if rows.empty:
        raise ValueError(
            f"datalist_drug_response: no cell of {source} is in the first column of {omics_table}; "
            "write the names alike in both."
        )
    smiles = _one_each(rows, "drug", "smiles", str(source))
    tissues = _one_each(rows, "cell", "tissue", str(source))
    responses = average_replicates(rows)
    cells = pd.DataFrame({"cell": sorted(tissues)})
    cells = cells.assign(tissue=[tissues[cell] for cell in cells["cell"]], name=cells["cell"])
    values = omics.loc[cells["cell"]].to_numpy(dtype=np.float32)
    features = {kind: [str(name) for name in omics.columns]}
    tables = ResponseTables(responses, drug_table(smiles, progress), cells, {kind: values}, features)
    counts = {"raw rows": raw, "left out (no omics)": raw - len(rows), "pairs": len(responses)}
    counts |= {"cells": len(cells), "drugs": len(tables.drugs), "replicates merged": len(rows) - len(responses)}
    description = f"responses of {Path(source).name} with {kind} of {Path(omics_table).name}, ln IC50 in uM"
    shares = {"validation": validation, "test": test, "seed": seed}
    extra = {"omics": [kind], "counts": counts}
    return write_response_tables(dataset_dir, tables, split, Path(source).stem, description, extra=extra, **shares)  # type: ignore[arg-type]


def average_replicates(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the measurements of each pair, so that no split can put one of them beside another.

    Args:
        rows: `drug`, `cell`, `ln_ic50`; a pair may stand several times.

    Returns:
        `drug`, `cell`, `ln_ic50` (mean) and `replicates` (how many), in order of drug and cell.
    """
    pairs = rows.groupby(["drug", "cell"], sort=True)["ln_ic50"]
    return pairs.agg(ln_ic50="mean", replicates="size").reset_index()


def drug_table(smiles: Mapping[str, str], progress: bool = False) -> pd.DataFrame:
    """Read every molecule and tell which drugs are one molecule without its salts.

    Args:
        smiles: by drug.
        progress: show a bar.

    Returns:
        `drug`, `smiles` as given, `parent` (canonical, isomeric, without salts) and `group` (the parent), by name.

    Raises:
        ValueError: rdkit is not installed, or a SMILES is invalid; drug and text are named.
    """
    names = sorted(smiles)
    bar = tqdm(names, desc="reading molecules", unit="drug", disable=not progress)
    parents = [parent_smiles(read_molecule(smiles[name], name)) for name in bar]
    return pd.DataFrame({"drug": names, "smiles": [smiles[name] for name in names], "parent": parents}).assign(
        group=parents
    )


def _read(file: Path, what: str) -> pd.DataFrame:
    if not file.is_file():
        raise FileNotFoundError(f"datalist_drug_response: {what} {str(file)!r} does not exist; give a csv file.")
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise ValueError(
            f"datalist_drug_response: {what} {str(file)!r} is no csv table ({str(error).strip()}); "
            "write it again with a header and commas."
        ) from None


def _responses(file: Path) -> pd.DataFrame:
    rows = _read(file, "source")
    if absent := [column for column in COLUMNS if column not in rows]:
        raise ValueError(
            f"datalist_drug_response: {file} has no column {absent[0]!r}, but {list(rows.columns)}; name the columns "
            f"{', '.join(COLUMNS)} (and tissue)."
        )
    rows = rows[[*COLUMNS]].assign(tissue=rows.get("tissue", ""))
    rows = rows.apply(lambda column: column.str.strip())
    numbers = pd.to_numeric(rows["ln_ic50"], errors="coerce").to_numpy(dtype=float)
    for column, bad in (
        ("ln_ic50", ~np.isfinite(numbers)),
        ("drug", (rows["drug"] == "").to_numpy()),
        ("cell", (rows["cell"] == "").to_numpy()),
    ):
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"datalist_drug_response: {column} in row {row + 2} of {file} is {rows[column][row]!r}; "
                f"give a {'finite number' if column == 'ln_ic50' else 'name'} or leave the row out."
            )
    return rows.assign(ln_ic50=numbers)


def _one_each(rows: pd.DataFrame, key: str, column: str, file: str) -> dict[str, str]:
    """The one value of `column` of each drug or cell."""
    known = rows.drop_duplicates([key, column])
    twice = known[known[key].duplicated(keep=False)]
    if len(twice):
        name = twice[key].iloc[0]
        raise ValueError(
            f"datalist_drug_response: {key} {name!r} of {file} has {column} "
            f"{' and '.join(repr(text) for text in twice[twice[key] == name][column])}; give it one {column} on all "
            "its rows."
        )
    return dict(zip(known[key], known[column], strict=True))


def _omics(file: Path) -> pd.DataFrame:
    table = _read(file, "omics_table")
    table = table.set_index(table.columns[0])
    table.index = table.index.str.strip()
    if not len(table.columns):
        raise ValueError(f"datalist_drug_response: {file} has no column of features; put them beside the cells.")
    if (twice := table.index.duplicated()).any():
        raise ValueError(
            f"datalist_drug_response: cell {table.index[twice.argmax()]!r} stands twice in {file}; keep one of its rows."
        )
    numbers = table.apply(pd.to_numeric, errors="coerce")
    wrong = numbers.isna().to_numpy() & (table != "").to_numpy()
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"datalist_drug_response: {table.columns[column]!r} of cell {table.index[row]!r} in {file} is "
            f"{table.iloc[row, column]!r}, which is no number; correct it."
        )
    return numbers
