"""The folder of a drug response data set: measured pairs, drugs, cells, omics and ``dataset.json``.

``responses.csv`` has one row a measured pair (`drug, cell, ln_ic50, replicates`, for split random also `block`),
``drugs.csv`` the `drug, smiles, parent, group`, ``cells.csv`` the `cell, tissue, name`, and ``omics.npz`` the `cells`
and for each kind an array `(C, G)` with its ``<kind>_features``; a cell that lacks a kind has a row of NaN. A case of
``dataset.json`` is one unit of the split: all pairs whose `column` has its `value`.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .atomic import atomic_path
from .datalist import FILE_NAME, SECTIONS, write_datalist
from .splits import split_by_group

__all__ = [
    "SPLITS",
    "ResponseTables",
    "read_response_tables",
    "responses_of",
    "summarise_responses",
    "write_response_tables",
]

SPLITS = ("cell", "drug", "tissue", "random")
BLOCKS = 100
_COLUMNS = {
    "responses": ["drug", "cell", "ln_ic50", "replicates"],
    "drugs": ["drug", "smiles", "parent", "group"],
    "cells": ["cell", "tissue", "name"],
}


@dataclass(frozen=True)
class ResponseTables:
    """What a folder holds: tables as in the files and omics in the order of `cells`.

    Args:
        responses: `drug`, `cell`, `ln_ic50` (natural logarithm of the IC50 in uM), `replicates` (measurements
            averaged), for split random `block` (text).
        drugs: `drug`, `smiles` as given, `parent` (without salts), `group` (drugs that a split keeps together).
        cells: `cell`, `tissue` (empty when unknown), `name` (in the source).
        omics: by kind, float32 `(C, G)`; a row of NaN where the cell lacks the kind.
        omics_features: by kind, the G names.
    """

    responses: pd.DataFrame
    drugs: pd.DataFrame
    cells: pd.DataFrame
    omics: dict[str, np.ndarray]
    omics_features: dict[str, list[str]]


def read_response_tables(folder: str | os.PathLike[str], kinds: Sequence[str]) -> ResponseTables:
    """Read and check the tables of a folder.

    Args:
        folder: as written by ``python -m common datalist gdsc`` or ``drug_response``.
        kinds: which omics to read (expression, mutation, copy_number, pathway), in this order.

    Returns:
        The tables; the omics follow the order of `cells`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a column or kind is missing, a drug, cell or pair stands twice, a pair has an unknown drug or cell,
            or a number is not finite.
    """
    place = Path(folder).absolute()
    tables = {key: _read_csv(place / f"{key}.csv", columns) for key, columns in _COLUMNS.items()}
    omics, features = _read_omics(_existing(place / "omics.npz"), kinds, tables["cells"]["cell"].tolist())
    result = ResponseTables(tables["responses"], tables["drugs"], tables["cells"], omics, features)
    _check(result, str(place))
    return result


def write_response_tables(
    folder: str | os.PathLike[str],
    tables: ResponseTables,
    split: str,
    name: str,
    description: str,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Check tables, split them and write the folder; ``dataset.json`` comes last, so that a folder is complete or none.

    Args:
        folder: made if needed.
        tables: what to write.
        split: what never crosses sections: cell, drug (with all names of one parent), tissue, or random (pairs, dealt
            at random into 100 blocks).
        name: short name of the data.
        description: one line.
        validation: share of the units for validation.
        test: share of the units for test.
        seed: of the split.
        extra: further entries of ``dataset.json``.

    Returns:
        ``folder/dataset.json``.

    Raises:
        ValueError: an unknown split, cells without tissue under split tissue, too few groups, or tables that
            :func:`read_response_tables` would refuse.
    """
    place = Path(folder).absolute()
    _check(tables, name)
    if split == "random":
        block = np.random.default_rng(seed).permutation(len(tables.responses)) % BLOCKS
        tables = replace(tables, responses=tables.responses.assign(block=block.astype(str)))
    cases = _cases(tables, split, place)
    fractions = (1 - validation - test, validation, test)
    parts = split_by_group([0] * len(cases), [case["group"] for case in cases], fractions, seed)
    sections = {key: [cases[k] for k in part] for key, part in zip(SECTIONS, parts, strict=True) if len(part)}
    place.mkdir(parents=True, exist_ok=True)
    (place / FILE_NAME).unlink(missing_ok=True)
    for key in _COLUMNS:
        with atomic_path(place / f"{key}.csv") as temporary:
            getattr(tables, key).to_csv(temporary, index=False)
    arrays: dict[str, np.ndarray] = {"cells": np.array(tables.cells["cell"].tolist())}
    for kind, values in tables.omics.items():
        arrays |= {kind: values.astype(np.float32), f"{kind}_features": np.array(tables.omics_features[kind])}
    with atomic_path(place / "omics.npz") as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    return write_datalist(place, name, description, {}, sections, {**(extra or {}), "split": split, "seed": seed})


