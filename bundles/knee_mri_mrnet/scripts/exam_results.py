"""Results of exams, three answers each: ``predictions.csv`` and the figures of a section."""

import csv
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .common.data.atomic import atomic_path
from .common.metrics import classification_metrics
from .names import TASKS

__all__ = ["EXAM_FIGURES", "area_under_roc", "exam_metrics", "read_exam_predictions", "write_exam_predictions"]

HEAD = ("id", "group", "section")
TAIL = ("note", "error")
EXAM_FIGURES = ("auroc", "auprc", "accuracy", "sensitivity", "specificity", "brier")


def write_exam_predictions(
    path: str | os.PathLike, rows: Sequence[dict[str, Any]], tasks: Sequence[str] = TASKS
) -> None:
    """Write the columns ``id, group, section, label_<task>..., pred_<task>..., prob_<task>..., note, error``.

    Args:
        path: CSV file, replaced atomically.
        rows: one dictionary an exam; ``label`` (T,) and ``pred`` (T,) are 0 or 1 (label -1: unlabelled, written empty),
            ``prob`` (T,) probabilities in [0, 1], ``note`` may be absent; a row with ``error`` needs neither ``pred``
            nor ``prob``.
        tasks: names of the T tasks.

    Raises:
        ValueError: naming the exam, when an id repeats, a label or prediction is no such number, a probability is
            outside [0, 1].
    """
    seen: set[str] = set()
    table = []
    for row in rows:
        _check(row, len(tasks), seen)
        cells = {name: row[name] for name in HEAD} | {name: row.get(name, "") for name in TAIL}
        cells |= {f"label_{t}": "" if k == -1 else int(k) for t, k in zip(tasks, row["label"], strict=True)}
        if not row.get("error"):
            cells |= {f"pred_{t}": int(k) for t, k in zip(tasks, row["pred"], strict=True)}
            cells |= {f"prob_{t}": f"{p:.6f}" for t, p in zip(tasks, row["prob"], strict=True)}
        table.append(cells)
    columns = [*HEAD, *(f"{kind}_{t}" for kind in ("label", "pred", "prob") for t in tasks), *TAIL]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(table)


def _check(row: dict[str, Any], num_tasks: int, seen: set[str]) -> None:
    case = row["id"]
    if case in seen:
        raise ValueError(f"write_exam_predictions: id {case} stands twice; every exam needs an id of its own.")
    seen.add(case)
    rules = [("label", lambda k: k in (-1, 0, 1), "-1, 0 or 1")]
    if not row.get("error"):
        rules.append(("pred", lambda k: k in (0, 1), "0 or 1"))
        rules.append(("prob", lambda p: math.isfinite(p) and 0 <= p <= 1, "probabilities in [0, 1]"))
    for key, allowed, rule in rules:
        values = list(row[key])
        if len(values) != num_tasks or not all(allowed(value) for value in values):
            raise ValueError(
                f"write_exam_predictions: exam {case} has {key} {values}, expected {num_tasks} numbers, {rule}; correct"
                " the datalist or the postprocessing."
            )


def read_exam_predictions(path: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Read what :func:`write_exam_predictions` wrote.

    Returns:
        Rows (``label`` -1 where unlabelled; ``pred`` and ``prob`` absent with an ``error``) and the names of the tasks.

    Raises:
        ValueError: when columns are missing.
    """
    with open(path, newline="") as handle:
        reader = csv.DictReader(handle)
        names = list(reader.fieldnames or [])
        tasks = [name.removeprefix("prob_") for name in names if name.startswith("prob_")]
        needed = [*HEAD, *(f"{kind}_{t}" for kind in ("label", "pred") for t in tasks), *TAIL]
        missing = [name for name in needed if name not in names]
        if missing or not tasks:
            raise ValueError(
                f"read_exam_predictions: {path} lacks the columns {missing or ['prob_<task>']}; write it with"
                " write_exam_predictions."
            )
        rows = []
        for cells in reader:
            row: dict[str, Any] = {name: cells[name] for name in (*HEAD, *TAIL)}
            row["label"] = [int(cells[f"label_{t}"] or -1) for t in tasks]
            if not row["error"]:
                row["pred"] = [int(cells[f"pred_{t}"]) for t in tasks]
                row["prob"] = [float(cells[f"prob_{t}"]) for t in tasks]
            rows.append(row)
    return rows, tasks


def area_under_roc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of pairs of a positive and a negative exam that ``scores`` (N,) put in order, ties count half.

    Labels (N,) of -1 do not count; NaN without exams of both classes. A light twin of ``roc_auc_score`` for the
    bootstrap of differences.

    Reference:
        Hanley and McNeil, Radiology 1982, 143(1):29-36.
    """
    positive, negative = scores[labels == 1][:, None], scores[labels == 0]
    pairs = positive.size * negative.size
    return float(((positive > negative).sum() + (positive == negative).sum() / 2) / pairs) if pairs else np.nan


def exam_metrics(
    probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray, tasks: Sequence[str] = TASKS
) -> dict[str, float]:
    """Six figures of each task, ``auroc_acl`` and so on, and ``auroc_mean`` over the tasks.

    Args:
        probabilities: (N, T).
        labels: (N, T), 0 or 1; -1 is unlabelled and left out of its task.
        predicted: (N, T), 0 or 1.
        tasks: names of the T tasks.

    Returns:
        Figures; NaN where they are undefined: areas need both classes, sensitivity a positive, specificity a negative.
    """
    result: dict[str, float] = {}
    for k, task in enumerate(tasks):
        known = labels[:, k] >= 0
        truth, p = labels[known, k], probabilities[known, k]
        figures = dict.fromkeys(EXAM_FIGURES, np.nan)
        if known.any():
            found = classification_metrics(np.stack([1 - p, p], axis=1), truth, predicted[known, k])
            figures |= {name: found[name] for name in EXAM_FIGURES}
        if not truth.any():
            figures["sensitivity"] = np.nan
        result |= {f"{name}_{task}": value for name, value in figures.items()}
    return result | {"auroc_mean": float(np.mean([result[f"auroc_{task}"] for task in tasks]))}
