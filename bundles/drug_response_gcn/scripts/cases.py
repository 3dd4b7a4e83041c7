"""Where the pairs come from: a datalist, or the phantoms."""

from collections.abc import Mapping
from typing import Any

from .common.data import load_or_make
from .phantoms import PhantomSettings, make_cohort

__all__ = ["training_cases"]


def training_cases(
    dataset_dir: str, default_dir: str, rank: int = 0, phantoms: Mapping[str, Any] | None = None
) -> dict[str, list[dict]]:
    """Units of the split by section of ``dataset_dir/dataset.json``; of the phantoms when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        phantoms: settings of :class:`~.phantoms.PhantomSettings` that differ from the defaults.
    """
    return load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(**(phantoms or {})), rank)
