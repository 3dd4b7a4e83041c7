"""Region series of a 4-D image and a label atlas."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["IMAGE_SUFFIXES", "Cleaning", "Resampling", "image_stem", "read_image_series"]

IMAGE_SUFFIXES = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Cleaning:
    """How series of voxels' means are cleaned, in nilearn's order: detrend, filter and confounds, standardise.

    Args:
        tr_seconds: time between frames; None takes it from the image's header.
        low_pass_hz: upper edge of the band, or None.
        high_pass_hz: lower edge of the band, or None.
        confounds_suffix: the table of confounds beside ``sub-01_task-rest_bold.nii.gz`` is ``sub-01_task-rest_bold``
            or the same with fewer parts (``sub-01_task-rest``, ``sub-01``) plus this suffix; None: no confounds.
        confound_columns: columns of that table, or None for all.
        standardize: z-score every region.
        detrend: take out the linear trend.
    """

    tr_seconds: float | None = None
    low_pass_hz: float | None = None
    high_pass_hz: float | None = None
    confounds_suffix: str | None = None
    confound_columns: Sequence[str] | None = None
    standardize: bool = True
    detrend: bool = True

    def settings(self, path: str, image: nibabel.Nifti1Image) -> dict[str, Any]:
        """Return the settings that masker and `nilearn.signal.clean` share, for one image."""
        filtered = self.low_pass_hz is not None or self.high_pass_hz is not None
        return {
            "detrend": self.detrend,
            "standardize": "zscore_sample" if self.standardize else None,
            "low_pass": self.low_pass_hz,
            "high_pass": self.high_pass_hz,
            "t_r": (self.tr_seconds or _header_tr(path, image)) if filtered else None,
        }

    def confounds(self, path: str, frames: int) -> NDArray[np.float64] | None:
        """Confounds of one image, (T, columns); a cell n/a becomes the mean of its column."""
        if self.confounds_suffix is None:
            return None
        file = _beside(path, self.confounds_suffix)
        table = pd.read_csv(file, sep="," if file.suffix == ".csv" else "\t", na_values="n/a")
        wanted = list(table.columns if self.confound_columns is None else self.confound_columns)
        if lost := [name for name in wanted if name not in table]:
            raise ValueError(f"LoadRegionSeries: {file} has no column {lost[0]!r}; correct confound_columns.")
        values = table[wanted].astype(float)
        values = values.fillna(values.mean())
        if len(values) != frames or not np.isfinite(values.to_numpy()).all():
            raise ValueError(
                f"LoadRegionSeries: {file} has {len(values)} rows of confounds, of which all must be numbers, and "
                f"{path} has {frames} frames; make them fit."
            )
        return values.to_numpy()


@dataclass(frozen=True)
class Resampling:
    """Replicates of an image: means of random voxels of every region, without replacement.

    Reference: Li et al., 2021, doi:10.1016/j.media.2021.102233, the augmentation of the Biopoint data.

    Args:
        count: number of replicates; the first is the mean of all voxels.
        fraction: share of a region's voxels.
        seed: draws follow from (seed, file name, replicate, region).
    """

    count: int
    fraction: float = 1 / 3
    seed: int = 0


def read_image_series(
    path: str, atlas: str, codes: Sequence[int] | None, cleaning: Cleaning, resampling: Resampling | None
) -> NDArray[np.float64]:
    """Average the voxels of each region, and clean the series.

    Args:
        path: 4-D NIfTI.
        atlas: 3-D NIfTI of region codes in the same space; brought to the image's grid by nearest neighbour.
        codes: regions in the order wanted; None takes all labels of the atlas but 0.
        cleaning: of the series.
        resampling: None, or replicates.

    Returns:
        (T, N), or (R, T, N) with replicates. A region without voxels in the image is zeros.

    Raises:
        ValueError: no 4-D image, NaN, an atlas without a region of the table or without overlap, no repetition time,
            or confounds that do not fit.
    """
    from nilearn.maskers import NiftiLabelsMasker  # nilearn takes long to import, and tables do without it
    from nilearn.signal import clean

    image = _open(path)
    if len(image.shape) != 4:
        raise ValueError(f"LoadRegionSeries: {path} has shape {image.shape}, expected a 4-D image (X, Y, Z, frames).")
    values = np.asarray(image.dataobj, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"LoadRegionSeries: {path} holds NaN or infinite values; repair or leave it out.")
    labels, wanted = _labels(path, image, atlas, codes)
    settings, confounds = cleaning.settings(path, image), cleaning.confounds(path, image.shape[3])
    masker = NiftiLabelsMasker(nibabel.Nifti1Image(labels, image.affine), reports=False, **settings)
    found = masker.fit_transform(nibabel.Nifti1Image(values, image.affine), confounds=confounds)
    columns = [int(np.flatnonzero(wanted == code)[0]) for code in np.unique(labels[labels > 0])]
    replicates = [found]
    if resampling is not None:
        inside = labels > 0
        for k in range(1, resampling.count):
            means = _random_means(labels[inside], resampling, Path(path).name, k) @ values[inside]
            replicates.append(clean(means.T, confounds=confounds, **settings))
    series = np.zeros((len(replicates), image.shape[3], len(wanted)))
    series[:, :, columns] = replicates
    return series[0] if resampling is None else series


def image_stem(path: str) -> str:
    """Path without ``.nii`` or ``.nii.gz``."""
    return path.removesuffix(".gz").removesuffix(".nii")


def _labels(
    path: str, image: nibabel.Nifti1Image, atlas: str, codes: Sequence[int] | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Region codes on the grid of the image, 0 elsewhere, and the codes wanted."""
    from nilearn.image import resample_to_img

    if not Path(atlas).is_file():
        raise FileNotFoundError(f"LoadRegionSeries: atlas {atlas!r} does not exist; check the path.")
    source = _open(atlas)
    here = np.unique(np.asarray(source.dataobj)).astype(int)
    wanted = np.asarray(here[here != 0] if codes is None else codes)
    if len(source.shape) != 3 or (lost := sorted(set(wanted.tolist()) - set(here.tolist()))):
        text = f"lacks {len(lost)} of the {len(wanted)} regions of the table, first code {lost[0]}"
        raise ValueError(
            f"LoadRegionSeries: for {path}, atlas {atlas} "
            f"{text if len(source.shape) == 3 else 'is no 3-D image of labels'}; give the atlas of the region table."
        )
    grid = nibabel.Nifti1Image(np.zeros(image.shape[:3], np.int8), image.affine)
    labels = np.rint(resample_to_img(source, grid, interpolation="nearest").get_fdata()).astype(np.int32)
    labels[~np.isin(labels, wanted)] = 0
    if not labels.any():
        raise ValueError(
            f"LoadRegionSeries: {path} and atlas {atlas} do not overlap; bring the image to the atlas' space first."
        )
    return labels, wanted


