"""Where the cases come from: a datalist, the native layouts, or the phantoms."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .common.data import load_datalist, load_or_make, scan_fusion
from .phantoms import PhantomSettings, make_cohort

__all__ = ["inference_cases", "training_cases"]


def training_cases(
    dataset_dir: str, default_dir: str, rank: int = 0, settings: Mapping[str, Any] | None = None
) -> dict[str, list[dict]]:
    """Cases by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        settings: those of :class:`~.phantoms.PhantomSettings` that differ from the defaults.
    """
    return load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(**(settings or {})), rank)


def inference_cases(
    dataset_dir: str | Sequence[str], default_dir: str, settings: Mapping[str, Any] | None = None
) -> list[dict]:
    """Every case there is to fuse.

    Args:
        dataset_dir: folder with ``dataset.json``; or a folder with CT, PET or SPECT beside MRI, of BraTS subjects or
            of multi-channel NIfTI files; or two folders or files with a comma between (see :func:`scan_fusion`).
        default_dir: the bundle's own data folder: the test section of the phantoms.
        settings: as in :func:`training_cases`.

    Returns:
        Items with ``image``, ``mri`` (unless ``image`` holds all sources), ``id``, ``group``, ``section``, ``label``
        and, for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no case.
    """
    if isinstance(dataset_dir, str):
        if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
            return training_cases(dataset_dir, default_dir, settings=settings)["test"]
        if (Path(dataset_dir) / "dataset.json").is_file():
            return [case for part in load_datalist(dataset_dir).values() for case in part]
    return scan_fusion(dataset_dir)
