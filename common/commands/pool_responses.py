"""Figures and predictions of the folds of a regression bundle put together."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.atomic import atomic_path
from ..data.response_results import COLUMNS, read_responses, write_responses
from ..data.results import write_metrics
from ..metrics import bootstrap_means

__all__ = ["HEADLINES", "mean_over_folds", "pool_responses"]

HEADLINES = ("rmse", "normalised_r2", "drug_r", "cell_r")
MODEL = "model"

Rows = list[dict[str, Any]]
Figures = dict[str, dict[str, float]]
Fold = tuple[int, Path, dict[str, Figures]]


def pool_responses(root: Path, folders: Sequence[Sequence[Path]], protocol: str, num_bootstrap: int = 1000) -> None:
    """Write ``predictions.csv`` (section = fold), ``metrics.json`` and ``folds.csv``.

    Correlations and errors beyond a naive predictor depend on what that fold's training cases give, so that figures are
    means of the folds' own and not figures of the pooled cases. Beside each stands ``<name>_sd``, the standard
    deviation over folds, and among those of the model ``folds_better_than_<baseline>``, the number of folds in which it
    has the lower RMSE.

    Args:
        root: folder for the files.
        folders: folder of each fold (K) of each repeat (R), each with ``predictions.csv`` and ``metrics.json``. Numbers
            of a case are means over repeats; each repeat gets its own ``predictions.csv`` beside its folds.
        protocol: how the folds were cut.
        num_bootstrap: resamples of the intervals.

    Raises:
        ValueError: repeats do not hold the same cases, or folds not the same baselines.
    """
    repeats = [[row for folder in part for row in _read(folder)] for part in folders]
    extra = [name for name in repeats[0][0] if name not in COLUMNS]
    if len(folders) > 1:
        for part, rows in zip(folders, repeats, strict=True):
            write_responses(part[0].parent / "predictions.csv", rows, extra)
    write_responses(root / "predictions.csv", _average(repeats, extra), extra)
    folds = [(r, folder, _figures(folder)) for r, part in enumerate(folders) for folder in part]
    _check_baselines(folds)
    counts = [Counter(row["section"] for row in rows if not row["error"] and row["y"] == row["y"]) for rows in repeats]
    _write_fold_table(root / "folds.csv", folds, counts)
    pooled = {name: _pooled([(r, figures[name]) for r, _, figures in folds], num_bootstrap) for name in folds[0][2]}
    pooled[MODEL] |= _wins([figures for _, _, figures in folds])
    text = (
        f"mean of the figures of single folds, {protocol}; 95 % percentile bootstrap over folds, {num_bootstrap}"
        f" resamples; _sd: standard deviation over folds; n: sum over folds{_rules(folders[0][0])}"
    )
    write_metrics(root / "metrics.json", pooled[MODEL], {n: row for n, row in pooled.items() if n != MODEL}, text)
    _print(pooled)
    print(f"pooled results: {root}/metrics.json, predictions.csv and folds.csv")


def mean_over_folds(values: np.ndarray, repeats: Sequence[int], num_bootstrap: int = 1000) -> np.ndarray:
    """Means of columns over folds and repeats with 95 % percentile intervals over folds.

    Folds of two repeats hold the same cases. Only those of one repeat are drawn together, and the ends of the intervals
    are means over repeats: more repeats steady an interval and do not narrow it.

    Args:
        values: one row a fold and one column a figure (F, M); NaN is left out of its column.
        repeats: repeat of each fold, length F.
        num_bootstrap: resamples.

    Returns:
        Mean, low, high and number of folds of each column (M, 4); NaN means where a column has no value.
    """
    parts = [values[np.asarray(repeats) == repeat] for repeat in dict.fromkeys(repeats)]
    entries = np.stack([bootstrap_means(part, range(len(part)), num_bootstrap) for part in parts])  # (R, M, 4)
    weights = entries[:, :, 3:]
    total = weights.sum(axis=0)
    sums = (np.nan_to_num(entries[:, :, :3]) * weights).sum(axis=0)
    means = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    return np.concatenate([means, total], axis=1)


def _read(folder: Path) -> Rows:
    return [row | {"section": folder.name} for row in read_responses(folder / "predictions.csv")]


def _average(repeats: Sequence[Rows], extra: Sequence[str]) -> Rows:
    """Mean of the numbers over repeats; a case that failed once keeps that error, a further entry if it is the same."""
    if len(repeats) == 1:
        return repeats[0]
    tables = [{row["id"]: row for row in rows} for rows in repeats]
    for k, table in enumerate(tables):
        if other := sorted(set(table) ^ set(tables[0])):
            raise ValueError(
                f"pool_responses: repeats 0 and {k} do not both hold {other[0]}; evaluate all repeats with the same"
                " data."
            )
    rows = []
    for case, first in tables[0].items():
        same = [table[case] for table in tables]
        row = {name: first[name] for name in ("id", "group", "y")} | {"section": "pooled"}
        row |= {name: first[name] for name in extra if len({other[name] for other in same}) == 1}
        errors = [other["error"] for other in same if other["error"]]
        if errors:
            row["error"] = errors[0]
        else:
            row |= {name: sum(other[name] for other in same) / len(same) for name in ("pred", "low", "high")}
        rows.append(row)
    return rows


def _figures(folder: Path) -> dict[str, Figures]:
    """Figures of one fold, of the model and of each baseline."""
    content = json.loads((folder / "metrics.json").read_text())
    baselines = content.pop("baselines")
    del content["protocol"]
    return {MODEL: content, **baselines}


def _rules(fold: Path) -> str:
    """What the protocol of a fold says after its data and section, less its bootstrap."""
    rules = json.loads((fold / "metrics.json").read_text())["protocol"].split("; ")[1:]
    return "; ".join(["", *(rule for rule in rules if "bootstrap" not in rule)])


def _check_baselines(folds: Sequence[Fold]) -> None:
    _, first, expected = folds[0]
    for _, folder, found in folds:
        if set(found) != set(expected):
            raise ValueError(
                f"pool_responses: {folder} has figures of {sorted(found)}, and {first} of {sorted(expected)}; evaluate"
                " all folds with the same baselines."
            )


def _write_fold_table(path: Path, folds: Sequence[Fold], counts: Sequence[Mapping[str, int]]) -> None:
    """One row a name, repeat and fold with the number of measured cases and all figures."""
    lines = []
    for name in folds[0][2]:
        for r, folder, figures in folds:
            head = {"name": name, "repeat": r, "fold": folder.name.removeprefix("fold"), "n": counts[r][folder.name]}
            lines.append(head | {figure: _value(figures[name], figure) for figure in figures[name]})
    with atomic_path(path) as temporary:
        pd.DataFrame(lines).to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")


def _pooled(folds: Sequence[tuple[int, Figures]], num_bootstrap: int) -> Figures:
    """Mean, interval and standard deviation of each figure of one name."""
    names = list(dict.fromkeys(name for _, figures in folds for name in figures))
    repeats = [r for r, _ in folds]
    values = np.array([[_value(figures, name) for name in names] for _, figures in folds])
    result: Figures = {}
    for k, (mean, low, high, number) in enumerate(mean_over_folds(values, repeats, num_bootstrap)):
        n = sum(figures[names[k]]["n"] for _, figures in folds if names[k] in figures) // len(set(repeats))
        spread = float(np.nanstd(values[:, k], ddof=1)) if number > 1 else np.nan
        result[names[k]] = {"value": float(mean), "low": float(low), "high": float(high), "n": n}
        result[f"{names[k]}_sd"] = {"value": spread, "low": np.nan, "high": np.nan, "n": n}
    return result


def _wins(folds: Sequence[dict[str, Figures]]) -> Figures:
    """Number of folds in which the model has the lower RMSE, for each baseline that has one."""
    result: Figures = {}
    for name in folds[0]:
        pairs = np.array([[_value(figures[owner], "rmse") for owner in (MODEL, name)] for figures in folds])
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        if name != MODEL and len(pairs):
            wins = int((pairs[:, 0] < pairs[:, 1]).sum())
            result[f"folds_better_than_{name}"] = {"value": wins, "low": np.nan, "high": np.nan, "n": len(pairs)}
    return result


def _value(figures: Figures, name: str) -> float:
    """Value of a figure; NaN where it is null or missing."""
    value = figures.get(name, {}).get("value")
    return float("nan") if value is None else float(value)


def _print(pooled: dict[str, Figures]) -> None:
    for name, row in pooled.items():
        shown = [figure for figure in HEADLINES if figure in row]
        text = [
            f"{figure} {row[figure]['value']:.3f} [{row[figure]['low']:.3f}, {row[figure]['high']:.3f}]"
            f" +- {row[f'{figure}_sd']['value']:.3f}"
            for figure in shown
        ]
        print(f"{name}: {', '.join(text)}")
    for name, entry in pooled[MODEL].items():
        if name.startswith("folds_better_than_"):
            other = name.removeprefix("folds_better_than_")
            print(f"model: lower RMSE than {other} in {entry['value']} of {entry['n']} folds")
