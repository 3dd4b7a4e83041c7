"""Where the cases come from: a datalist, the native layouts, or the phantoms."""

import os
from collections.abc import Mapping
from typing import Any

from .common.data import inference_region_series, load_or_make
from .phantoms import PhantomSettings, make_cohort

__all__ = ["inference_cases", "training_cases"]


def training_cases(
    dataset_dir: str, default_dir: str, rank: int = 0, phantoms: Mapping[str, Any] | None = None
) -> dict[str, list[dict]]:
    """Cases by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        phantoms: settings of :class:`~.phantoms.PhantomSettings` that differ from the defaults.
    """
    return load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(**(phantoms or {})), rank)


def inference_cases(dataset_dir: str, default_dir: str, phantoms: Mapping[str, Any] | None = None) -> list[dict]:
    """Every case there is to predict, labelled or not.

    Args:
        dataset_dir: folder with ``dataset.json``; or the tree that nilearn's ``fetch_abide_pcp`` writes, whose phenotype
            table connects the subjects; or a folder (or one file) of region series, which connect by nothing.
        default_dir: the bundle's own data folder: the test section of the phantoms.
        phantoms: as in :func:`training_cases`.

    Returns:
        Items with ``image``, ``id``, ``group``, ``section``, ``label``, the known of ``site``, ``sex`` and ``age`` and,
        for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no case.
    """
    if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
        return training_cases(dataset_dir, default_dir, phantoms=phantoms)["test"]
    return inference_region_series(dataset_dir)
