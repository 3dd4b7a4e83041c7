"""Writers of phantom scans: region series as the PCP writes them, and 4-D NIfTI with an atlas and confounds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .phantom_networks import centroids_mm, load_regions
from .phantom_series import Scan

__all__ = ["make_atlas", "write_nifti", "write_series"]

VOXEL_MM = 5.0
RADIUS_MM = 9.0  # of the ball round a centroid; a voxel goes to the nearest centroid
BASELINE, GAIN = 1000.0, 10.0  # voxel value of a silent region, and of one unit of its series
VOXEL_NOISE = 2.0  # in units of the series; sums to zero in each region
CONFOUNDS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
HEAD_RADIUS_MM = 50.0


def write_series(path: Path, series: NDArray[np.float32]) -> None:
    """Write series (T, N) as a PCP `.1D` file: a header of "#code", tab separated, one row per frame."""
    header = "\t".join(f"#{region.code}" for region in load_regions())
    row = "\t".join(["%.4g"] * series.shape[1])
    path.write_text("\n".join([header, *(row % tuple(frame) for frame in series.tolist())]) + "\n", encoding="ascii")


def make_atlas() -> nib.Nifti1Image:
    """Label image (X, Y, Z) of atlas codes: a ball of voxels round each MNI centroid, none in two regions."""
    grid, affine = _grid()
    return nib.Nifti1Image(grid.astype(np.int16), affine)


def write_nifti(folder: Path, name: str, scan: Scan, tr_seconds: float, rng: np.random.Generator) -> tuple[Path, Path]:
    """Write a scan as a tiny 4-D NIfTI whose mean in each atlas region is the series, affinely scaled.

    Voxels of a region differ by noise, so that resampling voxels gives other means; missing regions are silent.

    Args:
        folder: where `<name>_bold.nii.gz` and `<name>_confounds.tsv` go, made if needed.
        name: of the subject.
        scan: what to write.
        tr_seconds: goes to the header.
        rng: source of the noise.

    Returns:
        The image and the confounds (six movements in mm and rad, framewise displacement in mm).
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels, affine = _grid()
    volume = np.zeros((*labels.shape, len(scan.series)), np.float32)
    for region, values in zip(load_regions(), scan.series.T, strict=True):
        if values.any():
            noise = VOXEL_NOISE * rng.standard_normal(((labels == region.code).sum(), len(values)))
            volume[labels == region.code] = BASELINE + GAIN * (values + noise - noise.mean(axis=0))
    image = nib.Nifti1Image(volume, affine, dtype=np.int16)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((VOXEL_MM,) * 3 + (tr_seconds,))
    nib.save(image, folder / f"{name}_bold.nii.gz")
    _write_confounds(folder / f"{name}_confounds.tsv", scan.displacement_mm, rng)
    return folder / f"{name}_bold.nii.gz", folder / f"{name}_confounds.tsv"


@cache
def _grid() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Atlas codes (X, Y, Z) and affine of the smallest field that holds every ball."""
    low, high = centroids_mm().min(axis=0) - RADIUS_MM, centroids_mm().max(axis=0) + RADIUS_MM
    axes = [np.arange(a, b + VOXEL_MM, VOXEL_MM) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance, nearest = cKDTree(centroids_mm()).query(points)
    codes = np.array([region.code for region in load_regions()])
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = low
    return np.where(distance <= RADIUS_MM, codes[nearest], 0), affine


def _write_confounds(path: Path, displacement_mm: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Split each frame's displacement over six movements: translations in mm, rotations in rad of a 50 mm head."""
    share = rng.dirichlet(np.ones(6), displacement_mm.size) * rng.choice([-1, 1], (displacement_mm.size, 6))
    share[:, 3:] /= HEAD_RADIUS_MM
    movement = np.cumsum(share * displacement_mm[:, None], axis=0)
    table = np.column_stack([movement, displacement_mm])
    header = "\t".join((*CONFOUNDS, "framewise_displacement"))
    np.savetxt(path, table, fmt="%.6f", delimiter="\t", header=header, comments="")
