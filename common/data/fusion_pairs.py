"""Pair the images of two folders by name: pictures, NIfTI, DICOM."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
from PIL import Image

from .datalist import SECTIONS
from .dicom_header import is_dicom_file
from .dicom_problems import problems
from .dicom_series import DicomSeries, scan_dicom_files, walk_files
from .splits import split_by_group

__all__ = ["NIFTI_SUFFIXES", "PICTURE_SUFFIXES", "nifti_channels", "pair_folders", "split_by_patient", "usable_pairs"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
NIFTI_SUFFIXES = (".nii.gz", ".nii")


_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Source:
    """One image: a file, or the files of a DICOM series in slice order."""

    paths: list[str]
    patient: str = ""
    problem: str = ""

    @property
    def value(self) -> str | list[str]:
        return self.paths[0] if len(self.paths) == 1 else self.paths


def pair_folders(
    first: str | os.PathLike[str], second: str | os.PathLike[str], single: bool = False, progress: bool = False
) -> list[dict[str, Any]]:
    """Pair the images of two folders that have the same place and name without suffix, reading headers only.

    A DICOM series goes by the name of its folder, or by that of its first file where the folder holds several series.

    Args:
        first: folder of the CT, PET or SPECT, or one file.
        second: folder of the MRI, or one file.
        single: pair them whatever their names where each folder holds exactly one image.
        progress: show a bar over DICOM headers.

    Returns:
        Items in order of `id`, the place below `first` (``.`` for the folder itself). `image` and `mri` are absolute
        paths or lists of the files of a DICOM series; `group` is the PatientID where there is one, else `id`; `error`
        is there only if a pair cannot be used, and then `image` or `mri` may be missing.
    """
    folders = {"image": os.path.abspath(first), "mri": os.path.abspath(second)}
    sides = {key: _sources(folder, progress) for key, folder in folders.items()}
    if single and all(len(side) == 1 for side in sides.values()):
        name = min(sides["image"])
        sides["mri"] = {name: next(iter(sides["mri"].values()))}
    return [_pair(name, sides, folders) for name in sorted({*sides["image"], *sides["mri"]})]


def nifti_channels(path: str | os.PathLike[str]) -> tuple[int, str]:
    """Channels of a NIfTI file `(X, Y[, Z[, N]])` by its header, and why it cannot be read, or the empty string."""
    try:
        image: Any = nibabel.load(path)
    except Exception as error:  # nibabel and zlib raise many types on damaged bytes
        return 0, f"unreadable header ({str(error).partition(chr(10))[0] or type(error).__name__})"
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        return 0, f"voxels of type {dtype} are no numbers"
    if not 2 <= len(image.shape) <= 4:
        return 0, f"shape {image.shape} is none of (X, Y), (X, Y, Z), (X, Y, Z, N)"
    return int(image.shape[3]) if len(image.shape) == 4 else 1, ""


def usable_pairs(
    cases: Sequence[dict[str, Any]], skip_broken: bool, source: str | os.PathLike[str], caller: str
) -> list[dict[str, Any]]:
    """Cases without an `error`; the others are refused, or left out with a warning for each.

    Args:
        cases: items with `id`.
        skip_broken: leave cases with an error out, if there are others.
        source: where they come from, for the message.
        caller: name of the function that asks, for the message.

    Raises:
        ValueError: cases with an error that may not be left out.
    """
    broken = [case for case in cases if "error" in case]
    if broken and (len(broken) == len(cases) or not skip_broken):
        listed = " | ".join(f"{case['id']}: {case['error']}" for case in broken[:5]) + " ..." * (len(broken) > 5)
        raise ValueError(
            f"{caller}: {len(broken)} of {len(cases)} pairs under {os.fspath(source)!r} are unusable ({listed}); repair "
            "or move them, or leave some out with --skip_broken."
        )
    for case in broken:
        _logger.warning(f"left out {case['id']}: {case['error']}")
    return [case for case in cases if "error" not in case]


def split_by_patient(
    cases: Sequence[dict[str, Any]], validation: float, test: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Sections of cases without labels; a section without cases is left out.

    Args:
        cases: items with `group`, which stays whole.
        validation: share of the cases for validation; at least one group if it is not 0.
        test: share of the cases for test; at least one group if it is not 0.
        seed: of the split.
    """
    groups = [case["group"] for case in cases]
    parts = split_by_group([-1] * len(cases), groups, (1 - validation - test, validation, test), seed)
    return {key: [cases[k] for k in part] for key, part in zip(SECTIONS, parts, strict=True) if len(part)}


def _pair(name: str, sides: dict[str, dict[str, list[_Source]]], folders: dict[str, str]) -> dict[str, Any]:
    pair: dict[str, Any] = {"id": name, "group": name}
    errors, patients = list[str](), list[str]()
    for key, other in (("image", "mri"), ("mri", "image")):
        found = sides[key].get(name, [])
        if not found:
            errors.append(f"{sides[other][name][0].paths[0]} has no partner in {folders[key]}")
        elif len(found) > 1:
            errors.append(f"{len(found)} images go by this name: {', '.join(one.paths[0] for one in found)}")
        else:
            pair[key] = found[0].value
            patients += [found[0].patient] * bool(found[0].patient)
            errors += [found[0].problem] * bool(found[0].problem)
    if len(set(patients)) > 1:
        errors.append(f"image is of patient {patients[0]} and mri of {patients[1]}")
    pair["group"] = next(iter(patients), name)
    return pair | {"error": "; ".join(errors)} if errors else pair


def _sources(folder: str, progress: bool) -> dict[str, list[_Source]]:
    """Images by their place below the folder without suffix."""
    found, dicoms = defaultdict(list), []
    root = os.path.dirname(folder) if os.path.isfile(folder) else folder
    for path in [folder] if root != folder else walk_files(folder):
        suffix = _suffix(path)
        if suffix:
            name = _place(path, root)
            found[name[: -len(suffix)]].append(_Source([path], problem=_problem(path, suffix)))
        elif is_dicom_file(path):
            dicoms.append(path)
    series = [one for one in scan_dicom_files(dicoms, progress) if one.slices or one.unreadable]
    in_folder = Counter(one.folder for one in series)
    for one in series:
        alone = in_folder[one.folder] == 1 or not one.paths
        name = _place(one.folder, root) if alone else os.path.splitext(_place(min(one.paths), root))[0]
        found[name].append(_Source(one.paths or [one.folder], one.patient_id, _series_problem(one)))
    return dict(found)


def _suffix(path: str) -> str:
    name = os.path.basename(path).lower()
    return next((suffix for suffix in (*PICTURE_SUFFIXES, *NIFTI_SUFFIXES) if name.endswith(suffix)), "")


def _place(path: str, root: str) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _problem(path: str, suffix: str) -> str:
    if os.path.getsize(path) == 0:
        return f"{path}: empty file"
    if suffix in NIFTI_SUFFIXES:
        channels, problem = nifti_channels(path)
        return f"{path}: {problem or f'{channels} channels, expected 1'}" if problem or channels != 1 else ""
    try:
        with Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
    except (OSError, ValueError, SyntaxError) as error:
        return f"{path}: unreadable header ({error})"
    return f"{path}: {frames} pages, expected 1" if frames > 1 else ""


def _series_problem(series: DicomSeries) -> str:
    texts: Sequence[str] = problems(series, modality=None, min_slices=1)
    return f"{series.folder}: {'; '.join(texts)}" if texts else ""
