"""Find DICOM series by their headers: grouped by SeriesInstanceUID, slices in order along the slice normal."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from .dicom_header import DicomSlice, is_dicom_file, read_slice

__all__ = ["DicomSeries", "group_slices", "scan_dicom", "scan_dicom_files", "walk_files"]


@dataclass(frozen=True, slots=True)
class DicomSeries:
    """Slices of one SeriesInstanceUID in ascending order along the slice normal (row x column).

    Args:
        uid: SeriesInstanceUID, empty where an anonymiser removed it.
        slices: ordered by position; by InstanceNumber where geometry is missing.
        folder: the folder that holds all slices, absolute.
        unreadable: "file (reason)" for each DICOM file in the folders of this series that could not be read.
    """

    uid: str
    slices: tuple[DicomSlice, ...]
    folder: str
    unreadable: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Files in slice order."""
        return [one.path for one in self.slices]

    @property
    def patient_id(self) -> str:
        """PatientID of the first slice, empty where it was removed."""
        return self.slices[0].patient_id if self.slices else ""

    @property
    def positions_mm(self) -> np.ndarray:
        """ImagePositionPatient of each slice, `(Z, 3)`, LPS."""
        return np.array([one.position_mm for one in self.slices], dtype=np.float64).reshape(-1, 3)

    @property
    def normal(self) -> np.ndarray:
        """Direction of a row x direction of a column of the first slice, `(3,)`, LPS, length 1."""
        return _normal(self.slices[0])


def scan_dicom(folder: str | os.PathLike[str], progress: bool = False) -> list[DicomSeries]:
    """Read the header of every DICOM file under a folder and group the files into series.

    Args:
        folder: searched recursively; files of any name count, except hidden ones and DICOMDIR.
        progress: show a bar.

    Returns:
        Series in order of folder and uid; empty when there is no DICOM image.

    Raises:
        FileNotFoundError: `folder` is no directory.
    """
    return scan_dicom_files((path for path in walk_files(folder) if is_dicom_file(path)), progress)


def walk_files(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the absolute names of all visible files under a folder in sorted order, links included, loops excluded.

    Raises:
        FileNotFoundError: `folder` is no directory.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"walk_files: folder {os.fspath(folder)!r} is no directory; check the path.")
    seen = set()
    for root, folders, files in os.walk(os.path.abspath(folder), followlinks=True):
        if os.path.realpath(root) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(root, name) for name in sorted(files) if not name.startswith("."))


def scan_dicom_files(paths: Iterable[str], progress: bool = False) -> list[DicomSeries]:
    """Group DICOM files into series, reading headers only.

    Args:
        paths: absolute names of DICOM files.
        progress: show a bar.
    """
    slices: list[DicomSlice] = []
    unreadable: dict[str, list[str]] = defaultdict(list)
    for path in tqdm(paths, desc="DICOM headers", unit="file", disable=not progress or not paths):
        try:
            one = read_slice(path)
        except Exception as error:  # pydicom raises many types on damaged bytes: all mean "unreadable"
            reason = str(error).partition("\n")[0] or type(error).__name__
            unreadable[os.path.dirname(path)].append(f"{os.path.basename(path)} ({reason})")
            continue
        if one is not None:
            slices.append(one)
    return group_slices(slices, unreadable)


def group_slices(slices: Iterable[DicomSlice], unreadable: Mapping[str, list[str]] | None = None) -> list[DicomSeries]:
    """Group slices by SeriesInstanceUID (by folder where it is empty) and order each group.

    Args:
        slices: in any order.
        unreadable: broken files by folder; they are charged to every series of that folder, as any may lack them.
            A folder with nothing else gives a series without slices.
    """
    groups: dict[tuple[str, str], list[DicomSlice]] = defaultdict(list)
    for one in slices:
        groups[(one.series_uid, "" if one.series_uid else os.path.dirname(one.path))].append(one)
    broken = dict(unreadable or {})
    found, used = [], set()
    for (uid, _), members in groups.items():
        folders = sorted({os.path.dirname(one.path) for one in members})
        texts = tuple(text for folder in folders for text in broken.get(folder, []))
        found.append(DicomSeries(uid, _in_order(members), os.path.commonpath(folders), texts))
        used.update(folders)
    found += [DicomSeries("", (), folder, tuple(texts)) for folder, texts in broken.items() if folder not in used]
    return sorted(found, key=lambda series: (series.folder, series.uid))


def _in_order(slices: list[DicomSlice]) -> tuple[DicomSlice, ...]:
    if not all(one.position_mm and one.orientation for one in slices):
        return tuple(sorted(slices, key=lambda one: (one.instance_number, one.path)))
    along_mm = np.array([one.position_mm for one in slices]) @ _normal(slices[0])
    order = sorted(range(len(slices)), key=lambda k: (along_mm[k], slices[k].path))
    return tuple(slices[k] for k in order)


def _normal(one: DicomSlice) -> np.ndarray:
    normal = np.cross(one.orientation[:3], one.orientation[3:])
    return normal / max(float(np.linalg.norm(normal)), 1e-12)
