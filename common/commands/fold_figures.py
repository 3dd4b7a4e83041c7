"""Figures of out-of-fold predictions: intervals, spread over folds, permutation test, matched cases."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.atomic import atomic_path
from ..metrics import bootstrap_intervals, classification_metrics, permutation_test

__all__ = ["Rows", "fold_figures", "write_fold_table", "write_group_table"]

Rows = list[dict[str, Any]]
TABLE = ("auroc", "accuracy", "sensitivity", "specificity")


def fold_figures(
    repeats: Sequence[Rows], strata: Sequence[tuple], pairs: np.ndarray | None, num_bootstrap: int = 1000
) -> dict[str, dict[str, float]]:
    """Figures with intervals, each the mean over repeats.

    Args:
        repeats: rows of all cases (N) in the same order for each repeat; ``section`` names the fold.
        strata: stratum of each case for the permutation test.
        pairs: indices (P, 2) of matched cases; None leaves their figures out.
        num_bootstrap: resamples of the intervals.

    Returns:
        ``{name: {"value", "low", "high", "n"}}``, as :func:`common.data.results.write_metrics` takes it.
    """
    groups = [row["group"] for row in repeats[0]]
    figures = _intervals(repeats, groups, num_bootstrap)
    areas = [area for rows in repeats for _, _, area, _ in _folds_of(rows) if not np.isnan(area)]
    probabilities, labels = np.stack([_arrays(rows)[0] for rows in repeats]), _arrays(repeats[0])[1].tolist()
    single = {
        "auroc_folds_mean": float(np.mean(areas)) if areas else np.nan,
        "auroc_folds_sd": float(np.std(areas, ddof=1)) if len(areas) > 1 else np.nan,
        "permutation_p": permutation_test(probabilities, labels, strata, groups),
    }
    figures |= {n: {"value": value, "low": np.nan, "high": np.nan, "n": len(groups)} for n, value in single.items()}
    if pairs is not None and len(pairs):
        chosen = np.unique(pairs)
        part = _intervals([[rows[k] for k in chosen] for rows in repeats], [groups[k] for k in chosen], num_bootstrap)
        figures |= {f"matched_{name}": part[name] for name in TABLE}
    return figures


def write_fold_table(path: Path, table: dict[str, list[Rows]]) -> None:
    """Write AUROC and accuracy of each fold and of each repeat as a whole (``fold`` = pooled)."""
    lines: list[list[Any]] = [["name", "repeat", "fold", "n", "auroc", "accuracy"]]
    for name, repeats in table.items():
        for r, rows in enumerate(repeats):
            folds = sorted(_folds_of(rows), key=lambda fold: int(fold[0]))
            lines += [[name, r, *fold] for fold in folds]
            pooled = classification_metrics(*_arrays(rows))
            lines.append([name, r, "pooled", len(rows), pooled["auroc"], pooled["accuracy"]])
    _write(path, lines)


def write_group_table(path: Path, table: dict[str, list[Rows]], groups: Sequence[str], title: str) -> None:
    """Write the figures of each group of cases (site), each the mean over repeats; empty where a class is absent."""
    lines: list[list[Any]] = [["name", title, "n", *TABLE]]
    for name, repeats in table.items():
        arrays = [_arrays(rows) for rows in repeats]
        for group in sorted(set(groups)):
            index = np.array([k for k, other in enumerate(groups) if other == group])
            values = _mean_metrics(arrays, index)
            lines.append([name, group, len(index), *(values.get(key, np.nan) for key in TABLE)])
    _write(path, lines)


def _intervals(repeats: Sequence[Rows], groups: Sequence[str], num_bootstrap: int) -> dict[str, dict[str, float]]:
    arrays = [_arrays(rows) for rows in repeats]
    return bootstrap_intervals(lambda index: _mean_metrics(arrays, index), groups, num_bootstrap)


def _arrays(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities = np.array([row["prob"] for row in rows])
    return probabilities, np.array([row["label"] for row in rows]), np.array([row["pred"] for row in rows])


def _mean_metrics(repeats: Sequence[tuple[np.ndarray, ...]], index: np.ndarray) -> dict[str, float]:
    """Figures of some of the cases, the mean over repeats."""
    values = [classification_metrics(*(array[index] for array in arrays)) for arrays in repeats]
    return {name: float(np.mean([row[name] for row in values])) for name in values[0]}


def _folds_of(rows: Rows) -> list[tuple[str, int, float, float]]:
    """Number, number of cases, AUROC and accuracy of each fold."""
    result = []
    for fold in dict.fromkeys(row["section"] for row in rows):
        part = [row for row in rows if row["section"] == fold]
        values = classification_metrics(*_arrays(part))
        result.append((fold.removeprefix("fold"), len(part), values["auroc"], values["accuracy"]))
    return result


def _write(path: Path, lines: Sequence[Sequence[Any]]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        csv.writer(handle).writerows([[_cell(value) for value in line] for line in lines])


def _cell(value: Any) -> Any:
    return ("" if np.isnan(value) else f"{value:.4f}") if isinstance(value, float) else value
