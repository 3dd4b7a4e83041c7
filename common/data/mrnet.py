"""Make the datalist of knee MRI laid out as Stanford ships MRNet-v1.0 (datalist kind ``mrnet``)."""

import csv
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from tqdm import tqdm

from .datalist import write_datalist
from .splits import combined_strata, split_by_group

__all__ = ["PLANES", "TASKS", "datalist_mrnet", "mrnet_items"]

PLANES = ("axial", "coronal", "sagittal")
TASKS = ("abnormal", "acl", "meniscus")
LABELS = {0: "normal", 1: "abnormal"}
_PARTS = ("train", "valid")
_SUFFIXES = (".npy", ".nii.gz", ".nii")
_LAYOUT = "MRNet-v1.0/{train,valid}/{axial,coronal,sagittal}/0000.npy (or .nii.gz)"

_logger = logging.getLogger(__name__)


def datalist_mrnet(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    validation: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
    progress: bool = False,
) -> Path:
    """Join the planes and labels of each exam and write ``dataset_dir/dataset.json``.

    The official `valid` becomes the test section, to be reported once; `train` is split by exam into training and
    validation, stratified by the combination of the three labels.

    Args:
        source: folder with ``{train,valid}/{axial,coronal,sagittal}/0000.npy`` (or ``.nii.gz``) and
            ``{train,valid}-{abnormal,acl,meniscus}.csv`` of rows ``0000,1`` without a header, or its parent.
        dataset_dir: where `dataset.json` is written; the volumes stay where they are.
        validation: share of `train` for validation.
        seed: of the split.
        skip_broken: leave exams without a plane or a label, or with an unusable volume, out with a warning for each,
            where they would be refused.
        progress: show a bar.

    Returns:
        The file. Its cases have `id`, `group` (the exam), one path per plane, one label per task and `label`, which
        is `abnormal`.

    Raises:
        FileNotFoundError: `source`, `train` or `valid` do not exist.
        ValueError: an unusable exam, a csv that is not ids and labels, or too few exams for the split.
    """
    root = _root(source)
    if absent := [part for part in _PARTS if not (root / part).is_dir()]:
        raise FileNotFoundError(
            f"datalist_mrnet: {str(root)!r} has no folder {absent[0]!r}; give the folder as shipped, {_LAYOUT}."
        )
    if not 0 <= validation < 1:
        raise ValueError(f"datalist_mrnet: validation is {validation}, a share of train in [0, 1); take 0.15.")
    cases = {part: _labelled(root / part, skip_broken, progress) for part in _PARTS}
    sections = _split(cases["train"], validation, seed) | {"test": cases["valid"]}
    description = "Stanford MRNet layout: training and validation are a split of train, test is the official valid"
    extra = {"modality": {"0": "MRI"}, "seed": seed, "tasks": list(TASKS)}
    return write_datalist(dataset_dir, "MRNet-v1.0", description, LABELS, sections, extra)


