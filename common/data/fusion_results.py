"""Tables of fused images: ``metrics.csv`` of each pair and method, their figures, and the comparison of methods."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..metrics.bootstrap import bootstrap_means
from ..metrics.fusion import HIGHER_IS_BETTER
from ..metrics.paired import sign_flip_test
from .atomic import atomic_path
from .results import write_metrics

__all__ = [
    "MODEL",
    "fusion_figures",
    "fusion_protocol",
    "read_fusion_table",
    "write_fusion_results",
    "write_fusion_table",
]

MODEL = "model"
COLUMNS = ("id", "group", "section", "method")
COMPARISON = ("metric", "better", "baseline", "difference", "low", "high", "p", "cases", "pairs")
BETTER: Mapping[str, bool] = {**HIGHER_IS_BETTER, "ssim_cddfuse": True, "chroma_error": False}
DIRECTION = {True: "up", False: "down", None: ""}

Rows = Sequence[Mapping[str, Any]]


def write_fusion_table(path: str | os.PathLike, rows: Rows) -> None:
    """Write a table with the columns ``id, group, section, method, <metric>..., error``.

    Args:
        path: CSV file, replaced atomically.
        rows: one dictionary a pair and method: the first four columns, ``values`` (metric -> number; NaN and missing
            ones are written empty) or an ``error``.

    Raises:
        ValueError: when a pair and method stands twice.
    """
    names = _metrics(rows)
    seen: set[tuple[str, str]] = set()
    table = []
    for row in rows:
        key = (str(row["id"]), row["method"])
        if key in seen:
            raise ValueError(
                f"write_fusion_table: id {row['id']} stands twice for method {row['method']!r}; every pair needs an id"
                " of its own."
            )
        seen.add(key)
        cells = {name: row[name] for name in COLUMNS} | {"error": row.get("error", "")}
        values = {name: value for name, value in row.get("values", {}).items() if np.isfinite(value)}
        table.append(cells | {name: f"{value:.6g}" for name, value in values.items()})
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, [*COLUMNS, *names, "error"], restval="")
        writer.writeheader()
        writer.writerows(table)


def read_fusion_table(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Read what :func:`write_fusion_table` wrote; an empty cell is NaN.

    Raises:
        ValueError: when columns are missing.
    """
    with open(path, newline="") as handle:
        reader = csv.DictReader(handle)
        names = list(reader.fieldnames or [])
        if missing := [name for name in (*COLUMNS, "error") if name not in names]:
            raise ValueError(f"read_fusion_table: {path} lacks the columns {missing}; expected {[*COLUMNS, 'error']}.")
        metrics = [name for name in names if name not in (*COLUMNS, "error")]
        rows = []
        for cells in reader:
            row: dict[str, Any] = {name: cells[name] for name in (*COLUMNS, "error")}
            if not row["error"]:
                row["values"] = {name: float(cells[name] or "nan") for name in metrics}
            rows.append(row)
    return rows


def fusion_figures(rows: Rows, num_bootstrap: int = 1000) -> dict[str, dict[str, dict[str, float]]]:
    """Mean of each metric over the pairs of each method, with its 95 % interval over groups.

    Returns:
        ``{method: {metric: {"value", "low", "high", "n"}}}``, the model first; pairs with an error are left out.

    Raises:
        ValueError: when no pair is left.
    """
    names, groups, tables = _matrices(rows)
    result = {}
    for method, values in tables.items():
        entries = bootstrap_means(values, groups, num_bootstrap)
        result[method] = {
            name: {"value": float(mean), "low": float(low), "high": float(high), "n": int(n)}
            for name, (mean, low, high, n) in zip(names, entries, strict=True)
        }
    return result


def write_fusion_results(
    folder: str | os.PathLike, rows: Rows, protocol: str, num_bootstrap: int = 1000
) -> dict[str, dict[str, dict[str, float]]]:
    """Write ``metrics.csv``, ``metrics.json`` and ``comparison.csv``.

    A line of the comparison has, for one metric and baseline, the mean difference of the model over pairs, its 95 %
    interval from resampled groups, and the p value of :func:`~..metrics.sign_flip_test` over group means (with 3 groups
    never below .25).

    Args:
        folder: for the three files.
        rows: as for :func:`write_fusion_table`.
        protocol: one line that says how the figures arose.
        num_bootstrap: resamples of the intervals.

    Returns:
        The figures, see :func:`fusion_figures`.
    """
    folder = Path(folder)
    figures = fusion_figures(rows, num_bootstrap)
    write_fusion_table(folder / "metrics.csv", rows)
    with atomic_path(folder / "comparison.csv") as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(COMPARISON)
        writer.writerows(_comparison(rows, num_bootstrap))
    baselines = {method: entries for method, entries in figures.items() if method != MODEL}
    write_metrics(folder / "metrics.json", figures[MODEL], baselines, protocol)
    return figures


def fusion_protocol(head: str, output_range: str, num_bootstrap: int) -> str:
    """One line for ``metrics.json``: ``head`` (data and section), then all on which figures of fused images depend."""
    return (
        f"{head}; gray levels 0..255, of a colour source its Y (Cb and Cr kept); output range {output_range};"
        " fused is 0 where all sources are 0, for model and baselines alike; volumes: mean over slices that are not"
        " empty; SSIM gaussian 11 / 1.5, data range 255, sum over sources; MI in nats, sum over sources; VIF pixel"
        f" domain, sum over sources; FMI of pixels; 95 % percentile bootstrap over groups, {num_bootstrap} resamples"
    )


def _metrics(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.get("values", {})))


def _matrices(rows: Rows) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """Names of the M metrics, group of each of the N pairs, and values (N, M) of each method in the same order."""
    good = [row for row in rows if not row.get("error")]
    groups = {str(row["id"]): str(row["group"]) for row in good if row["method"] == MODEL}
    if not groups:
        raise ValueError("fusion_figures: no pair of the model is without an error; see the column error.")
    names = _metrics(good)
    tables = {}
    for method in dict.fromkeys([MODEL, *(row["method"] for row in good)]):
        place = {str(row["id"]): row["values"] for row in good if row["method"] == method}
        values = [[place.get(case, {}).get(name, np.nan) for name in names] for case in groups]
        tables[method] = np.array(values, dtype=float).reshape(len(groups), len(names))
    return names, list(groups.values()), tables


def _comparison(rows: Rows, num_bootstrap: int) -> list[list[Any]]:
    names, groups, tables = _matrices(rows)
    lines: list[list[Any]] = []
    for k, name in enumerate(names):
        for baseline, values in tables.items():
            if baseline == MODEL:
                continue
            difference = tables[MODEL][:, k] - values[:, k]
            mean, low, high, n = bootstrap_means(difference[:, None], groups, num_bootstrap)[0]
            if not n:
                continue
            cases = len({group for group, value in zip(groups, difference, strict=True) if np.isfinite(value)})
            numbers = [f"{value:.6g}" for value in (mean, low, high, sign_flip_test(difference, groups))]
            lines.append([name, DIRECTION[BETTER.get(name)], baseline, *numbers, cases, int(n)])
    return lines
