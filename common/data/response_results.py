"""The schema of result files of regression: ``predictions.csv`` with measured and predicted numbers."""

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .atomic import atomic_path

__all__ = ["is_response_table", "read_responses", "write_responses"]

NAMES = ("id", "group", "section")
NUMBERS = ("y", "pred", "low", "high")
COLUMNS = (*NAMES, *NUMBERS, "error")


def write_responses(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]], extra: Sequence[str] = ()) -> None:
    """Write a table with the columns ``id, group, section, y, pred, low, high, <extra>..., error``.

    Args:
        path: CSV file, replaced atomically.
        rows: one dictionary a case: ``y`` measured, ``pred`` predicted, ``low`` and ``high`` the ends of an interval;
            numbers are written with six digits. NaN, None or a missing ``y`` (unmeasured), ``low`` or ``high`` is
            written empty; a row with ``error`` needs none of the four.
        extra: names of further entries of the rows (``drug``, ``cell``), written as they are; a missing one is empty.

    Raises:
        ValueError: naming the case, when an id repeats, a number is not finite or ``pred`` is outside of its interval.
    """
    ids = [str(row["id"]) for row in rows]
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise ValueError(f"write_responses: id {twice} stands twice; every case needs an id of its own.")
    numbers = np.array([_numbers(row) for row in rows], dtype=float).reshape(len(rows), 4)
    failed = np.array([bool(row.get("error")) for row in rows], dtype=bool)
    _check_numbers(ids, numbers, failed)
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([*NAMES, *NUMBERS, *extra, "error"])
        for case, row, values in zip(ids, rows, numbers.tolist(), strict=True):
            cells = ["" if value != value else f"{value:.6g}" for value in values]  # NaN is not itself
            further = [row.get(name, "") for name in extra]
            writer.writerow([case, row["group"], row["section"], *cells, *further, row.get("error", "")])


def read_responses(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Read what :func:`write_responses` wrote.

    Returns:
        Rows; an empty ``y``, ``low`` or ``high`` is NaN, ``pred``, ``low`` and ``high`` are absent with an ``error``,
        and further columns are text.

    Raises:
        ValueError: when columns are missing.
    """
    with open(path, newline="") as handle:
        reader = csv.reader(handle)
        names = next(reader, [])
        if missing := [name for name in COLUMNS if name not in names]:
            raise ValueError(f"read_responses: {path} lacks the columns {missing}; expected {list(COLUMNS)}.")
        rows: list[dict[str, Any]] = []
        for cells in reader:
            row: dict[str, Any] = dict(zip(names, cells, strict=True))
            row["y"] = float(row["y"] or "nan")
            for name in NUMBERS[1:]:
                if row["error"]:
                    del row[name]
                else:
                    row[name] = float(row[name] or "nan")
            rows.append(row)
    return rows


def is_response_table(path: str | os.PathLike) -> bool:
    """Whether ``path`` is a file with the columns of :func:`write_responses`, seen by its header."""
    if not os.path.isfile(path):
        return False
    with open(path, newline="") as handle:
        return set(COLUMNS) <= set(next(csv.reader(handle), []))


def _numbers(row: Mapping[str, Any]) -> list[float]:
    found = [row.get(name) for name in NUMBERS]
    return [np.nan if value is None else value for value in found]


def _check_numbers(ids: Sequence[str], numbers: np.ndarray, failed: np.ndarray) -> None:
    infinite = np.isinf(numbers)
    infinite[:, 1] |= np.isnan(numbers[:, 1]) & ~failed
    for case, column in np.argwhere(infinite):
        raise ValueError(
            f"write_responses: case {ids[case]} has {NUMBERS[column]} {numbers[case, column]}; give a finite number, or"
            " an error for a case that could not be predicted."
        )
    _, pred, low, high = numbers.T
    for case in np.flatnonzero((low > pred) | (pred > high)):  # False beside NaN
        raise ValueError(
            f"write_responses: case {ids[case]} has pred {pred[case]:.6g} outside of its interval {low[case]:.6g} to"
            f" {high[case]:.6g}; low <= pred <= high must hold."
        )
