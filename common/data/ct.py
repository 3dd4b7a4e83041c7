"""Make the datalist of a folder of CT volumes (datalist kind ``ct``)."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .ct_labels import class_numbers, match_rows, read_labels
from .ct_scan import scan_ct
from .datalist import SECTIONS, write_datalist
from .splits import split_by_group

__all__ = ["datalist_ct"]

_logger = logging.getLogger(__name__)


def datalist_ct(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
    progress: bool = False,
) -> Path:
    """Scan CT volumes, join them with their labels, split them and write ``dataset_dir/dataset.json``.

    Args:
        source: folder with DICOM series, NIfTI, NRRD or npy volumes in HU; see :func:`scan_ct`.
        dataset_dir: where `dataset.json` is written; the volumes stay where they are.
        labels: csv with the columns `id` and `label`, and optionally `group` (patient), `section` and covariates; see
            :func:`read_labels` and :func:`match_rows`. A `section` wins over the split. Without labels every case goes
            unlabelled into `test`.
        validation: share of the cases for validation.
        test: share of the cases for test.
        seed: of the split, which is stratified by label and keeps groups whole.
        skip_broken: leave unusable volumes out with a warning for each, where they would be refused.
        progress: show bars.

    Returns:
        The file.

    Raises:
        FileNotFoundError: `source` or `labels` does not exist or is empty.
        ValueError: unusable volumes, labels without images or the reverse, an ambiguous id, several series in a folder
            without a choice, a group in two sections, or too few groups for the split.
    """
    items = scan_ct(source, progress)
    if labels is None:
        cases = _usable(items, skip_broken, str(source))
        sections, names = {"test": cases}, {}
    else:
        cases, names = _label(items, read_labels(labels), str(source), skip_broken)
        sections = _split(cases, validation, test, seed)
    for case in cases:
        for key in ("place", "series"):
            case.pop(key)
    description = f"CT volumes of {os.path.basename(os.path.abspath(source))}"
    extra = {"modality": {"0": "CT"}, "seed": seed}
    return write_datalist(dataset_dir, os.path.basename(os.path.abspath(source)), description, names, sections, extra)


def _usable(items: Sequence[dict[str, Any]], skip_broken: bool, source: str) -> list[dict[str, Any]]:
    broken = [item for item in items if "error" in item]
    if broken and not skip_broken:
        listed = " | ".join(f"{item['id']}: {item['error']}" for item in broken[:5]) + (" ..." if len(broken) > 5 else "")
        raise ValueError(
            f"datalist_ct: {len(broken)} of {len(items)} volumes under {source!r} are unusable ({listed}); repair or "
            "move them, or leave them out with --skip_broken."
        )
    for item in broken:
        _logger.warning(f"left out {item['id']}: {item['error']}")
    if len(broken) == len(items):
        raise ValueError(f"datalist_ct: all {len(items)} volumes under {source!r} are unusable; repair them.")
    return [item for item in items if "error" not in item]


def _label(
    items: list[dict[str, Any]], rows: Sequence[Mapping[str, str]], source: str, skip_broken: bool
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Give each usable item its row; refuse what is left over on either side."""
    usable = _usable(items, True, source) if skip_broken else items
    broken = [item for item in items if "error" in item] if skip_broken else []
    rows = _without_broken(rows, usable, broken, source)
    row_of = match_rows(rows, usable, source)
    if bare := [item["id"] for k, item in enumerate(usable) if k not in row_of]:
        listed = ", ".join(map(repr, bare[:5])) + (" ..." if len(bare) > 5 else "")
        raise ValueError(
            f"datalist_ct: images {listed} under {source!r} have no row in the labels ({len(bare)} of {len(usable)}); "
            "add the rows or move the images away."
        )
    cases = _usable(usable, False, source)
    numbers, names = class_numbers([row_of[k]["label"] for k in range(len(cases))])
    return [_merge(case, row_of[k], numbers[k]) for k, case in enumerate(cases)], names
