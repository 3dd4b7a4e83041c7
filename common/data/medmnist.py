"""Turn a MedMNIST 3-D file into NIfTI volumes with their official split (datalist kind ``medmnist``).

The file is ``NAME.npz`` with uint8 arrays ``{train,val,test}_images`` `(N, D, H, W)` and ``_labels`` `(N, 1)`, and
optionally ``_scan`` `(N,)`: the scan or patient of each volume. A volume `(D, H, W)` is written as NIfTI with the axes
`(X, Y, Z) = (W, H, D)` and an identity affine: slices run along Z as in a CT, and 1 voxel counts as 1 mm (the files
state neither voxel size nor orientation).
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from tqdm import tqdm

from .atomic import atomic_path
from .datalist import SECTIONS, write_datalist

__all__ = ["datalist_medmnist", "medmnist_items"]

_PREFIX = {"training": "train", "validation": "val", "test": "test"}

# md5 of the files as published (zenodo.org/records/10519652): 28^3 and 64^3.
PUBLISHED_MD5 = {
    "adrenalmnist3d": "bbd3c5a5576322bc4cdfea780653b1ce",
    "adrenalmnist3d_64": "17721accfe9fb005146a47d33bc54b2f",
    "fracturemnist3d": "6aa7b0143a6b42da40027a9dda61302f",
    "fracturemnist3d_64": "f01d7e6316aedf4210da0da5b7437b42",
    "nodulemnist3d": "8755a7e9e05a4d9ce80a24c3e7a256f3",
    "nodulemnist3d_64": "c47c5b7d457bf6332200d2ea6d64ecd8",
    "organmnist3d": "a0c5a1ff56af4f155c46d46fbb45a2fe",
    "organmnist3d_64": "58a2205adf14a9d0a189cb06dc78bf10",
    "synapsemnist3d": "1235b78a3cd6280881dd7850a78eadb6",
    "synapsemnist3d_64": "43bd14ebf3af9d3dd072446fedc14d5e",
    "vesselmnist3d": "b41fd4f7e7e2feedddb201585ecafa1b",
    "vesselmnist3d_64": "6bb274a8846e1097066dcd64e2c4520f",
}
CLASS_NAMES = {
    "adrenalmnist3d": ("normal", "hyperplasia"),
    "fracturemnist3d": ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
    "nodulemnist3d": ("benign", "malignant"),
    "organmnist3d": (
        *("liver", "kidney-right", "kidney-left", "femur-right", "femur-left", "bladder"),
        *("heart", "lung-right", "lung-left", "spleen", "pancreas"),
    ),
    "synapsemnist3d": ("inhibitory synapse", "excitatory synapse"),
    "vesselmnist3d": ("vessel", "aneurysm"),
}


def datalist_medmnist(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    sections: Sequence[str] | str | None = None,
    labels: Sequence[str] | str | None = None,
    progress: bool = False,
) -> Path:
    """Write the volumes of a MedMNIST 3-D file and ``dataset_dir/dataset.json`` with the official split.

    Args:
        source: the `.npz` file; its md5 is checked when its name is one of the published files.
        dataset_dir: where `dataset.json` and the volumes are written.
        sections: which of training, validation, test; None takes all that the file has.
        labels: name of each class in order, for files whose name is not known; a text is cut at its commas.
        progress: show a bar.

    Returns:
        The file.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: the md5 is not the published one, the file is no MedMNIST 3-D file or a multi-label one, it lacks a
            section, or `labels` are fewer than the classes found.
    """
    digest = _check_md5(Path(source))
    items = _write_items(Path(source), digest, Path(dataset_dir), sections, progress)
    stem = Path(source).stem
    given = [str(text).strip() for text in (labels.split(",") if isinstance(labels, str) else labels or ())]
    names = given or list(CLASS_NAMES.get(stem.removesuffix("_64"), ()))
    classes = max((item["label"] for item in items), default=-1) + 1
    if names and len(names) < classes:
        raise ValueError(
            f"datalist_medmnist: labels name {len(names)} classes ({names}), and {stem} has {classes}; name all of them."
        )
    cases = {key: [item for item in items if item["section"] == key] for key in SECTIONS}
    return write_datalist(
        dataset_dir,
        stem,
        f"official split of {stem}.npz, axes (X, Y, Z) = (W, H, D) of the arrays, 1 voxel as 1 mm",
        names or [str(number) for number in range(classes)],
        {key: found for key, found in cases.items() if found},
        {"md5": digest},
    )


def medmnist_items(
    source: str | os.PathLike[str],
    cache_dir: str | os.PathLike[str],
    sections: Sequence[str] | str | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Write the volumes of a MedMNIST 3-D file as NIfTI and list them; labels are not needed.

    The folder is named by the file's md5, so that what an earlier call wrote is used again, and only then.

    Args:
        source: the `.npz` file.
        cache_dir: the volumes go to ``<cache_dir>/<name>-<md5>/<section>/0012.nii.gz``.
        sections: which of training, validation, test; None takes all that the file has.
        progress: show a bar.

    Returns:
        Items with `id` (``<name>/<section>/0012``), `image`, `group` (the scan, else `id`), `section`, `label`.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: as in :func:`datalist_medmnist`.
    """
    file = Path(source)
    return _write_items(file, _check_md5(file), Path(cache_dir), sections, progress)


