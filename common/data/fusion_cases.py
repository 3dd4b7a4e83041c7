"""Find the cases for image fusion in the layouts that data come in."""

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from .dicom_series import walk_files
from .fusion_pairs import NIFTI_SUFFIXES, nifti_channels, pair_folders

__all__ = ["FUSION_KEYS", "SEQUENCES", "choose_sequences", "scan_fusion"]

_logger = logging.getLogger(__name__)

FUSION_KEYS = ("image", "mri", "truth")  # entries of a case that are paths

# Order of the sources of a BraTS case; the second name is that of BraTS 2023.
SEQUENCES = {"flair": "flair", "t2f": "flair", "t1": "t1", "t1n": "t1", "t1ce": "t1ce", "t1c": "t1ce"} | {
    "t2": "t2", "t2w": "t2"
}  # fmt: skip
AFFINE_TOLERANCE_MM = 1e-3
_TRUTH = "seg"
_BRATS = re.compile(rf"(.+)[-_]({'|'.join([*SEQUENCES, _TRUTH])})\.nii(?:\.gz)?", re.IGNORECASE)
_FUNCTIONAL, _MRI = ("ct", "pet", "spect"), ("mri", "mr")


def scan_fusion(
    source: str | os.PathLike[str] | Sequence[str],
    sequences: Sequence[str] | None = None,
    registered: bool = True,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """List every case to fuse under a folder, reading headers only.

    Layouts, in this order: (1) a folder CT, PET or SPECT beside a folder MRI, anywhere below `source`, with images of
    equal names (PNG, JPEG, TIFF, BMP, NIfTI, DICOM files or series), or one image each; (2) BraTS: files
    ``<subject>_flair``, ``_t1``, ``_t1ce``, ``_t2`` (or ``-t2f``, ``-t1n``, ``-t1c``, ``-t2w``) as NIfTI, and
    ``_seg``, the label map, where there is one; (3) NIfTI files `(X, Y, Z, N)`, one source in each channel.

    Args:
        source: folder; or one NIfTI file of layout 3; or two folders or files with a comma between (or as a list),
            first CT, PET or SPECT, then MRI.
        sequences: which of ``flair``, ``t1``, ``t1ce``, ``t2`` to fuse, two to four in the order wanted; None is all
            four. A subject needs those only. Pairs have none and are listed as they are.
        registered: the sequences of a subject must lie on one grid; False leaves that to a later registration.
        progress: show a bar over DICOM headers.

    Returns:
        Items in order of `id`. `image` and `mri` are absolute paths, or lists of the files of a DICOM series; without
        `mri`, `image` holds all sources: a list of files (:data:`SEQUENCES`), or one file. `truth` is the label map of
        a BraTS subject, if it lies on the grid of a sequence. `group` is the PatientID, the patient's folder or `id`;
        `section` is test and `label` -1; `error` is there, and says why, only if a case cannot be used.

    Raises:
        FileNotFoundError: `source` does not exist or holds no case.
        ValueError: `sequences` are not two to four different ones of those four.
    """
    chosen = _chosen(sequences)
    two = _two_places(source)
    if two:
        found = pair_folders(two[0], two[1], single=True, progress=progress)
        return _finish([_renamed(pair, _stem(two[0])) for pair in found])
    root = Path(os.path.abspath(str(source)))
    if root.is_file():
        return _finish([choose_sequences(_volume(root, root.parent), sequences)])
    if not root.is_dir():
        raise FileNotFoundError(f"scan_fusion: source {str(root)!r} does not exist; check the path.")
    files = [Path(path) for path in walk_files(root)]
    items = _pairs(root, files, progress)
    items = items or _brats(root, files, chosen, registered)
    items = items or [
        choose_sequences(_volume(path, root), sequences) for path in files if path.name.lower().endswith(NIFTI_SUFFIXES)
    ]
    if not items:
        raise FileNotFoundError(
            f"scan_fusion: {str(root)!r} holds no folder CT, PET or SPECT beside a folder MRI, no BraTS subject and no "
            "multi-channel NIfTI file; check the path, or give two folders with a comma between."
        )
    return _finish(items)


def _two_places(source: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    """Split ``first,second``; empty if `source` is one place (whose name may hold a comma)."""
    if isinstance(source, str | os.PathLike):
        places = [os.fspath(source)] if os.path.exists(source) else os.fspath(source).split(",")
    else:
        places = [str(place) for place in source]
    if len(places) == 1:
        return []
    if len(places) > 2:
        raise FileNotFoundError(f"scan_fusion: source names {len(places)} places ({places}); give one or two.")
    for place in places:
        if not os.path.exists(place):
            raise FileNotFoundError(f"scan_fusion: {place!r} of source {','.join(places)!r} does not exist; check it.")
    if any(_is_empty(place) for place in places):
        raise FileNotFoundError(f"scan_fusion: a folder of {','.join(places)!r} is empty; check the path.")
    return places


def _is_empty(place: str) -> bool:
    return os.path.isdir(place) and next(walk_files(place), None) is None


def _pairs(root: Path, files: Sequence[Path], progress: bool) -> list[dict[str, Any]]:
    holders = {path.parent for path in files}
    folders = {folder for holder in holders for folder in (holder, *holder.parents) if root in folder.parents}
    partner = {folder: _beside(folder, _MRI) for folder in folders if folder.name.lower() in _FUNCTIONAL}
    count = Counter(folder.parent for folder, mri in partner.items() if mri)
    items = []
    for folder, mri in sorted((folder, mri) for folder, mri in partner.items() if mri):
        parent = folder.parent
        place = "" if parent == root else parent.relative_to(root).as_posix()
        prefix = "/".join(part for part in (place, folder.name if count[parent] > 1 else "") if part)
        # <X>-MRI is a collection of many patients, any other folder is a patient's.
        patient = "" if parent.name.upper().endswith("-MRI") else place
        for pair in pair_folders(folder, mri, single=True, progress=progress):
            items.append(_renamed(pair, prefix or root.name, prefix, patient))
    return items


def _beside(folder: Path, names: Sequence[str]) -> Path | None:
    return next((one for one in sorted(folder.parent.iterdir()) if one.is_dir() and one.name.lower() in names), None)


def _renamed(pair: dict[str, Any], own: str, prefix: str = "", patient: str = "") -> dict[str, Any]:
    """Give a pair its name below the source; `own` is that of a pair that fills its folders."""
    name = own if pair["id"] == "." else f"{prefix}/{pair['id']}" if prefix else pair["id"]
    return pair | {"id": name, "group": pair["group"] if pair["group"] != pair["id"] else patient or name}


def _brats(root: Path, files: Sequence[Path], chosen: Sequence[str], registered: bool) -> list[dict[str, Any]]:
    found: dict[tuple[Path, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        if match := _BRATS.fullmatch(path.name):
            name = match[2].lower()
            found[path.parent, match[1]][SEQUENCES.get(name, name)].append(str(path))
    subjects = {key: paths for key, paths in found.items() if len({*paths} - {_TRUTH}) > 1}
    count = Counter(name for _, name in subjects)
    items = []
    for (folder, name), paths in subjects.items():
        long = (folder / name).relative_to(root).as_posix()
        head = {"id": name if count[name] == 1 else long, "group": name}
        items.append(head | _subject(paths, chosen, registered))
    return items


def _subject(paths: dict[str, list[str]], chosen: Sequence[str], registered: bool) -> dict[str, Any]:
    """Sources of a BraTS subject and its `truth`, or the `error` that makes it unusable."""
    missing = [sequence for sequence in chosen if sequence not in paths]
    double = [sequence for sequence in chosen if len(paths.get(sequence, [])) > 1]
    images = [path for sequence in chosen for path in paths.get(sequence, [])]
    errors = [f"sequence missing: {', '.join(missing)}"] * bool(missing)
    errors += [f"sequence twice: {', '.join(double)}"] * bool(double)
    for image in images:
        channels, problem = nifti_channels(image)
        errors += [f"{image}: {problem or f'{channels} channels, expected 1'}"] * (channels != 1)
    if not errors and registered:
        errors = [f"{image} lies on another grid than {images[0]}; register them first" for image in _off_grid(images)]
    if errors:
        return {"image": images, "error": "; ".join(errors)}
    truth = next((path for path in paths.get(_TRUTH, []) if _fits(path, images)), None)
    return {"image": images} | ({"truth": truth} if truth else {})


def _fits(truth: str, images: Sequence[str]) -> bool:
    """Whether a label map lies on the grid of an image; a warning says so if not."""
    channels, problem = nifti_channels(truth)
    if problem or channels != 1:
        _logger.warning(f"{truth} is left out: {problem or f'{channels} channels, expected 1'}")
        return False
    if all(_off_grid([image, truth]) for image in images):
        _logger.warning(f"{truth} is left out: it lies on the grid of no sequence")
        return False
    return True


def choose_sequences(item: dict[str, Any], sequences: Sequence[str] | None) -> dict[str, Any]:
    """Keep of a case of several MRI files those of the sequences named, told by the file names.

    Args:
        item: a case; `image` is a list of files ``<subject>_<sequence>.nii.gz``. A pair (with `mri`) stays as it is.
        sequences: as in :func:`scan_fusion`.

    Returns:
        The case, with an `error` if a sequence is not there.

    Raises:
        ValueError: `sequences` are not two to four different ones of :data:`SEQUENCES`.
    """
    chosen = _chosen(sequences)
    if sequences is None or "mri" in item or item.get("error"):
        return item
    image = item["image"]
    files = {SEQUENCES.get(match[2].lower()): path for path in _listed(image) if (match := _match(path))}
    if missing := [sequence for sequence in chosen if sequence not in files]:
        names = ", ".join(os.path.basename(path) for path in _listed(image))
        return item | {"error": f"no file of sequence {', '.join(missing)} among {names}; name others in sequences"}
    return item | {"image": [files[sequence] for sequence in chosen]}


def _chosen(sequences: Sequence[str] | None) -> list[str]:
    known = list(dict.fromkeys(SEQUENCES.values()))
    chosen = known if sequences is None else list(sequences)
    if isinstance(sequences, str) or not set(chosen) <= set(known) or not 2 <= len(chosen) == len(set(chosen)):
        raise ValueError(
            f"scan_fusion: sequences is {sequences!r}; name two to four different ones of {known}, or None."
        )
    return chosen


def _listed(image: str | Sequence[str]) -> list[str]:
    return [image] if isinstance(image, str) else list(image)


def _match(path: str) -> re.Match[str] | None:
    return _BRATS.fullmatch(os.path.basename(path))


def _off_grid(images: Sequence[str]) -> list[str]:
    """Those that do not lie on the grid of the first: sources are stacked, never resized."""
    headers: list[Any] = [nibabel.load(image) for image in images]
    found = []
    for image, header in zip(images[1:], headers[1:], strict=True):
        equal = np.allclose(header.affine, headers[0].affine, rtol=0, atol=AFFINE_TOLERANCE_MM)
        if header.shape != headers[0].shape or not equal:
            found.append(image)
    return found


def _volume(path: Path, root: Path) -> dict[str, Any]:
    name = _stem(path.relative_to(root).as_posix())
    item = {"id": name, "group": name, "image": str(path)}
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        return item | {"error": "one file must be a NIfTI (X, Y, Z, N) with a source in each channel; give two files"}
    channels, problem = nifti_channels(path)
    if problem or channels < 2:
        return item | {"error": problem or "one channel only; fusion needs two or more sources, (X, Y, Z, N)"}
    return item


def _stem(path: str) -> str:
    suffix = next((suffix for suffix in NIFTI_SUFFIXES if path.lower().endswith(suffix)), None)
    if suffix:
        return path[: -len(suffix)]
    return os.path.basename(os.path.normpath(path))


def _finish(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Complete the items and make each id unique."""
    count = Counter(item["id"] for item in items)
    seen: Counter[str] = Counter()
    for item in items:
        name = item["id"]
        seen[name] += 1
        item |= {"id": name if count[name] == 1 else f"{name}#{seen[name]}", "section": "test", "label": -1}
    return sorted(items, key=lambda item: item["id"])
