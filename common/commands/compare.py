"""Results of several runs on the same cases side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.response_results import is_response_table
from ..data.results import read_predictions
from ..metrics import bootstrap_intervals, classification_metrics
from .compare_responses import compare_responses

__all__ = ["compare"]


def compare(*runs: str, output: str, num_bootstrap: int = 1000) -> None:
    """Compare the evaluated runs (or cross-validations) of one task case by case, and write a table.

    Each row has AUROC (macro average over classes) with its interval, accuracy, and the difference of the AUROC to the
    first run with the interval of the paired bootstrap, in which both runs are drawn with the same groups: an interval
    without 0 speaks for a difference that is not due to the choice of the cases.

    Cross-validations of a regression bundle are compared fold by fold instead: each row has the mean of each figure of
    ``folds.csv``, and for RMSE, normalised R2 and the mean correlations within drugs (``drug_r``) and cells
    (``cell_r``) the difference to the first run with the interval of the bootstrap over the paired folds and the number
    of folds in which the run is better.

    Args:
        runs: folders with ``predictions.csv``, or such files; the first is the reference. The name of the folder (of
            the file for ``baselines/ridge.csv``) becomes the name of the row.
        output: CSV file to write.
        num_bootstrap: resamples.

    Raises:
        FileNotFoundError: when a run has no predictions, or a regression no folds.
        ValueError: for fewer than two runs, cases that differ from those of the first run, or one class only.
    """
    if len(runs) < 2:
        raise ValueError(f"compare: {len(runs)} run given, two or more are needed.")
    paths = [Path(run) if run.endswith(".csv") else Path(run) / "predictions.csv" for run in runs]
    names = [path.parent.name if path.name == "predictions.csv" else path.stem for path in paths]
    if is_response_table(paths[0]):
        frame = compare_responses([path.parent for path in paths], names, num_bootstrap)
        _write(frame, output)
        print(frame.set_index("run").T.to_string(float_format="%.3f"))
        print(f"differences to {names[0]}, bootstrap over paired folds: {output}")
        return
    tables = [_read(path) for path in paths]
    first = tables[0]
    labels = np.array([row["label"] for row in first.values()])
    if len(set(labels.tolist())) < 2:
        raise ValueError(f"compare: {paths[0]} has labels of one class only.")
    rows = []
    for name, path, table in zip(names, paths, tables, strict=True):
        if {key: row["label"] for key, row in table.items()} != {key: row["label"] for key, row in first.items()}:
            raise ValueError(f"compare: {path} has other cases or labels than {paths[0]}; compare runs on one section.")
        rows.append({"run": name} | _row(list(first.values()), [table[key] for key in first], num_bootstrap))
    frame = pd.DataFrame(rows)
    _write(frame, output)
    print(frame.to_string(index=False, float_format="%.3f"))
    print(f"differences to {names[0]}, paired bootstrap over groups: {output}")


def _write(frame: pd.DataFrame, output: str) -> None:
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(output, index=False, float_format="%.3f", lineterminator="\n")


def _read(path: Path) -> dict[str, dict]:
    if not path.is_file():
        raise FileNotFoundError(f"compare: {path} does not exist; run evaluate.json or cross-validate first.")
    rows = [row for row in read_predictions(path)[0] if row["label"] >= 0]
    if not rows:
        raise ValueError(f"compare: {path} holds no labelled case.")
    return {row["id"]: row for row in rows}


def _row(first: Sequence[dict], own: Sequence[dict], num_bootstrap: int) -> dict[str, float]:
    labels = np.array([row["label"] for row in first])
    reference, probabilities = (np.array([row["prob"] for row in rows]) for rows in (first, own))
    predicted = np.array([row["pred"] for row in own])

    def statistic(index: np.ndarray) -> dict[str, float]:
        figures = classification_metrics(probabilities[index], labels[index], predicted[index])
        other = classification_metrics(reference[index], labels[index])["auroc"]
        return {"auroc": figures["auroc"], "accuracy": figures["accuracy"], "difference": figures["auroc"] - other}

    found = bootstrap_intervals(statistic, [row["group"] for row in first], num_bootstrap)
    columns: dict[str, float] = {}
    for name, figures in found.items():
        columns |= {name: figures["value"], f"{name}_low": figures["low"], f"{name}_high": figures["high"]}
    return columns | {"n": len(labels)}
