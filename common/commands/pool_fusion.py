"""Figures of the test pairs of all folds and repeats put together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.fusion_results import read_fusion_table, write_fusion_results, write_fusion_table

__all__ = ["pool_fusion"]

Rows = list[dict[str, Any]]


def pool_fusion(root: Path, folders: Sequence[Sequence[Path]], protocol: str, num_bootstrap: int = 1000) -> None:
    """Write ``metrics.csv`` (section = fold), ``metrics.json`` and ``comparison.csv`` of all pairs.

    Args:
        root: folder for the files.
        folders: folder of each fold (K) of each repeat (R), each with ``metrics.csv`` and ``metrics.json``. Values of a
            pair are means over repeats; each repeat gets its own ``metrics.csv`` beside its folds.
        protocol: how the folds were cut.
        num_bootstrap: resamples of the intervals.

    Raises:
        ValueError: repeats do not hold the same pairs and methods.
    """
    repeats = [[row for folder in part for row in _read(folder)] for part in folders]
    if len(folders) > 1:
        for part, rows in zip(folders, repeats, strict=True):
            write_fusion_table(part[0].parent / "metrics.csv", rows)
    text = f"pooled test pairs of all folds, {protocol}{_rules(folders[0][0], num_bootstrap)}"
    figures = write_fusion_results(root, _average(repeats), text, num_bootstrap)
    for method, entries in figures.items():
        shown = [name for name in ("qabf", "vif", "ssim", "scd") if name in entries]
        text = ", ".join(
            f"{name} {entries[name]['value']:.3f} [{entries[name]['low']:.3f}, {entries[name]['high']:.3f}]"
            for name in shown
        )
        print(f"{method}: {text}")
    print(f"pooled results: {root}/metrics.json, metrics.csv and comparison.csv")


def _read(folder: Path) -> Rows:
    return [row | {"section": folder.name} for row in read_fusion_table(folder / "metrics.csv")]


def _rules(fold: Path, num_bootstrap: int) -> str:
    """What the protocol of a fold says after its data and section, with the bootstrap of the pool."""
    rules = json.loads((fold / "metrics.json").read_text())["protocol"].split("; ")[1:]
    rules = [rule for rule in rules if "bootstrap" not in rule]
    return "; ".join(["", *rules, f"95 % percentile bootstrap over groups, {num_bootstrap} resamples"])


def _average(repeats: Sequence[Rows]) -> Rows:
    """Mean of each value over repeats; a pair that failed in one repeat keeps that error."""
    if len(repeats) == 1:
        return repeats[0]
    tables = [{(row["id"], row["method"]): row for row in rows if not row["error"]} for rows in repeats]
    failed = {row["id"]: row for rows in repeats for row in rows if row["error"]}
    rows = [row | {"section": "pooled"} for row in failed.values()]
    for key, first in tables[0].items():
        if key[0] in failed:
            continue
        if lacking := [k for k, table in enumerate(tables) if key not in table]:
            raise ValueError(
                f"pool_fusion: repeat {lacking[0]} lacks {key[1]} of {key[0]}; evaluate all repeats with the same data"
                " and baselines."
            )
        same = [table[key]["values"] for table in tables]
        values = {name: float(np.mean([other[name] for other in same])) for name in first["values"]}
        rows.append(first | {"section": "pooled", "values": values})
    return rows