def responses_of(responses: pd.DataFrame, cases: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The pairs of some cases of a datalist: rows whose `column` has the `value` of one of the cases.

    Args:
        responses: as in :class:`ResponseTables`.
        cases: items with `column` and `value`.

    Returns:
        Those rows, in the order of `responses`, with their index.

    Raises:
        ValueError: `responses` lacks a column.
    """
    values: dict[str, set[str]] = {}
    for case in cases:
        values.setdefault(case["column"], set()).add(str(case["value"]))
    chosen = np.zeros(len(responses), dtype=bool)
    for column, found in values.items():
        if column not in responses:
            raise ValueError(
                f"responses_of: column {column!r} of the cases is not in the responses, which have "
                f"{list(responses.columns)}; make the datalist again."
            )
        chosen |= responses[column].astype(str).isin(found).to_numpy()
    return responses[chosen]


def summarise_responses(folder: str | os.PathLike[str], datalist: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Tabulate drugs, cells, tissues and pairs by section, above them what the source gave and what was left out.

    Args:
        folder: as for :func:`read_response_tables`.
        datalist: items by section, from :func:`load_datalist`.
    """
    tables = read_response_tables(folder, ())
    counts = json.loads((Path(folder) / FILE_NAME).read_text(encoding="utf-8")).get("counts", {})
    lines = [f"{key}: {', '.join(found) if isinstance(found, list) else found}" for key, found in counts.items()]
    tissue = dict(zip(tables.cells["cell"], tables.cells["tissue"], strict=True))
    rows = [["section", "drugs", "cells", "tissues", "pairs"]]
    for section, cases in datalist.items():
        pairs = responses_of(tables.responses, cases)
        known = {tissue[cell] for cell in pairs["cell"]} - {""}
        sizes = (pairs["drug"].nunique(), pairs["cell"].nunique(), len(known), len(pairs))
        rows.append([section, *(str(size) for size in sizes)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    table = (
        [row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))] for row in rows
    )
    return "\n".join([*lines, *("  ".join(row) for row in table)])


def _cases(tables: ResponseTables, split: str, place: Path) -> list[dict[str, Any]]:
    """Units of a split; only such as have a measured pair."""
    common = {"responses": str(place / "responses.csv")}
    if split == "drug":
        return [
            {"id": row.drug, "group": row.group, **common, "column": "drug", "value": row.drug}
            for row in tables.drugs[tables.drugs["drug"].isin(tables.responses["drug"])].itertuples()
        ]
    if split == "random":
        found = sorted(set(tables.responses["block"]), key=int)
        return [{"id": f"block {k}", "group": f"block {k}", **common, "column": "block", "value": k} for k in found]
    if split not in SPLITS:
        raise ValueError(f"write_response_tables: split is {split!r}; take one of {list(SPLITS)}.")
    cells = tables.cells[tables.cells["cell"].isin(tables.responses["cell"])]
    unknown = cells[cells["tissue"] == ""]["cell"].tolist()
    if split == "tissue" and unknown:
        raise ValueError(
            f"write_response_tables: split is 'tissue', and {len(unknown)} of {len(cells)} cells have no tissue "
            f"({', '.join(unknown[:3])}); give their tissues or split by cell."
        )
    return [
        {
            "id": f"cell {row.cell}",
            "group": row.tissue if split == "tissue" else row.cell,
            **common,
            "column": "cell",
            "value": row.cell,
            "tissue": row.tissue,
        }
        for row in cells.itertuples()
    ]


def _read_csv(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    # names such as 697 or NA are text; pandas would make numbers and gaps of them
    table = pd.read_csv(_existing(file), dtype=str, keep_default_na=False)
    if absent := [column for column in columns if column not in table]:
        raise ValueError(
            f"response tables: {file} has no column {absent[0]!r}, but {list(table.columns)}; make it again."
        )
    for column in {"ln_ic50", "replicates"} & set(table.columns):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (bad := numbers.isna().to_numpy()).any():
            row = int(bad.argmax())
            raise ValueError(
                f"response tables: {column} in row {row + 2} of {file} is {table[column][row]!r}, which is no number; "
                "correct it or leave the row out."
            )
        table[column] = numbers
    return table


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise FileNotFoundError(
            f"response tables: {file} does not exist; make the folder with `python -m common datalist gdsc` or "
            "`drug_response`."
        )
    return file


def _read_omics(
    file: Path, kinds: Sequence[str], cells: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    with np.load(file, allow_pickle=False) as arrays:
        present = [key for key in arrays.files if key != "cells" and not key.endswith("_features")]
        if absent := [kind for kind in kinds if kind not in present]:
            raise ValueError(
                f"response tables: omics {absent[0]!r} are not in {file}, which has {present}; "
                "take those or make the folder again with them."
            )
        rows = {cell: k for k, cell in enumerate(arrays["cells"].tolist())}
        if unknown := [cell for cell in cells if cell not in rows]:
            raise ValueError(
                f"response tables: cell {unknown[0]!r} of cells.csv is not in {file} ({len(unknown)} such cells); "
                "make the folder again."
            )
        order = [rows[cell] for cell in cells]
        omics = {kind: arrays[kind][order].astype(np.float32) for kind in kinds}
        return omics, {kind: arrays[f"{kind}_features"].tolist() for kind in kinds}


def _check(tables: ResponseTables, where: str) -> None:
    pairs = tables.responses
    if pairs.empty:
        raise ValueError(f"response tables: {where} has no measured pair; give some.")
    for key, table in (("drug", tables.drugs), ("cell", tables.cells)):
        if (twice := table[key].duplicated().to_numpy()).any():
            raise ValueError(f"response tables: {key} {table[key].iloc[twice.argmax()]!r} stands twice in {where}.")
        if (unknown := ~pairs[key].isin(table[key]).to_numpy()).any():
            raise ValueError(
                f"response tables: {key} {pairs[key].iloc[unknown.argmax()]!r} of the responses of {where} is not in "
                f"{key}s.csv; add it or leave its rows out."
            )
    if (twice := pairs.duplicated(["drug", "cell"]).to_numpy()).any():
        row = pairs.iloc[twice.argmax()]
        raise ValueError(
            f"response tables: the pair of {row['drug']!r} and {row['cell']!r} stands twice in {where}; average them."
        )
    if (bad := ~np.isfinite(pairs["ln_ic50"].to_numpy(dtype=float))).any():
        row = pairs.iloc[bad.argmax()]
        raise ValueError(
            f"response tables: ln_ic50 of {row['drug']!r} and {row['cell']!r} in {where} is {row['ln_ic50']}; "
            "it must be finite."
        )
    for kind, values in tables.omics.items():
        _check_kind(kind, values, tables.cells["cell"].tolist(), len(tables.omics_features[kind]), where)


def _check_kind(kind: str, values: np.ndarray, cells: Sequence[str], features: int, where: str) -> None:
    if values.shape != (len(cells), features):
        raise ValueError(
            f"response tables: omics {kind!r} of {where} have the shape {values.shape}, and {len(cells)} cells with "
            f"{features} features need {(len(cells), features)}; make them again."
        )
    bad = ~(np.isfinite(values).all(axis=1) | np.isnan(values).all(axis=1))
    if bad.any():
        raise ValueError(
            f"response tables: omics {kind!r} of cell {cells[int(bad.argmax())]!r} in {where} are not all finite; "
            "fill the gaps, or leave all of its values empty to say that the cell lacks the kind."
        )
