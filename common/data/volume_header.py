"""Judge a NIfTI, NRRD or npy volume by its header alone."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import nibabel
import nrrd
import numpy as np

__all__ = ["VOLUME_SUFFIXES", "volume_problem", "volume_suffix"]

_SPACING_MM = (0.05, 25.0)
_MAX_ANISOTROPY = 50.0
_MIN_VOXELS = 4
# MONAI's NrrdReader turns only these right; any other space would be mirrored without a word.
_NRRD_SPACES = {None, "left-posterior-superior", "right-anterior-superior"}


def volume_suffix(path: str) -> str:
    """Return the suffix of a volume that can be read (".nii.gz", ...), or "" for any other file."""
    name = os.path.basename(path).lower()
    return next((suffix for suffix in VOLUME_SUFFIXES if name.endswith(suffix) and name != suffix), "")


def volume_problem(path: str) -> str:
    """Say why a file is no usable 3-D volume; the empty string for a sound header.

    Voxels are not read, so damage behind the header of a compressed file is not seen.
    """
    if os.path.getsize(path) == 0:
        return "empty file"
    try:
        shape, spacing_mm, problem = VOLUME_SUFFIXES[volume_suffix(path)](path)
    except Exception as error:  # three libraries with exceptions of their own
        return f"unreadable header ({str(error).partition(chr(10))[0] or type(error).__name__})"
    return problem or _shape_problem(shape) or _spacing_problem(spacing_mm)


def _shape_problem(shape: Sequence[int]) -> str:
    if len(shape) < 3 or any(size > 1 for size in shape[3:]):
        return f"not a 3-D volume: shape {tuple(int(size) for size in shape)}"
    if min(shape[:3]) < _MIN_VOXELS:
        return f"too thin: shape {tuple(int(size) for size in shape)} has an axis under {_MIN_VOXELS} voxels"
    return ""


def _spacing_problem(spacing_mm: np.ndarray) -> str:
    spacing = np.asarray(spacing_mm, dtype=float)
    text = " x ".join(f"{value:.4g}" for value in spacing)
    if not np.isfinite(spacing).all() or spacing.min() < _SPACING_MM[0] or spacing.max() > _SPACING_MM[1]:
        return f"impossible voxel size {text} mm (allowed: {_SPACING_MM[0]} to {_SPACING_MM[1]} mm)"
    if spacing.max() / spacing.min() > _MAX_ANISOTROPY:
        return f"impossible voxel size {text} mm (more than {_MAX_ANISOTROPY:.0f} to 1)"
    return ""


def _nifti(path: str) -> tuple[Sequence[int], np.ndarray, str]:
    image: Any = nibabel.load(path)
    affine, dtype = image.affine, image.get_data_dtype()
    problem = "" if dtype.kind in "iuf" else f"voxels of type {dtype} are no numbers"
    if not problem and abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        problem = "singular affine: voxel axes do not span space"
    if not problem and path.endswith(".nii"):
        needed = image.dataobj.offset + int(np.prod(image.shape)) * dtype.itemsize
        problem = "truncated file" if os.path.getsize(path) < needed else ""
    return image.shape, nibabel.affines.voxel_sizes(affine), problem


def _nrrd(path: str) -> tuple[Sequence[int], np.ndarray, str]:
    header = nrrd.read_header(path)
    sizes, directions = header["sizes"], header.get("space directions")
    if len(sizes) != 3:
        return sizes, np.ones(3), ""
    if directions is None or np.shape(directions) != (3, 3):
        return sizes, np.ones(3), "no space directions: voxel size and orientation are unknown"
    if header.get("space") not in _NRRD_SPACES:
        return sizes, np.ones(3), f"space {header['space']!r}: save it in left-posterior-superior"
    named = header.get("data file", header.get("datafile"))
    missing = isinstance(named, str) and not os.path.isfile(os.path.join(os.path.dirname(path), named))
    problem = f"data file {named} is missing" if missing else ""
    return sizes, np.linalg.norm(np.asarray(directions, dtype=float), axis=1), problem


def _npy(path: str) -> tuple[Sequence[int], np.ndarray, str]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)  # maps the file: fails when it is too short
    problem = "" if array.dtype.kind in "iuf" else f"voxels of type {array.dtype} are no numbers"
    # NumpyReader knows no channel axis: (X, Y, Z, 1) would be read as four axes of space.
    return array.shape, np.ones(3), problem or ("" if array.ndim == 3 else f"not a 3-D volume: shape {array.shape}")


# Longest suffix first: ".nii.gz" is to win over ".gz"-like endings.
VOLUME_SUFFIXES: dict[str, Callable[[str], tuple[Sequence[int], np.ndarray, str]]] = {
    ".nii.gz": _nifti,
    ".nii": _nifti,
    ".nrrd": _nrrd,
    ".nhdr": _nrrd,
    ".npy": _npy,
}
