"""Where the cases come from: a datalist, the native layouts, or the phantoms."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .common.data import combined_strata, grouped_folds, load_datalist, load_or_make, mrnet_items
from .names import TASKS, member_name
from .phantoms import PhantomSettings, make_cohort

__all__ = ["exam_cases", "inference_cases", "training_cases"]

_logger = logging.getLogger(__name__)


def exam_cases(
    dataset_dir: str,
    default_dir: str,
    rank: int = 0,
    fold: int | None = None,
    num_folds: int = 5,
    seed: int = 0,
    phantoms: Mapping[str, Any] | None = None,
) -> dict[str, list[dict]]:
    """Exams by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        fold: moves this fold of the training exams, 0 to `num_folds` - 1, to a further section ``held_out``. Folds
            keep groups whole and the mix of the three labels even, and are the same for every plane and task.
        num_folds: number of folds.
        seed: of the folds.
        phantoms: settings of :class:`~.phantoms.PhantomSettings` that differ from the defaults.

    Returns:
        Items with the paths of their planes and the labels of the tasks.

    Raises:
        FileNotFoundError: when a folder was given and has no ``dataset.json``.
        ValueError: when there is no such fold.
    """
    sections = load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(**(phantoms or {})), rank)
    if fold is None:
        return sections
    if not 0 <= fold < num_folds:
        raise ValueError(f"exam_cases: fold is {fold}, and {num_folds} folds are 0 to {num_folds - 1}; take one.")
    exams = sections["training"]
    groups = [exam["group"] for exam in exams]
    abnormal, acl, meniscus = ([_label(exam, task) for exam in exams] for task in TASKS)
    strata = combined_strata(abnormal, groups, [acl, meniscus], num_folds)
    chosen = set(grouped_folds(strata, groups, num_folds, seed)[fold].tolist())
    parts = {
        "training": [exam for k, exam in enumerate(exams) if k not in chosen],
        "held_out": [exam for k, exam in enumerate(exams) if k in chosen],
    }
    return sections | parts


def training_cases(
    dataset_dir: str,
    default_dir: str,
    plane: str,
    task: str,
    rank: int = 0,
    fold: int | None = None,
    num_folds: int = 5,
    seed: int = 0,
    phantoms: Mapping[str, Any] | None = None,
) -> dict[str, list[dict]]:
    """Cases of one plane and one task by section: items of :func:`exam_cases` with ``image`` and ``label``.

    Exams without a label of the task are left out, of test they stay with -1; test exams without the plane are left
    out and logged.

    Args:
        dataset_dir: as in :func:`exam_cases`.
        default_dir: as in :func:`exam_cases`.
        plane: axial, coronal or sagittal; its path becomes ``image``.
        task: abnormal, acl or meniscus; its label becomes ``label``.
        rank: as in :func:`exam_cases`.
        fold: as in :func:`exam_cases`.
        num_folds: as in :func:`exam_cases`.
        seed: as in :func:`exam_cases`.
        phantoms: as in :func:`exam_cases`.

    Raises:
        FileNotFoundError: when a folder was given and has no ``dataset.json``.
        ValueError: for an unknown plane, task or fold, a labelled exam to train with that lacks the plane, or a
            section without a label of the task.
    """
    member_name(plane, task)
    sections = exam_cases(dataset_dir, default_dir, rank, fold, num_folds, seed, phantoms)
    return {name: _plane_cases(exams, name, plane, task) for name, exams in sections.items()}


def inference_cases(dataset_dir: str, default_dir: str, phantoms: Mapping[str, Any] | None = None) -> list[dict]:
    """Every exam there is to predict, labelled or not, with the planes that it has.

    Args:
        dataset_dir: folder with ``dataset.json``; or laid out as MRNet-v1.0 or a part of it; or one exam's folder,
            or a folder of such (:func:`~.common.data.mrnet_items`).
        default_dir: the bundle's own data folder: the test section of the phantoms.
        phantoms: as in :func:`exam_cases`.

    Returns:
        Items with ``id``, ``group``, ``section``, ``label``, a path for each plane and a label for each task.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no exam.
    """
    source = Path(dataset_dir)
    if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
        return exam_cases(dataset_dir, default_dir, phantoms=phantoms)["test"]
    if not source.is_dir():
        raise FileNotFoundError(
            f"inference_cases: dataset_dir {source} is no folder; give a datalist's folder, one like MRNet-v1.0, or "
            "one exam with axial.npy, coronal.npy and sagittal.npy (or .nii.gz)."
        )
    if (source / "dataset.json").is_file():
        return [case for part in load_datalist(source).values() for case in part]
    return mrnet_items(source)


def _plane_cases(exams: Sequence[dict], section: str, plane: str, task: str) -> list[dict]:
    cases = []
    for exam in exams:
        label = _label(exam, task)
        if section != "test" and label == -1:
            continue
        if plane in exam:
            cases.append({**exam, "image": exam[plane], "label": label})
        elif section == "test":
            _logger.info(f"left out exam {exam['id']} of test: it has no {plane} plane")
        else:
            raise ValueError(
                f"training_cases: exam {exam['id']!r} of {section} has no {plane} plane; restore the file, or leave "
                "the exam out of dataset.json."
            )
    if exams and not cases and section != "test":
        raise ValueError(f"training_cases: no exam of {section} has a label of {task!r}; add labels or take a task.")
    return cases


def _label(exam: Mapping[str, Any], task: str) -> int:
    return int(exam.get(task, -1))
