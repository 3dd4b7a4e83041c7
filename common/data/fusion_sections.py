"""Where the cases of a fusion bundle come from: a datalist, the native layouts, or the phantoms."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .brain_phantoms import PhantomSettings, make_cohort
from .cohort import load_or_make
from .datalist import load_datalist
from .fusion_cases import scan_fusion

__all__ = ["fusion_inference_cases", "fusion_training_cases"]


def fusion_training_cases(
    dataset_dir: str, default_dir: str, rank: int = 0, settings: Mapping[str, Any] | None = None
) -> dict[str, list[dict]]:
    """Cases by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        settings: those of :class:`PhantomSettings` that differ from the defaults.
    """
    return load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(**(settings or {})), rank)


def fusion_inference_cases(
    dataset_dir: str | Sequence[str], default_dir: str, settings: Mapping[str, Any] | None = None
) -> list[dict]:
    """Every case there is to fuse.

    Args:
        dataset_dir: folder with ``dataset.json``; or a folder with CT, PET or SPECT beside MRI, of BraTS subjects or
            of multi-channel NIfTI files; or two folders or files with a comma between (see :func:`scan_fusion`).
        default_dir: the bundle's own data folder: the test section of the phantoms.
        settings: as in :func:`fusion_training_cases`.

    Returns:
        Items with ``image``, ``mri`` (unless ``image`` holds all sources), ``id``, ``group``, ``section``, ``label``
        and, for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no case.
    """
    if isinstance(dataset_dir, str):
        if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
            return fusion_training_cases(dataset_dir, default_dir, settings=settings)["test"]
        if (Path(dataset_dir) / "dataset.json").is_file():
            return [case for part in load_datalist(dataset_dir).values() for case in part]
    return scan_fusion(dataset_dir)
