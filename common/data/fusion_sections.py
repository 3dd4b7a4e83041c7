"""Where the cases of a fusion bundle come from: a datalist, the native layouts, or the phantoms."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .brain_phantoms import PhantomSettings, make_cohort
from .cohort import load_or_make
from .fusion_cases import FUSION_KEYS, choose_sequences, scan_fusion

__all__ = ["fusion_inference_cases", "fusion_training_cases"]


def fusion_training_cases(
    dataset_dir: str,
    default_dir: str,
    rank: int = 0,
    settings: Mapping[str, Any] | None = None,
    sequences: Sequence[str] | None = None,
) -> dict[str, list[dict]]:
    """Cases by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        settings: those of :class:`PhantomSettings` that differ from the defaults.
        sequences: which MRI sequences to fuse where ``image`` lists a file of each, see :func:`scan_fusion`.

    Returns:
        Items by section; paths are absolute, that of the label map ``truth`` too.

    Raises:
        ValueError: a case has no file of one of ``sequences``.
    """
    cases = _load(dataset_dir, default_dir, rank, settings, sequences)
    for case in (case for part in cases.values() for case in part):
        if "error" in case:
            raise ValueError(f"fusion_training_cases: case {case['id']!r} of {dataset_dir}: {case['error']}.")
    return cases


def fusion_inference_cases(
    dataset_dir: str | Sequence[str],
    default_dir: str,
    settings: Mapping[str, Any] | None = None,
    sequences: Sequence[str] | None = None,
    registered: bool = True,
) -> list[dict]:
    """Every case there is to fuse.

    Args:
        dataset_dir: folder with ``dataset.json``; or a folder with CT, PET or SPECT beside MRI, of BraTS subjects or
            of multi-channel NIfTI files; or two folders or files with a comma between (see :func:`scan_fusion`).
        default_dir: the bundle's own data folder: the test section of the phantoms.
        settings: as in :func:`fusion_training_cases`.
        sequences: as in :func:`fusion_training_cases`.
        registered: False for sources that the preprocessing brings to one grid, see :func:`scan_fusion`.

    Returns:
        Items with ``image``, ``mri`` (unless ``image`` holds all sources), ``truth`` (where a label map is known),
        ``id``, ``group``, ``section``, ``label`` and, for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no case.
    """
    if isinstance(dataset_dir, str):
        if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
            return _load(dataset_dir, default_dir, 0, settings, sequences)["test"]
        if (Path(dataset_dir) / "dataset.json").is_file():
            cases = _load(dataset_dir, default_dir, 0, settings, sequences)
            return [case for part in cases.values() for case in part]
    return scan_fusion(dataset_dir, sequences, registered)


def _load(
    dataset_dir: str,
    default_dir: str,
    rank: int,
    settings: Mapping[str, Any] | None,
    sequences: Sequence[str] | None,
) -> dict[str, list[dict]]:
    """Cases of the datalist, or of the phantoms, with the sequences chosen."""
    made_with = PhantomSettings(**(settings or {}))
    found = load_or_make(dataset_dir, default_dir, make_cohort, made_with, rank, path_keys=FUSION_KEYS)
    return {section: [choose_sequences(case, sequences) for case in cases] for section, cases in found.items()}