def mrnet_items(source: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """List every exam of a folder to predict, labelled where a csv says so.

    Args:
        source: the folder of :func:`datalist_mrnet`; or one with ``{axial,coronal,sagittal}/NAME.npy`` (its labels
            are in ``<folder>-<task>.csv`` beside it, if anywhere); or one exam's folder, or a folder of such, with
            ``{axial,coronal,sagittal}.npy``; NIfTI in the place of npy.

    Returns:
        Items in order of `id` with `group`, `section` (training for `train`, else test), a path for each plane that
        is there, and a label of each task and `label` (-1 where not known).

    Raises:
        FileNotFoundError: `source` does not exist or holds no exam.
        ValueError: an id in both parts, a plane in two files, or a csv that is not ids and labels.
    """
    root = _root(source)
    folders = [root / part for part in _PARTS if (root / part).is_dir()] or [root]
    items: dict[str, dict[str, Any]] = {}
    for folder in folders:
        labels = {task: _read_labels(_csv(folder, task)) for task in TASKS}
        for name, planes in (_exams(folder) or _exam_folders(folder)).items():
            if name in items:
                raise ValueError(f"mrnet_items: exam {name!r} is in train and in valid; rename one.")
            known = {task: labels[task].get(name, -1) for task in TASKS}
            items[name] = _item(name, planes, known) | {"section": "training" if folder.name == "train" else "test"}
    if not items:
        raise FileNotFoundError(
            f"mrnet_items: {str(root)!r} holds no exam; give a folder like {_LAYOUT}, one with the folders "
            f"{', '.join(PLANES)}, or one exam with {', '.join(f'{plane}.npy' for plane in PLANES)} (or .nii.gz)."
        )
    return [items[name] for name in sorted(items)]


def _root(source: str | os.PathLike[str]) -> Path:
    path = Path(source).absolute()
    if not path.is_dir():
        raise FileNotFoundError(f"mrnet: source {str(path)!r} is no folder; check the path.")
    inner = path / "MRNet-v1.0"
    return inner if inner.is_dir() and not any((path / part).is_dir() for part in _PARTS) else path


def _labelled(folder: Path, skip_broken: bool, progress: bool) -> list[dict[str, Any]]:
    """Complete exams of one part; what the others lack is refused or logged."""
    exams = _exams(folder)
    labels = {task: _read_labels(_csv(folder, task)) for task in TASKS}
    names = sorted({*exams, *(name for known in labels.values() for name in known)})
    lost, items = {}, []
    for name in tqdm(names, f"reading {folder.name}", unit="exam", disable=not progress):
        planes = exams.get(name, {})
        if problem := "; ".join(_problems(name, planes, labels, folder)):
            lost[name] = problem
        else:
            items.append(_item(name, planes, {task: labels[task][name] for task in TASKS}))
    if not items or (lost and not skip_broken):
        listed = " | ".join(f"{name} {problem}" for name, problem in list(lost.items())[:5])
        raise ValueError(
            f"datalist_mrnet: {len(lost)} exams of {str(folder)!r} are unusable, {len(items)} are well ({listed}"
            f"{' ...' if len(lost) > 5 else ''}); restore the files, or leave such exams out with --skip_broken."
        )
    for name, problem in lost.items():
        _logger.warning(f"left out exam {name} of {folder.name}: {problem}")
    return items


def _problems(
    name: str, planes: Mapping[str, Path], labels: Mapping[str, Mapping[str, int]], folder: Path
) -> Iterator[str]:
    for plane in PLANES:
        if plane not in planes:
            yield f"has no {plane} volume"
        elif fault := _fault(planes[plane]):
            yield f"has an unusable {plane} volume ({fault})"
    for task in TASKS:
        if name not in labels[task]:
            file = _csv(folder, task)
            yield f"has no {task} label ({file.name} {'has no such row' if file.is_file() else 'does not exist'})"


def _fault(file: Path) -> str:
    """What is wrong with the header of a volume; empty when nothing is."""
    try:
        if file.name.endswith(".npy"):
            shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
        else:
            shape = nibabel.load(file).shape  # type: ignore[attr-defined]
    except Exception as error:  # every reader fails in its own way
        return f"{file.name}: {error}".splitlines()[0]
    return "" if len(shape) == 3 and min(shape) > 0 else f"{file.name} has the shape {tuple(shape)}, not (S, H, W)"


def _exams(folder: Path) -> dict[str, dict[str, Path]]:
    """Plane files of each exam id under ``<folder>/<plane>/``."""
    exams: dict[str, dict[str, Path]] = {}
    for plane in PLANES:
        for stem, path in _volumes(folder / plane).items():
            exams.setdefault(_padded(stem), {})[plane] = path
    return exams


def _exam_folders(folder: Path) -> dict[str, dict[str, Path]]:
    """Plane files of a folder that is one exam, or whose folders are."""
    exams = {}
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if planes := {stem: path for stem, path in _volumes(place).items() if stem in PLANES}:
            exams[place.name] = planes
    return exams


def _volumes(folder: Path) -> dict[str, Path]:
    """Volumes of one folder by file name without suffix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        suffix = next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), None)
        if suffix is None or path.name.startswith("."):
            continue
        stem = path.name.removesuffix(suffix)
        if stem in found:
            raise ValueError(f"mrnet: {folder} holds {found[stem].name} and {path.name} of one exam; keep one of them.")
        found[stem] = path
    return found


def _csv(folder: Path, task: str) -> Path:
    return folder.with_name(f"{folder.name}-{task}.csv")


def _read_labels(file: Path) -> dict[str, int]:
    """Label of each padded id; empty when there is no file."""
    if not file.is_file():
        return {}
    labels: dict[str, int] = {}
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for number, row in enumerate(csv.reader(stream), start=1):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != 2 or cells[1] not in ("0", "1"):
                raise ValueError(
                    f"mrnet: line {number} of {file} is {','.join(row)!r}, and must be an id and 0 or 1 (0000,1), "
                    "without a header; correct it."
                )
            name = _padded(cells[0])
            if name in labels:
                raise ValueError(f"mrnet: {file} has two rows of exam {name!r}; keep one.")
            labels[name] = int(cells[1])
    return labels


def _padded(name: str) -> str:
    return name.zfill(4) if name.isdecimal() else name


def _item(name: str, planes: Mapping[str, Path], labels: Mapping[str, int]) -> dict[str, Any]:
    paths = {plane: str(planes[plane]) for plane in PLANES if plane in planes}
    return {"id": name, "group": name, "label": labels["abnormal"], **paths, **labels}


def _split(cases: Sequence[dict[str, Any]], validation: float, seed: int) -> dict[str, list[dict[str, Any]]]:
    if not validation:
        return {"training": list(cases)}
    names = [case["id"] for case in cases]
    abnormal, acl, meniscus = ([case[task] for case in cases] for task in TASKS)
    strata = combined_strata(abnormal, names, [acl, meniscus], max(2, round(1 / validation)))
    parts = split_by_group(strata, names, (1 - validation, validation), seed)
    return {name: [cases[k] for k in part] for name, part in zip(("training", "validation"), parts, strict=True)}
