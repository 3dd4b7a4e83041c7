"""Make the datalist of a folder of CT volumes (datalist kind ``ct``)."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .ct_labels import class_numbers, match_rows, read_labels
from .ct_scan import LOOKUP_KEYS, find_ct
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
    items = find_ct(source, progress)
    cases = _usable(items, skip_broken, str(source))
    names: dict[int, str] = {}
    sections = {"test": cases}
    if labels is not None:
        cases, names = _label(items, read_labels(labels), str(source))
        sections = _split(cases, validation, test, seed)
    sections = {key: [_without_lookup(case) for case in sections[key]] for key in SECTIONS if sections.get(key)}
    description = f"CT volumes of {os.path.basename(os.path.abspath(source))}"
    extra = {"modality": {"0": "CT"}, "seed": seed}
    return write_datalist(dataset_dir, os.path.basename(os.path.abspath(source)), description, names, sections, extra)


def _usable(items: Sequence[dict[str, Any]], skip_broken: bool, source: str) -> list[dict[str, Any]]:
    broken = [item for item in items if "error" in item]
    if broken and not skip_broken:
        listed = " | ".join(f"{item['id']}: {item['error']}" for item in broken[:5]) + (
            " ..." if len(broken) > 5 else ""
        )
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
    items: Sequence[dict[str, Any]], rows: Sequence[Mapping[str, str]], source: str
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Give each usable item its row; refuse what is left over on either side."""
    row_of = match_rows(rows, items, source)
    usable = [k for k, item in enumerate(items) if "error" not in item]
    if bare := [items[k]["id"] for k in usable if k not in row_of]:
        listed = ", ".join(map(repr, bare[:5])) + (" ..." if len(bare) > 5 else "")
        raise ValueError(
            f"datalist_ct: {len(bare)} of {len(usable)} images under {source!r} have no row in the labels ({listed}); "
            "add the rows or move the images away."
        )
    numbers, names = class_numbers([row_of[k]["label"] for k in usable])
    return [_merge(items[k], row_of[k], number) for k, number in zip(usable, numbers, strict=True)], names


def _merge(item: Mapping[str, Any], row: Mapping[str, str], label: int) -> dict[str, Any]:
    covariates = {key: _value(text) for key, text in row.items() if key not in ("id", "label", "group", "section")}
    group = row.get("group") or item["group"]
    return {**item, **covariates, "label": label, "group": group, "section": row.get("section", "")}


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _split(
    cases: Sequence[dict[str, Any]], validation: float, test: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Honour the sections given by hand, let their groups follow, and split the rest."""
    section_of = {case["group"]: case["section"] for case in cases if case["section"]}
    free = [case for case in cases if case["group"] not in section_of]
    if len(free) > 1 and len({case["group"] for case in free}) == 1:
        raise ValueError(
            f"datalist_ct: all {len(free)} cases to split have the group {free[0]['group']!r} (the PatientID, where the "
            "labels give none); add a column `group` or `section` to the labels."
        )
    sections: dict[str, list[dict[str, Any]]] = {key: [] for key in SECTIONS}
    for case in cases:
        if case["group"] in section_of:
            sections[case["section"] or section_of[case["group"]]].append(case)
    if free:
        fractions = (1 - validation - test, validation, test)
        parts = split_by_group([case["label"] for case in free], [case["group"] for case in free], fractions, seed)
        for key, part in zip(SECTIONS, parts, strict=True):
            sections[key] += [free[k] for k in part]
    return sections


def _without_lookup(case: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in case.items() if key not in LOOKUP_KEYS}
