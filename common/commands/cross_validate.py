"""Cross-validation of any classification bundle through its own configs."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.datalist import load_datalist, load_labels, write_datalist
from ..data.results import read_predictions, write_metrics, write_predictions
from ..data.splits import grouped_folds, split_by_group
from ..metrics import bootstrap_intervals, classification_metrics

__all__ = ["cross_validate"]


def cross_validate(
    bundle: str,
    dataset_dir: str,
    output_dir: str,
    folds: int = 5,
    by: str = "group",
    config: str | Sequence[str] = (),
    sections: Sequence[str] = ("training", "validation"),
    inner_validation: float = 0.15,
    seed: int = 0,
    **overrides: Any,
) -> None:
    """Train and evaluate a bundle on K folds; an interrupted call goes on where it stopped.

    Each fold is the test section once; a part of the others, also split by ``by``, chooses epoch and threshold.
    ``output_dir`` gets one folder a fold, the pooled out-of-fold ``predictions.csv`` (section = fold), ``metrics.json``
    with baselines on the same folds and the mean of model and baseline, and ``folds.csv``. Temperatures stay at 1:
    fitted on the small validation part of each fold they differ by chance and spoil the pooled ranking
    (``--calibrate true`` fits them).

    Args:
        bundle: folder of the bundle.
        dataset_dir: folder with ``dataset.json``.
        output_dir: folder for everything that arises.
        folds: number of folds K; with ``by=site`` and as many folds as sites it is leave-one-site-out.
        by: entry of the cases that is never split (``group``, ``site``, ...).
        config: override file or files of the bundle (``medmnist3d.json``), between train.json and evaluate.json.
        sections: sections to pool before splitting.
        inner_validation: fraction of the other folds that is the validation section.
        seed: seed of the splits.
        overrides: further ids for both runs (``--max_epochs 5``).

    Raises:
        ValueError: when a case lacks ``by``, or there are fewer groups than folds.
    """
    sections = [sections] if isinstance(sections, str) else list(sections)
    cases = [case for part in load_datalist(dataset_dir, sections).values() for case in part]
    lacking = [case["id"] for case in cases if by not in case]
    if lacking:
        raise ValueError(
            f"cross_validate: case {lacking[0]} has no entry {by!r}; add it to dataset.json or choose --by."
        )
    names, labels = [str(case[by]) for case in cases], [case["label"] for case in cases]
    root = Path(output_dir)
    for k, held_out in enumerate(grouped_folds(labels, names, folds, seed)):
        others = np.setdiff1d(np.arange(len(cases)), held_out)
        parts = split_by_group(
            [labels[i] for i in others], [names[i] for i in others], (1 - inner_validation, inner_validation), seed
        )
        chosen = {"training": others[parts[0]], "validation": others[parts[1]], "test": held_out}
        fold = root / f"fold{k}"
        members = {name: [cases[i] for i in sorted(index)] for name, index in chosen.items()}
        description = f"fold {k} of {folds} by {by}, seed {seed}"
        write_datalist(fold, f"{Path(dataset_dir).name}-fold{k}", description, load_labels(dataset_dir), members)
        _run_fold(Path(bundle), fold, root / "cache", [config] if isinstance(config, str) else list(config), overrides)
    _pool(root, folds, f"{folds} folds by {by}, seed {seed}")


def _run_fold(bundle: Path, fold: Path, cache: Path, config: Sequence[str], overrides: dict[str, Any]) -> None:
    if (fold / "metrics.json").is_file():
        print(f"{fold.name}: done before")
        return
    ids = {
        "bundle_root": bundle,
        "dataset_dir": fold,
        "output_dir": fold,
        "model_dir": fold / "models",
        "cache_dir": cache,
        "calibrate": False,
        **overrides,
    }
    trained = fold / "trained"
    if not trained.is_file():
        resume = (fold / "checkpoint.pt").is_file()
        print(f"{fold.name}: {'resume' if resume else 'train'}", flush=True)
        _bundle_run(bundle, ["train.json", *config], ids | {"resume": resume}, fold / "train.log")
        trained.touch()
    print(f"{fold.name}: evaluate", flush=True)
    _bundle_run(bundle, ["train.json", *config, "evaluate.json"], ids, fold / "evaluate.log")


def _bundle_run(bundle: Path, config: Sequence[str], ids: dict[str, Any], log: Path) -> None:
    files = [str(bundle / "configs" / name) for name in config]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)]
    for name, value in ids.items():
        command += [f"--{name}", str(value)]
    with open(log, "a") as handle:
        status = subprocess.run(command, stdout=handle, stderr=subprocess.STDOUT).returncode
    if status:
        last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
        raise RuntimeError(f"cross_validate: the run ended with status {status}, see {log}: {''.join(last)}")


def _pool(root: Path, folds: int, protocol: str) -> None:
    table = {"model": _collect(root, folds, "predictions.csv")}
    for path in sorted((root / "fold0" / "baselines").glob("*.csv")):
        table[path.stem] = _collect(root, folds, f"baselines/{path.name}")
        table[f"mean of model and {path.stem}"] = _mean(table["model"][0], table[path.stem][0]), []
    figures = {name: _figures(rows) for name, (rows, _) in table.items()}
    rows, class_names = table["model"]
    write_predictions(root / "predictions.csv", rows, class_names)
    protocol = f"pooled out-of-fold predictions, {protocol}; 95 % percentile bootstrap over groups"
    write_metrics(root / "metrics.json", figures.pop("model"), figures, protocol)
    lines = ["fold,n,auroc,accuracy"]
    for k in range(folds):
        part = [row for row in rows if row["section"] == f"fold{k}"]
        values = classification_metrics(*_arrays(part))
        lines.append(f"{k},{len(part)},{values['auroc']:.4f},{values['accuracy']:.4f}")
    (root / "folds.csv").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"pooled results: {root}/metrics.json, predictions.csv and folds.csv")


def _collect(root: Path, folds: int, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    class_names: list[str] = []
    for k in range(folds):
        part, class_names = read_predictions(root / f"fold{k}" / name)
        rows += [row | {"section": f"fold{k}"} for row in part]
    return rows, class_names


def _mean(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of ``first`` with the mean of both probabilities, decided by argmax."""
    other = {row["id"]: row["prob"] for row in second}
    means = [np.mean([row["prob"], other[row["id"]]], axis=0) for row in first]
    return [row | {"prob": mean.tolist(), "pred": int(mean.argmax())} for row, mean in zip(first, means, strict=True)]


def _arrays(rows: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities = np.array([row["prob"] for row in rows])
    return probabilities, np.array([row["label"] for row in rows]), np.array([row["pred"] for row in rows])


def _figures(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    probabilities, labels, predicted = _arrays(rows)

    def statistic(index: np.ndarray) -> dict[str, float]:
        return classification_metrics(probabilities[index], labels[index], predicted[index])

    return bootstrap_intervals(statistic, [row["group"] for row in rows])
