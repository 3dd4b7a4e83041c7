"""Cross-validation of any classification, fusion or regression bundle through its own configs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.datalist import SECTIONS, load_datalist, load_labels, write_datalist
from ..data.response_results import is_response_table
from ..data.splits import combined_strata, grouped_folds, split_by_group
from .pool_folds import pool_folds
from .pool_fusion import pool_fusion
from .pool_responses import pool_responses

__all__ = ["cross_validate"]


def cross_validate(
    bundle: str,
    dataset_dir: str,
    output_dir: str,
    folds: int | str = 5,
    by: str = "group",
    stratify: str | Sequence[str] = (),
    repeats: int = 1,
    table_by: str | None = None,
    matched_on: str | None = None,
    config: str | Sequence[str] = (),
    sections: str | Sequence[str] = ("training", "validation"),
    inner_validation: float = 0.15,
    seed: int = 0,
    **overrides: Any,
) -> None:
    """Train and evaluate a bundle on K folds; an interrupted call goes on where it stopped.

    Each fold is the test section once; a part of the others, also split by ``by``, chooses epoch and threshold.
    ``output_dir`` gets one folder a fold, the pooled out-of-fold ``predictions.csv`` (section = fold), ``metrics.json``
    with baselines on the same folds and the mean of model and baseline, a permutation test of each AUROC, and
    ``folds.csv``. Temperatures stay at 1: fitted on the small validation part of each fold they differ by chance and
    spoil the pooled ranking (``--calibrate true`` fits them). Folds of a fusion bundle are pooled by
    :func:`~.pool_fusion.pool_fusion` instead: ``metrics.csv``, ``metrics.json`` and ``comparison.csv``. Cases without
    labels are split by ``by`` and ``stratify`` alone; of three groups one tests, one validates and one trains.

    Folds of a regression bundle, known by the column ``y`` of their ``predictions.csv``, are pooled by
    :func:`~.pool_responses.pool_responses`: ``predictions.csv`` has the test cases of all folds; ``metrics.json`` the
    figures of model and baselines as means over folds, with intervals over folds, standard deviations and the number of
    folds in which the model has a lower RMSE than each baseline; ``folds.csv`` those of each fold. ``table_by`` and
    ``matched_on`` are of classes, and refused.

    Args:
        bundle: folder of the bundle.
        dataset_dir: folder with ``dataset.json``.
        output_dir: folder for everything that arises.
        folds: number of folds K, or ``all``: every value of ``by`` is a fold (``--by site --folds all`` is
            leave-one-site-out).
        by: entry of the cases that is never split (``group``, ``site``, ...).
        stratify: entry or entries (``site``) that folds share out evenly beside the class; combinations too rare for K
            folds are joined. The permutation test then permutes within them.
        repeats: how often to cut anew, with the seeds ``seed``, ``seed + 1``, ... of splits and runs; folders are
            ``repeat0/fold0``, figures the means over repeats, and ``predictions.csv`` has the mean probabilities.
        table_by: entry (``site``) for a table of figures, ``groups.csv``.
        matched_on: number (``motion``); figures named ``matched_...`` are of the pooled cases in which both classes are
            matched one to one by it, within ``table_by``, else within ``stratify``.
        config: override file or files of the bundle (``medmnist3d.json``), between train.json and evaluate.json.
        sections: sections to pool before splitting.
        inner_validation: fraction of the other folds that is the validation section.
        seed: seed of the splits.
        overrides: further ids for both runs (``--max_epochs 5``); ``num_bootstrap`` also counts for the pooled figures.

    Raises:
        ValueError: a case lacks ``by`` or another entry, there are fewer groups than folds or too few to validate,
            ``table_by`` is given for cases without labels, or ``output_dir`` holds folds of another split.
    """
    entries = [name for name in _listed(stratify) if name != "label"]
    sections = _listed(sections)
    cases = [case for part in load_datalist(dataset_dir, sections).values() for case in part]
    _check_entries(cases, [by, *entries, *([table_by] if table_by else [])], matched_on)
    labelled = any(case["label"] != -1 for case in cases)
    if table_by and not labelled:
        raise ValueError(f"cross_validate: table_by is {table_by!r}, and no case has a label; the table is of classes.")
    extra = _further_entries(dataset_dir)
    number = len({str(case[by]) for case in cases}) if folds == "all" else int(folds)
    strata = " x ".join([*entries, *(["label"] if labelled else [])])
    protocol = f"{number} folds by {by}" + (f", stratified by {strata}" if entries else "")
    root = Path(output_dir)
    folders: list[list[Path]] = []
    for repeat in range(repeats):
        parent, own_seed = (root, seed) if repeats == 1 else (root / f"repeat{repeat}", seed + repeat)
        ids = overrides if repeats == 1 else {"seed": own_seed, **overrides}
        folders.append([parent / f"fold{k}" for k in range(number)])
        for fold, members in zip(
            folders[-1], _members(cases, number, by, entries, inner_validation, own_seed), strict=True
        ):
            name = f"{Path(dataset_dir).name}-{fold.name}"
            _check_same_split(fold, members["test"])
            text = f"{fold.name} of {protocol}, seed {own_seed}"
            write_datalist(fold, name, text, load_labels(dataset_dir), members, extra)
            _run_fold(Path(bundle), root, fold, _listed(config), ids)
    protocol += f", seed {seed}" if repeats == 1 else f", mean over {repeats} repeats with seeds from {seed}"
    num_bootstrap = overrides.get("num_bootstrap", 1000)
    if (folders[0][0] / "metrics.csv").is_file():
        pool_fusion(root, folders, protocol, num_bootstrap)
        return
    if is_response_table(folders[0][0] / "predictions.csv"):
        pool_responses(root, folders, protocol, num_bootstrap)
        return
    within = entries or ([] if by == "group" else [by])
    pool_folds(root, folders, cases, protocol, within, table_by, matched_on, num_bootstrap)


def _listed(value: str | Sequence[str]) -> list[str]:
    return [part for part in value.split(",") if part] if isinstance(value, str) else list(value)


def _further_entries(dataset_dir: str) -> dict[str, Any]:
    """What ``dataset.json`` says of the data beside its cases (licence, kind of split); folds say it too."""
    content = json.loads((Path(dataset_dir) / "dataset.json").read_text(encoding="utf-8"))
    own = ("name", "description", "labels", *SECTIONS)
    return {name: value for name, value in content.items() if name not in own}


def _check_entries(cases: Sequence[dict[str, Any]], entries: Sequence[str], matched_on: str | None) -> None:
    for name in entries:
        lacking = [case["id"] for case in cases if name not in case]
        if lacking:
            raise ValueError(
                f"cross_validate: case {lacking[0]} has no entry {name!r}; add it to dataset.json or choose another."
            )
    if matched_on and not (any(matched_on in case for case in cases) and {case["label"] for case in cases} <= {0, 1}):
        raise ValueError(
            f"cross_validate: matched_on is {matched_on!r}, which needs that entry in dataset.json and labels 0 and 1."
        )


def _members(
    cases: Sequence[dict[str, Any]], folds: int, by: str, entries: Sequence[str], inner_validation: float, seed: int
) -> list[dict[str, list[dict[str, Any]]]]:
    """Cases of the three sections of each fold."""

    def strata(index: np.ndarray, minimum: int) -> tuple[list[int], list[str]]:
        part = [cases[i] for i in index]
        names = [str(case[by]) for case in part]
        columns = [[str(case[name]) for case in part] for name in entries]
        return combined_strata([case["label"] for case in part], names, columns, minimum), names

    everything = np.arange(len(cases))
    result = []
    for held_out in grouped_folds(*strata(everything, folds), folds, seed):
        others = np.setdiff1d(everything, held_out)
        if inner_validation and len({str(cases[i][by]) for i in others}) < 2:
            raise ValueError(
                f"cross_validate: a fold leaves one {by} for training and validation; take more folds, data of three or"
                " more, or --inner_validation 0."
            )
        minimum = round(1 / inner_validation) if inner_validation else 1
        parts = split_by_group(*strata(others, minimum), (1 - inner_validation, inner_validation), seed)
        chosen = {"training": others[parts[0]], "validation": others[parts[1]], "test": held_out}
        result.append({name: [cases[i] for i in sorted(index)] for name, index in chosen.items()})
    return result


def _check_same_split(fold: Path, test: Sequence[dict[str, Any]]) -> None:
    if not (fold / "dataset.json").is_file():
        return
    before = {case["id"] for case in load_datalist(fold, ["test"])["test"]}
    if before != {case["id"] for case in test}:
        raise ValueError(
            f"cross_validate: {fold} holds a fold of another split; take another output_dir or the same options."
        )


def _run_fold(bundle: Path, root: Path, fold: Path, config: Sequence[str], overrides: dict[str, Any]) -> None:
    name = fold.relative_to(root).as_posix()
    if (fold / "metrics.json").is_file():
        print(f"{name}: done before")
        return
    ids = {
        "bundle_root": bundle,
        "dataset_dir": fold,
        "output_dir": fold,
        "model_dir": fold / "models",
        "cache_dir": root / "cache",
        **({"calibrate": False} if _has_id(bundle / "configs" / "evaluate.json", "calibrate") else {}),
        **overrides,
    }
    trained = fold / "trained"
    if not trained.is_file():
        resume = (fold / "checkpoint.pt").is_file()
        print(f"{name}: {'resume' if resume else 'train'}", flush=True)
        _bundle_run(bundle, ["train.json", *config], ids | {"resume": resume}, fold / "train.log")
        trained.touch()
    print(f"{name}: evaluate", flush=True)
    _bundle_run(bundle, ["train.json", *config, "evaluate.json"], ids, fold / "evaluate.log")


def _has_id(file: Path, name: str) -> bool:
    return file.is_file() and name in json.loads(file.read_text(encoding="utf-8"))


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
