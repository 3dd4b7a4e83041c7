"""The one schema of result files: ``predictions.csv``, ``metrics.json`` and ``operating_point.json``."""

import csv
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .atomic import atomic_path

__all__ = [
    "load_operating_point",
    "read_predictions",
    "write_metrics",
    "write_operating_point",
    "write_predictions",
]

COLUMNS = ("id", "group", "section", "label", "pred")
FIGURES = {"value", "low", "high", "n"}


def write_predictions(path: str | os.PathLike, rows: Sequence[dict[str, Any]], class_names: Sequence[str]) -> None:
    """Write a classification table with the columns ``id, group, section, label, pred, prob_<class>..., error``.

    Args:
        path: CSV file, replaced atomically.
        rows: one dictionary a case; ``label`` and ``pred`` are class indices (label -1: unlabelled, written empty),
            ``prob`` the class probabilities; a row with ``error`` needs neither ``pred`` nor ``prob``.
        class_names: names of the C classes in the order of their indices.

    Raises:
        ValueError: naming the case, when an id repeats, a class index does not exist, probabilities do not sum to 1.
    """
    seen: set[str] = set()
    table = []
    for row in rows:
        _check_row(row, class_names, seen)
        cells = {name: row.get(name, "") for name in COLUMNS} | {"error": row.get("error", "")}
        if row["label"] == -1:
            cells["label"] = ""
        if not row.get("error"):
            cells |= {f"prob_{n}": f"{p:.6f}" for n, p in zip(class_names, row["prob"], strict=True)}
        table.append(cells)
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, [*COLUMNS, *(f"prob_{name}" for name in class_names), "error"])
        writer.writeheader()
        writer.writerows(table)


def _check_row(row: dict[str, Any], class_names: Sequence[str], seen: set[str]) -> None:
    case = row["id"]
    if case in seen:
        raise ValueError(f"write_predictions: id {case} stands twice; every case needs an id of its own.")
    seen.add(case)
    if not -1 <= row["label"] < len(class_names):
        raise ValueError(
            f"write_predictions: case {case} has label {row['label']}, the classes are 0..{len(class_names) - 1}"
            " (-1: unlabelled); correct the datalist or num_classes."
        )
    if row.get("error"):
        return
    if not 0 <= row["pred"] < len(class_names):
        raise ValueError(
            f"write_predictions: case {case} has pred {row['pred']}, not one of {len(class_names)} classes."
        )
    if len(row["prob"]) != len(class_names) or not math.isclose(sum(row["prob"]), 1, abs_tol=1e-4):
        raise ValueError(
            f"write_predictions: case {case} has probabilities {list(row['prob'])}, expected {len(class_names)} numbers"
            " that sum to 1."
        )


def read_predictions(path: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Read what :func:`write_predictions` wrote.

    Returns:
        Rows (``label`` -1 when unlabelled; ``prob`` a list of floats, absent with an ``error``) and the class names.

    Raises:
        ValueError: when columns are missing.
    """
    with open(path, newline="") as handle:
        reader = csv.DictReader(handle)
        names = list(reader.fieldnames or [])
        missing = [name for name in (*COLUMNS, "error") if name not in names]
        if missing:
            raise ValueError(f"read_predictions: {path} lacks the columns {missing}; expected {[*COLUMNS, 'error']}.")
        class_names = [name.removeprefix("prob_") for name in names if name.startswith("prob_")]
        rows = []
        for cells in reader:
            row: dict[str, Any] = {name: cells[name] for name in ("id", "group", "section", "error")}
            row["label"] = int(cells["label"]) if cells["label"] else -1
            if not row["error"]:
                row["pred"] = int(cells["pred"])
                row["prob"] = [float(cells[f"prob_{name}"]) for name in class_names]
            rows.append(row)
    return rows, class_names


def write_metrics(path: str | os.PathLike, metrics: dict[str, Any], baselines: dict[str, Any], protocol: str) -> None:
    """Write ``{"<metric>": {"value", "low", "high", "n"}, ..., "baselines": {...}, "protocol": "one line"}``.

    Args:
        path: JSON file, replaced atomically.
        metrics: figures by name; NaN is written as null.
        baselines: figures of each baseline by its name, in the same form.
        protocol: one line: data, section, how the threshold was chosen, interval.

    Raises:
        ValueError: when an entry lacks one of the four numbers or the protocol is not one line.
    """
    if not protocol.strip() or "\n" in protocol:
        raise ValueError(f"write_metrics: protocol must be one line that says how the figures arose, got {protocol!r}.")
    for owner, figures in {"model": metrics, **baselines}.items():
        for name, entry in figures.items():
            if set(entry) != FIGURES:
                raise ValueError(f"write_metrics: {owner}.{name} has {sorted(entry)}, expected {sorted(FIGURES)}.")
    content = {**_rounded(metrics), "baselines": _rounded(baselines), "protocol": protocol}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def write_operating_point(
    weights: str | os.PathLike, temperature: float, threshold: float | None, chosen_on: str
) -> None:
    """Store temperature and threshold beside the weights as ``<name>.operating_point.json``, with their sha256."""
    content = {
        "temperature": temperature,
        "threshold": threshold,
        "chosen_on": chosen_on,
        "weights_sha256": _sha256(weights),
    }
    with atomic_path(_operating_point(weights)) as temporary:
        temporary.write_text(json.dumps(content, indent=4) + "\n")


def load_operating_point(weights: str | os.PathLike) -> dict[str, float | None]:
    """Temperature and threshold that an evaluation stored for these weights.

    Returns:
        ``{"temperature", "threshold"}``; 1 and None (argmax) when none were stored, or for other weights.
    """
    path = _operating_point(weights)
    if path.is_file() and Path(weights).is_file():
        content = json.loads(path.read_text())
        if content["weights_sha256"] == _sha256(weights):
            return {"temperature": content["temperature"], "threshold": content["threshold"]}
    return {"temperature": 1.0, "threshold": None}


def _operating_point(weights: str | os.PathLike) -> Path:
    return Path(weights).with_suffix(".operating_point.json")


def _sha256(path: str | os.PathLike) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
