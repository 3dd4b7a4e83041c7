"""Read region series from any of their files, and ready connectivity matrices."""

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from ..data.atlas_series import IMAGE_SUFFIXES, Cleaning, Resampling, read_image_series
from ..data.region_table import read_regions
from ..data.series_table import TABLE_SUFFIXES, read_numbers, read_series_table

__all__ = ["LoadMatrix", "LoadMatrixd", "LoadRegionSeries", "LoadRegionSeriesd"]

_FLAT = 1e-6  # a region that varies by less than this share of its level or of the others' range is constant


class LoadRegionSeries(Transform):
    """Path of a subject to its region series (T, N), float32; a region constant over time becomes zeros (missing).

    Tables (``.1D .txt .csv .tsv .npy``) are taken as they are: cleaning belongs to whoever wrote them. 4-D images
    (``.nii .nii.gz``) are averaged per region of `atlas` and cleaned by nilearn.

    Args:
        regions: csv with the columns code and name, which chooses and orders the regions; None takes all as they are.
        dropped_codes: regions of the atlas that `regions` leaves out, for tables without a header.
        atlas: 3-D NIfTI of region codes; needed for 4-D images only.
        tr_seconds: time between frames; None takes it from the image's header.
        low_pass_hz: upper edge of the band, or None.
        high_pass_hz: lower edge of the band, or None.
        confounds_suffix: end of the name of the table of confounds beside the image, as ``_confounds.tsv``; or None.
        confound_columns: columns of that table, or None for all.
        standardize: z-score the series of 4-D images.
        detrend: take the linear trend out of 4-D images.
        min_frames: fewest frames of a subject.
        num_resamples: with 2 or more, 4-D images give replicates (R, T, N): the full mean, then means of a random third
            of every region's voxels, for a random transform that takes one of them.
        resample_seed: draws follow from (seed, file name, replicate, region).

    Raises:
        FileNotFoundError: no such file, atlas or table of confounds.
        ValueError: an unknown suffix, NaN, too few frames, a wrong number of regions, an atlas that does not fit, or
            replicates of a table. The message names the file.
    """

    def __init__(
        self,
        regions: str | None = None,
        dropped_codes: Sequence[int] = (),
        atlas: str | None = None,
        tr_seconds: float | None = None,
        low_pass_hz: float | None = None,
        high_pass_hz: float | None = None,
        confounds_suffix: str | None = None,
        confound_columns: Sequence[str] | None = None,
        standardize: bool = True,
        detrend: bool = True,
        min_frames: int = 60,
        num_resamples: int = 0,
        resample_seed: int = 0,
    ) -> None:
        if min_frames < 3:
            raise ValueError(f"LoadRegionSeries: min_frames is {min_frames}, it must be 3 or more.")
        self.regions = regions
        self.dropped_codes = tuple(dropped_codes)
        self.atlas = atlas
        self.cleaning = Cleaning(
            tr_seconds, low_pass_hz, high_pass_hz, confounds_suffix, confound_columns, standardize, detrend
        )
        self.min_frames = min_frames
        self.resampling = Resampling(num_resamples, seed=resample_seed) if num_resamples > 1 else None

    def __call__(self, path: str | os.PathLike[str]) -> torch.Tensor:
        """Read (T, N), or (R, T, N) with replicates."""
        name = os.fspath(path)
        series = self._read(name)
        if not np.isfinite(series).all():
            regions = np.flatnonzero(~np.isfinite(series).all(axis=tuple(range(series.ndim - 1))))
            raise ValueError(
                f"LoadRegionSeries: {name} holds NaN or infinite values in {len(regions)} regions, first column "
                f"{regions[0]}; repair or leave it out."
            )
        if series.shape[-2] < self.min_frames:
            raise ValueError(
                f"LoadRegionSeries: {name} has {series.shape[-2]} frames, fewer than min_frames {self.min_frames}; "
                "leave it out or lower min_frames."
            )
        return torch.from_numpy(np.where(_flat(series), 0, series).astype(np.float32))

    def _read(self, path: str) -> NDArray[np.float64]:
        codes = None if self.regions is None else read_regions(self.regions).codes
        if path.endswith(TABLE_SUFFIXES):
            if self.resampling is not None:
                raise ValueError(
                    f"LoadRegionSeries: {path} has no voxels to resample; set num_resamples to 0, and resample blocks "
                    "of time instead."
                )
            return read_series_table(path, codes, self.dropped_codes)
        if not path.endswith(IMAGE_SUFFIXES):
            raise ValueError(
                f"LoadRegionSeries: {path} is of unknown type; give one of {', '.join(TABLE_SUFFIXES + IMAGE_SUFFIXES)}."
            )
        if self.atlas is None:
            raise ValueError(f"LoadRegionSeries: {path} is an image, which needs a label atlas; set atlas.")
        return read_image_series(path, self.atlas, codes, self.cleaning, self.resampling)


class LoadMatrix(Transform):
    """Path of a ready correlation matrix (``.npy .csv .tsv .txt .1D``) to (N, N) float32.

    Args:
        num_regions: N, or None for any.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not square, another N, NaN, asymmetric, or outside [-1, 1]. The message names the file.
    """

    def __init__(self, num_regions: int | None = None) -> None:
        self.num_regions = num_regions

    def __call__(self, path: str | os.PathLike[str]) -> torch.Tensor:
        """Read (N, N)."""
        name = os.fspath(path)
        _, matrix = read_numbers(name)
        rows, columns = matrix.shape
        if rows != columns or self.num_regions not in (None, rows):
            wanted = self.num_regions or "N"
            raise ValueError(f"LoadMatrix: {name} is {rows} x {columns}, expected {wanted} x {wanted}; check the file.")
        if not np.isfinite(matrix).all():
            raise ValueError(f"LoadMatrix: {name} holds NaN or infinite values; repair or leave it out.")
        if not np.allclose(matrix, matrix.T, atol=1e-5):
            i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
            raise ValueError(f"LoadMatrix: {name} is not symmetric, most at row {i}, column {j}; correct it.")
        if np.abs(matrix).max() > 1 + 1e-5:
            raise ValueError(
                f"LoadMatrix: {name} reaches {np.abs(matrix).max():.3g}, correlations lie in [-1, 1]; undo Fisher z."
            )
        return torch.from_numpy(((matrix + matrix.T) / 2).clip(-1, 1).astype(np.float32))


class _Loaderd(MapTransform):
    """Apply `transform` to the path under every key."""

    transform: LoadRegionSeries | LoadMatrix

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the file of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result


class LoadRegionSeriesd(_Loaderd):
    """Dictionary version of :class:`LoadRegionSeries`, with its settings."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **settings: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = LoadRegionSeries(**settings)


class LoadMatrixd(_Loaderd):
    """Dictionary version of :class:`LoadMatrix`."""

    def __init__(self, keys: KeysCollection, num_regions: int | None = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = LoadMatrix(num_regions)


def _flat(series: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Regions constant over time, (..., 1, N); cleaning leaves rounding noise in them."""
    span = np.ptp(series, axis=-2, keepdims=True)
    return span <= _FLAT * np.maximum(np.abs(series).max(axis=-2, keepdims=True), np.median(span))
