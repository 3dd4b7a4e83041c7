"""Make the datalist of any images to fuse (datalist kind ``fusion``)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .datalist import write_datalist
from .fusion_cases import FUSION_KEYS, scan_fusion
from .fusion_pairs import PICTURE_SUFFIXES, split_by_patient, usable_pairs

__all__ = ["datalist_fusion"]


def datalist_fusion(
    source: str | os.PathLike[str] | Sequence[str],
    dataset_dir: str | os.PathLike[str],
    groups: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
    progress: bool = False,
    sequences: Sequence[str] | None = None,
    registered: bool = True,
) -> Path:
    """List the cases of a folder, split them by patient and write ``dataset_dir/dataset.json``.

    Args:
        source: what :func:`scan_fusion` takes.
        dataset_dir: where `dataset.json` is written; the images stay where they are.
        groups: regular expression searched in each id, whose first bracket is the patient (``(.+)_slice``); None
            takes the PatientID, the patient's folder, or for volumes the id.
        validation: share of the cases for validation; at least one patient if it is not 0.
        test: share of the cases for test; at least one patient if it is not 0.
        seed: of the split, which keeps the cases of a patient together.
        skip_broken: leave unusable cases out with a warning for each, where they would be refused.
        progress: show a bar over DICOM headers.
        sequences: which MRI sequences a BraTS subject must have and lists, see :func:`scan_fusion`.
        registered: False takes subjects whose sequences lie on different grids, see :func:`scan_fusion`.

    Returns:
        The file; a case whose label map is known has it as `truth`.

    Raises:
        FileNotFoundError: `source` does not exist or holds no case.
        ValueError: unusable cases, pictures whose patient is unknown, `groups` that does not fit, or fewer patients
            than sections.
    """
    place = source if isinstance(source, str | os.PathLike) else ",".join(map(str, source))
    cases = scan_fusion(source, sequences, registered, progress)
    cases = usable_pairs(cases, skip_broken, place, "datalist_fusion")
    cases = [case | {"group": _group(case, groups)} for case in cases]
    sections = split_by_patient(cases, validation, test, seed)
    name = os.path.basename(os.path.abspath(place))
    text = f"images of {name} to fuse, split by patient"
    return write_datalist(dataset_dir, name, text, {}, sections, {"seed": seed}, FUSION_KEYS)


def _group(case: dict[str, Any], groups: str | None) -> str:
    if groups is not None:
        match = re.search(groups, case["id"])
        if match is None or not match.groups() or match[1] is None:
            raise ValueError(
                f"datalist_fusion: groups is {groups!r}, which finds no bracket in the id {case['id']!r}; correct it."
            )
        return match[1]
    image = case["image"]
    if case["group"] == case["id"] and isinstance(image, str) and image.lower().endswith(PICTURE_SUFFIXES):
        raise ValueError(
            f"datalist_fusion: picture {case['id']!r} does not tell its patient, and slices of one patient must not be "
            "in two sections; give --groups, a regular expression whose first bracket is the patient in the id, such as "
            "'(.+)_', or '(.+)' if each picture is another patient's."
        )
    return case["group"]
