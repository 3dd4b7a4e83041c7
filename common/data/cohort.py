"""The phantom cohort that a bundle makes when it is given no data."""

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .datalist import PATH_KEYS, load_datalist

__all__ = ["load_or_make"]


def load_or_make(
    dataset_dir: str,
    default_dir: str,
    make: Callable[[Path, Any], None],
    settings: Any,
    rank: int = 0,
    path_keys: Sequence[str] = PATH_KEYS,
) -> dict[str, list[dict]]:
    """Load ``dataset_dir/dataset.json``; in the bundle's own data folder make a phantom cohort first.

    The cohort lies in ``<default_dir>/phantoms-<hash of the settings>``: other settings, another cohort. It is made in
    a temporary folder by rank 0 and renamed, so it is complete or absent; other ranks wait.

    Args:
        dataset_dir: folder of the training data; equal to ``default_dir`` means that the user gave none.
        default_dir: folder for phantoms.
        make: ``make(folder, settings)`` writes images and ``dataset.json``.
        settings: dataclass of plain values.
        rank: rank of this process.
        path_keys: entries that become absolute paths.

    Returns:
        Items by section (:func:`load_datalist`).

    Raises:
        FileNotFoundError: when a folder was given and has no ``dataset.json``.
    """
    own = os.path.abspath(dataset_dir) == os.path.abspath(default_dir)
    if not own or (Path(dataset_dir) / "dataset.json").is_file():
        return load_datalist(dataset_dir, path_keys=path_keys)
    description = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    folder = Path(default_dir) / f"phantoms-{hashlib.sha256(description.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        if rank == 0:
            _make(folder, make, settings)
        else:
            _wait(folder)
    return load_datalist(folder, path_keys=path_keys)


def _make(folder: Path, make: Callable[[Path, Any], None], settings: Any) -> None:
    logger = logging.getLogger("phantoms")
    logger.info(f"no --dataset_dir: making synthetic phantoms (not patients) once in {folder}")
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        make(temporary, settings)
        try:
            temporary.rename(folder)
        except OSError:  # another run was faster and made the same cohort
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _wait(folder: Path, limit_seconds: float = 1800) -> None:
    end = time.monotonic() + limit_seconds
    while not folder.is_dir():
        if time.monotonic() > end:
            raise TimeoutError(f"load_or_make: rank 0 made no cohort in {folder} within {limit_seconds:.0f} s.")
        time.sleep(0.5)
