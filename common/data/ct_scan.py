"""Find the CT volumes of a folder in any of the formats that the bundles read."""

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from .dicom_header import is_dicom_file
from .dicom_problems import problems
from .dicom_series import DicomSeries, scan_dicom_files, walk_files
from .volume_header import VOLUME_SUFFIXES, volume_problem, volume_suffix

__all__ = ["LOOKUP_KEYS", "find_ct", "scan_ct"]

# What find_ct adds to an item, so that a case can be found by another name than its id.
LOOKUP_KEYS = ("place", "series_uid")


def scan_ct(source: str | os.PathLike[str], progress: bool = False) -> list[dict[str, Any]]:
    """List every NIfTI, NRRD or npy volume and every DICOM series under a folder, reading headers only.

    Args:
        source: folder, searched recursively, or one file. npy volumes are `(X, Y, Z)` in HU with 1 mm voxels.
        progress: show a bar.

    Returns:
        Items in order of `id`. `id` is the path relative to `source` without suffix (with it where two files would
        share an id); of a DICOM series its folder, with ``#<SeriesInstanceUID>`` where the folder holds several.
        `image` is an absolute path or, for DICOM, the list of files in slice order; `group` is the PatientID, else
        `id`; `section` is test and `label` -1; `error` is there, and says why, only if a volume cannot be used.

    Raises:
        FileNotFoundError: `source` does not exist or holds no volume.
    """
    return [{key: item[key] for key in item if key not in LOOKUP_KEYS} for item in find_ct(source, progress)]


def find_ct(source: str | os.PathLike[str], progress: bool = False) -> list[dict[str, Any]]:
    """Do the work of :func:`scan_ct`; items also have `place` (relative path) and `series_uid`."""
    root, paths = _files(source)
    volumes, dicoms = [], []
    for path in tqdm(paths, desc="looking for volumes", unit="file", disable=not progress):
        if volume_suffix(path):
            volumes.append(path)
        elif is_dicom_file(path):
            dicoms.append(path)
    items = _series_items(scan_dicom_files(dicoms, progress), root)
    taken = Counter(item["id"] for item in items) + Counter(_place(path, root, cut=True) for path in volumes)
    items += [
        _volume_item(path, root, taken) for path in tqdm(volumes, "volume headers", disable=not (progress and volumes))
    ]
    if not items:
        raise FileNotFoundError(
            f"scan_ct: {os.fspath(source)!r} holds no DICOM series and no file of type {', '.join(VOLUME_SUFFIXES)}; "
            "check the path."
        )
    return sorted(items, key=lambda item: item["id"])


def _files(source: str | os.PathLike[str]) -> tuple[str, Iterable[str]]:
    source = os.path.abspath(source)
    if os.path.isfile(source):
        return os.path.dirname(source), [source]
    if not os.path.isdir(source):
        raise FileNotFoundError(f"scan_ct: source {source!r} does not exist; check the path.")
    return source, list(walk_files(source))


def _place(path: str, root: str, cut: bool = False) -> str:
    """Path relative to the source with forward slashes; the source itself goes by its own name."""
    place = os.path.relpath(path, root).replace(os.sep, "/")
    if place == ".":
        return os.path.basename(root)
    return place[: len(place) - len(volume_suffix(place))] if cut else place


def _volume_item(path: str, root: str, taken: Counter[str]) -> dict[str, Any]:
    name = _place(path, root, cut=True)
    name = _place(path, root) if taken[name] > 1 else name
    item = {"id": name, "image": path, "group": name, "section": "test", "label": -1}
    item |= {"place": _place(path, root), "series_uid": ""}
    problem = volume_problem(path)
    return item | {"error": problem} if problem else item


def _series_items(found: list[DicomSeries], root: str) -> list[dict[str, Any]]:
    in_folder = Counter(series.folder for series in found)
    items = []
    for k, series in enumerate(found):
        place = _place(series.folder, root)
        name = place if in_folder[series.folder] == 1 else f"{place}#{series.uid or k}"
        item: dict[str, Any] = {
            "id": name,
            "image": series.paths or [series.folder],
            "group": series.patient_id or name,
        }
        item |= {"section": "test", "label": -1, "place": place, "series_uid": series.uid}
        if texts := problems(series):
            item["error"] = "; ".join(texts)
        items.append(item)
    return items