def _random_means(labels: NDArray[np.int32], resampling: Resampling, name: str, replicate: int) -> sparse.csr_array:
    """Matrix (regions, voxels) that averages random voxels of each region, regions in order of their codes."""
    rows, columns, weights = [], [], []
    for row, code in enumerate(np.unique(labels).tolist()):
        voxels = np.flatnonzero(labels == code)
        count = max(1, round(resampling.fraction * len(voxels)))
        rng = np.random.default_rng([resampling.seed, zlib.crc32(name.encode()), replicate, code])
        columns.append(rng.choice(voxels, count, replace=False))
        rows.append(np.full(count, row))
        weights.append(np.full(count, 1 / count))
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(entries, shape=(len(rows), len(labels)))


def _open(path: str) -> nibabel.Nifti1Image:
    try:
        return nibabel.Nifti1Image.from_filename(path)
    except (ImageFileError, HeaderDataError, OSError, EOFError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"LoadRegionSeries: {path} is no readable NIfTI image ({error}); repair the file.") from error


def _header_tr(path: str, image: nibabel.Nifti1Image) -> float:
    seconds = float(image.header.get_zooms()[3]) * {"msec": 1e-3, "usec": 1e-6}.get(image.header.get_xyzt_units()[1], 1)
    if seconds <= 0:
        raise ValueError(
            f"LoadRegionSeries: {path} does not tell its repetition time, which filters need; give tr_seconds."
        )
    return seconds


def _beside(path: str, suffix: str) -> Path:
    """Find the table of confounds of an image: the longest part of its name that has one."""
    folder, parts = Path(path).parent, Path(image_stem(path)).name.split("_")
    for count in range(len(parts), 0, -1):
        if (file := folder / ("_".join(parts[:count]) + suffix)).is_file():
            return file
    raise FileNotFoundError(
        f"LoadRegionSeries: {path} has no table of confounds beside it that ends in {suffix!r}; correct confounds_suffix."
    )