def _write_items(
    file: Path, digest: str, parent: Path, sections: Sequence[str] | str | None, progress: bool
) -> list[dict[str, Any]]:
    folder = parent.absolute() / f"{file.stem}-{digest[:8]}"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            wanted = _wanted(file, arrays.files, sections)
            return [item for key in wanted for item in _section_items(file, arrays, key, folder, progress)]
    except zipfile.BadZipFile as error:
        raise ValueError(f"medmnist: {file} is no npz file ({error}); download it again.") from None


def _section_items(file: Path, arrays: Any, section: str, folder: Path, progress: bool) -> Iterator[dict[str, Any]]:
    images, labels, scans = _arrays(file, arrays, _PREFIX[section])
    (folder / section).mkdir(parents=True, exist_ok=True)
    for k, volume in enumerate(tqdm(images, desc=f"writing {section}", unit="volume", disable=not progress)):
        name = f"{file.stem}/{section}/{k:04d}"
        path = folder / section / f"{k:04d}.nii.gz"
        if not path.is_file():
            with atomic_path(path) as temporary:
                nibabel.save(nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.eye(4)), temporary)
        group = name if scans is None else str(scans[k])
        yield {"id": name, "image": str(path), "group": group, "section": section, "label": int(labels[k])}


def _wanted(file: Path, keys: Sequence[str], sections: Sequence[str] | str | None) -> list[str]:
    present = [section for section in SECTIONS if f"{_PREFIX[section]}_images" in keys]
    if not present:
        raise ValueError(
            f"medmnist: {file} has the arrays {sorted(keys)} and no train_images, val_images or test_images; "
            "give a MedMNIST 3-D file."
        )
    asked = sections.replace(",", " ").split() if isinstance(sections, str) else list(sections or present)
    if absent := [section for section in asked if section not in present]:
        raise ValueError(f"medmnist: section {absent[0]!r} is not in {file}, which has {present}; take one of those.")
    return asked


def _arrays(file: Path, arrays: Any, prefix: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    images = arrays[f"{prefix}_images"]
    if images.ndim != 4 or images.shape[-1] == 3:
        raise ValueError(
            f"medmnist: {prefix}_images of {file} has the shape {images.shape}, and 3-D volumes are (N, D, H, W); "
            "the 2-D sets of MedMNIST are not for this command."
        )
    if images.dtype != np.uint8:
        raise ValueError(
            f"medmnist: {prefix}_images of {file} is {images.dtype}, not uint8; give the file as published."
        )
    labels, scans = (arrays.get(f"{prefix}_{name}") for name in ("labels", "scan"))
    labels = np.full((len(images), 1), -1) if labels is None else labels.reshape(len(labels), -1)
    if labels.shape[1] != 1:
        raise ValueError(
            f"medmnist: {prefix}_labels of {file} has the shape {labels.shape}: a multi-label set, and one class per "
            "volume is needed; choose one column and save it as (N, 1)."
        )
    for name, values in (("labels", labels), ("scan", scans)):
        if values is not None and len(values) != len(images):
            raise ValueError(
                f"medmnist: {prefix}_{name} of {file} has {len(values)} entries for {len(images)} volumes; "
                "give the file as published."
            )
    return images, labels[:, 0], scans


def _check_md5(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"medmnist: source {str(file)!r} does not exist; download it from medmnist.com.")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
    published = PUBLISHED_MD5.get(file.stem)
    if published and digest != published:
        raise ValueError(
            f"medmnist: md5 of {file} is {digest}, and the published file has {published}; download it again, or "
            "rename it if it is a file of your own."
        )
    return digest
