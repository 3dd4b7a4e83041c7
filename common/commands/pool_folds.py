"""Out-of-fold predictions of all folds and repeats put together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.results import read_predictions, write_metrics, write_predictions
from ..metrics import matched_pairs
from .fold_figures import Rows, fold_figures, write_fold_table, write_group_table

__all__ = ["pool_folds"]


def pool_folds(
    root: Path,
    folders: Sequence[Sequence[Path]],
    cases: Sequence[dict[str, Any]],
    protocol: str,
    within: Sequence[str] = (),
    table_by: str | None = None,
    matched_on: str | None = None,
    num_bootstrap: int = 1000,
) -> None:
    """Write ``predictions.csv``, ``metrics.json``, ``folds.csv`` and, with ``table_by``, ``groups.csv``.

    Args:
        root: folder for the files.
        folders: folder of each fold (K) of each repeat (R), each with ``predictions.csv`` and ``baselines/*.csv``.
        cases: all cases with their covariates.
        protocol: how the folds were cut.
        within: entries within which the permutation test permutes.
        table_by: entry for the table of figures.
        matched_on: number on which the classes are matched, within ``table_by``, else within ``within``.
        num_bootstrap: resamples of the intervals.
    """
    by_id = {case["id"]: case for case in cases}
    repeats, class_names = _read(folders)
    table = {name: [repeat[name] for repeat in repeats] for name in repeats[0]}
    chosen = [by_id[row["id"]] for row in table["model"][0]]
    strata = [tuple(str(case[name]) for name in within) for case in chosen]
    pairs, note = _pairs(chosen, [table_by] if table_by else within, matched_on) if matched_on else (None, "")
    figures = {name: fold_figures(rows, strata, pairs, num_bootstrap) for name, rows in table.items()}
    write_predictions(root / "predictions.csv", _average(table["model"]), class_names)
    if len(folders) > 1:
        figures["mean probability over repeats"] = fold_figures(
            [_average(table["model"])], strata, pairs, num_bootstrap
        )
        for part, repeat in zip(folders, repeats, strict=True):
            write_predictions(part[0].parent / "predictions.csv", repeat["model"], class_names)
    model, baselines = figures["model"], {name: row for name, row in figures.items() if name != "model"}
    permuted = f" within {' x '.join(within)}" if within else ""
    protocol = (
        f"pooled out-of-fold predictions, {protocol}; 95 % percentile bootstrap over groups; auroc_folds_mean and _sd"
        f" over single folds; permutation_p: labels permuted{permuted}, scores kept{note}"
    )
    write_metrics(root / "metrics.json", model, baselines, protocol)
    write_fold_table(root / "folds.csv", table)
    if table_by:
        write_group_table(root / "groups.csv", table, [str(case[table_by]) for case in chosen], table_by)
    _print(figures)
    print(f"pooled results: {root}/metrics.json, predictions.csv and folds.csv")


def _read(folders: Sequence[Sequence[Path]]) -> tuple[list[dict[str, Rows]], list[str]]:
    """Rows of the model, each baseline and their means by name, for each repeat; all in the order of the first."""
    names = [path.stem for path in sorted((folders[0][0] / "baselines").glob("*.csv"))]
    repeats: list[dict[str, Rows]] = []
    for part in folders:
        rows, class_names = _collect(part, "predictions.csv")
        if repeats:
            rows = _ordered(rows, repeats[0]["model"])
        table = {"model": rows}
        for name in names:
            table[name] = _ordered(_collect(part, f"baselines/{name}.csv")[0], rows)
            table[f"mean of model and {name}"] = _mean(rows, table[name])
        repeats.append(table)
    return repeats, class_names


def _collect(folders: Sequence[Path], name: str) -> tuple[Rows, list[str]]:
    rows: Rows = []
    class_names: list[str] = []
    for folder in folders:
        part, class_names = read_predictions(folder / name)
        rows += [row | {"section": folder.name} for row in part]
    return rows, class_names


def _ordered(rows: Rows, like: Rows) -> Rows:
    place = {row["id"]: row for row in rows}
    return [place[row["id"]] for row in like]


def _mean(first: Rows, second: Rows) -> Rows:
    """Rows of ``first`` with the mean of both probabilities, decided by argmax."""
    means = [np.mean([a["prob"], b["prob"]], axis=0) for a, b in zip(first, second, strict=True)]
    return [row | {"prob": mean.tolist(), "pred": int(mean.argmax())} for row, mean in zip(first, means, strict=True)]


def _average(repeats: Sequence[Rows]) -> Rows:
    """Mean probability over repeats; the decision is that of most repeats, ties by probability."""
    if len(repeats) == 1:
        return repeats[0]
    rows = []
    for same in zip(*repeats, strict=True):
        mean = np.mean([row["prob"] for row in same], axis=0)
        votes = np.bincount([row["pred"] for row in same], minlength=len(mean))
        rows.append(same[0] | {"prob": mean.tolist(), "pred": int((votes + 0.5 * mean).argmax()), "section": "pooled"})
    return rows


def _pairs(cases: Sequence[dict[str, Any]], within: Sequence[str], matched_on: str) -> tuple[np.ndarray, str]:
    """Matched cases (P, 2) and a note for the protocol."""
    values = np.array([float(case.get(matched_on, np.nan)) for case in cases])
    strata = [tuple(str(case[name]) for name in within) for case in cases]
    pairs = matched_pairs([case["label"] for case in cases], values.tolist(), strata)
    means = " and ".join(f"{mean:.4g}" for mean in values[pairs].mean(axis=0)) if len(pairs) else "-"
    place = f" within {' x '.join(within)}" if within else ""
    return pairs, f"; matched_*: {len(pairs)} pairs of both classes by {matched_on}{place}, means {means}"


def _print(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    for name, row in figures.items():
        area, folds, spread = row["auroc"], row["auroc_folds_mean"]["value"], row["auroc_folds_sd"]["value"]
        matched = f", matched AUROC {row['matched_auroc']['value']:.3f}" if "matched_auroc" in row else ""
        print(
            f"{name}: AUROC {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}], folds {folds:.3f} +- {spread:.3f},"
            f" accuracy {row['accuracy']['value']:.3f}, p {row['permutation_p']['value']:.3f}{matched}"
        )
