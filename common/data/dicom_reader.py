"""Read a DICOM series into HU with a plain loop over the files."""

import os
from collections.abc import Sequence

import numpy as np
import pydicom
from monai.data import ImageReader
from monai.data.utils import orientation_ras_lps
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from .dicom_header import HEADER_TAGS, DicomSlice, is_dicom_file, slice_from_dataset
from .dicom_problems import problems
from .dicom_series import DicomSeries, group_slices, walk_files

__all__ = ["DicomSeriesReader"]

_PIXELS = Tag("PixelData")
_READ_TAGS = [*HEADER_TAGS, Tag("PhotometricInterpretation"), Tag("PlanarConfiguration"), _PIXELS]
_PLANE_PADDING = 144
_LITTLE_ENDIAN = {ExplicitVRLittleEndian, ImplicitVRLittleEndian}


class DicomSeriesReader(ImageReader):
    """Reader for `monai.transforms.LoadImaged(reader=...)`: one DICOM series to an array `(X, Y, Z)` in HU.

    Slices are ordered by position along the slice normal, never by name or InstanceNumber. Data and affine equal those
    of MONAI's `ITKReader`, several times faster. `read` only decides whether an input is DICOM and `get_data` reads
    it: `LoadImage` tries its other readers after any error in `read`, and of a folder with several series `ITKReader`
    would silently take the first.

    An input is a list of the files of one series, one folder that holds exactly one series, or one file.
    """

    def verify_suffix(self, filename: Sequence[str | os.PathLike] | str | os.PathLike) -> bool:
        """Claim folders and DICOM files (by suffix or magic word), and nothing else."""
        names = [os.fspath(name) for name in ensure_tuple(filename)]
        if len(names) == 1 and os.path.isdir(names[0]):
            return True
        # One look at the first file: the rest of a list is checked when it is read.
        return bool(names) and is_dicom_file(names[0])

    def read(self, data: Sequence[str | os.PathLike] | str | os.PathLike, **kwargs: object) -> list[str]:
        """Accept or refuse an input without reading it.

        Returns:
            Absolute file names, for `get_data`.

        Raises:
            ValueError: the input is no DICOM; `LoadImage` then tries its next reader.
        """
        if not self.verify_suffix(data):
            raise ValueError(
                f"DicomSeriesReader: {ensure_tuple(data)[:1]} is no DICOM; use MONAI's reader for its type."
            )
        return [os.path.abspath(name) for name in ensure_tuple(data)]

    def get_data(self, img: Sequence[str]) -> tuple[np.ndarray, dict]:
        """Read the pixels.

        Args:
            img: what `read` returned.

        Returns:
            HU as float32 `(X, Y, Z)` (a transposed view, as from `ITKReader`), and the metadata `affine` and
            `original_affine` (4, 4; voxel to RAS mm), `spatial_shape`, `space`, `original_channel_dim` (no channel).

        Raises:
            FileNotFoundError: a file is missing, or a folder holds no DICOM image.
            ValueError: several series, a series that :func:`problems` objects to, or pixels that cannot be decoded.
        """
        folder = img[0] if os.path.isdir(img[0]) else ""
        paths = [path for path in walk_files(folder) if is_dicom_file(path)] if folder else img
        volume, slices = _read_planes(paths)
        if not slices:
            raise FileNotFoundError(f"DicomSeriesReader: {img[0]!r} holds no DICOM image; check the path.")
        series = _one_series(group_slices(slices), img[0])
        if found := problems(series, modality=None, min_slices=1):
            raise ValueError(f"DicomSeriesReader: series of {img[0]} cannot be read as a volume: {'; '.join(found)}.")
        place = {one.path: k for k, one in enumerate(slices)}
        _reorder(volume, [place[path] for path in series.paths])
        return volume.transpose(2, 1, 0), _metadata(series)


def _one_series(found: Sequence[DicomSeries], source: str) -> DicomSeries:
    if len(found) > 1:
        listed = ", ".join(f"{series.uid or 'no uid'} ({len(series.slices)} slices)" for series in found)
        raise ValueError(
            f"DicomSeriesReader: {source!r} names {len(found)} series ({listed}), and one volume is one series; "
            "pass the list of files of one of them."
        )
    return found[0]


def _read_planes(paths: Sequence[str]) -> tuple[np.ndarray, list[DicomSlice]]:
    """Read files one after the other into HU `(Z, Y, X)`, in the order of `paths`.

    Every plane is converted at once, so that the stored values of one file only are in memory. Objects that are no
    image are passed over. A file that cannot belong to the volume of the first one leaves its plane untouched: the
    checks that follow refuse it.

    Returns:
        Planes and headers, in the same order.
    """
    volume, slices = np.empty(0, dtype=np.float32), list[DicomSlice]()
    for path in paths:
        ds, one = _read_file(path)
        if not one.is_image:
            continue
        if not slices:
            volume = _empty_volume(len(paths), *one.shape)
        if _fits(one, volume, (slices or [one])[0]):
            _to_hu(_stored_values(ds, one), one, volume[len(slices)])
        slices.append(one)
    return volume[: len(slices)], slices


def _fits(one: DicomSlice, volume: np.ndarray, first: DicomSlice) -> bool:
    same = one.shape == volume.shape[1:] and one.series_uid == first.series_uid
    return same and min(one.shape) > 0 and one.frames == one.samples == 1


def _empty_volume(depth: int, rows: int, columns: int) -> np.ndarray:
    """Make room for `(Z, Y, X)` with a little space between the planes.

    Without it equal voxels of 512 x 512 planes lie in one cache set, and the copy to `(X, Y, Z)` order that `LoadImage`
    makes of every image takes three times as long.
    """
    padded = np.empty((depth, rows * columns + _PLANE_PADDING), dtype=np.float32)
    return padded[:, : rows * columns].reshape(depth, rows, columns)


def _reorder(volume: np.ndarray, order: Sequence[int]) -> None:
    """Make plane k the former plane order[k], in place: a second volume would cost more than reading this one."""
    source = list(order)
    for start in range(len(source)):
        if source[start] == start:
            continue
        first, k = volume[start].copy(), start
        while source[k] != start:
            volume[k] = volume[source[k]]
            following, source[k] = source[k], k
            k = following
        volume[k], source[k] = first, k


def _read_file(path: str) -> tuple[pydicom.Dataset, DicomSlice]:
    try:
        ds = pydicom.dcmread(path, specific_tags=_READ_TAGS, force=True)
        return ds, slice_from_dataset(ds, path, os.path.getsize(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"DicomSeriesReader: file {path!r} does not exist; make the datalist again.") from None
    except Exception as error:  # pydicom raises many types on damaged bytes
        reason = str(error).partition("\n")[0]
        raise ValueError(f"DicomSeriesReader: file {path!r} is no readable DICOM ({reason}); replace it.") from None


def _stored_values(ds: pydicom.Dataset, one: DicomSlice) -> np.ndarray:
    """Decode the pixels of one slice to `(Rows, Columns)` numbers."""
    try:
        return _plain_pixels(ds, one) if one.transfer_syntax in _LITTLE_ENDIAN else ds.pixel_array
    except Exception as error:  # each decoder has exceptions of its own
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"DicomSeriesReader: pixels of {one.path!r} cannot be decoded ({reason}); replace or decompress the file."
        ) from None


def _plain_pixels(ds: pydicom.Dataset, one: DicomSlice) -> np.ndarray:
    """View uncompressed little-endian pixels without a copy; bits that are not stored are cut off."""
    if _PIXELS not in ds:
        raise ValueError("there are none")
    if one.bits_allocated not in (8, 16, 32):
        raise ValueError(f"BitsAllocated is {one.bits_allocated}, not 8, 16 or 32")
    dtype = f"<{'i' if one.signed else 'u'}{one.bits_allocated // 8}"
    values = np.frombuffer(ds.get_item(_PIXELS).value, dtype, one.shape[0] * one.shape[1])
    if one.bits_stored < one.bits_allocated:
        # Overlays may live in the spare bits; shifting up and down also extends the sign.
        values = (values << (one.bits_allocated - 1 - one.high_bit)) >> (one.bits_allocated - one.bits_stored)
    return values.reshape(one.shape)


def _to_hu(stored: np.ndarray, one: DicomSlice, out: np.ndarray) -> None:
    intercept, slope = one.rescale or (0.0, 1.0)
    if slope == 1:
        np.copyto(out, stored, casting="unsafe")
    else:
        np.multiply(stored, np.float32(slope), out=out, casting="unsafe")
    out += np.float32(intercept)


def _metadata(series: DicomSeries) -> dict:
    one, count = series.slices[0], len(series.slices)
    positions = series.positions_mm
    step = (positions[-1] - positions[0]) / (count - 1) if count > 1 else series.normal * (one.thickness_mm or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = np.array(one.orientation[:3]) * one.spacing_mm[1]  # along a row: the distance of columns
    affine[:3, 1] = np.array(one.orientation[3:]) * one.spacing_mm[0]
    affine[:3, 2], affine[:3, 3] = step, positions[0]
    affine = orientation_ras_lps(affine)
    return {
        MetaKeys.AFFINE: affine,
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPATIAL_SHAPE: np.array([one.shape[1], one.shape[0], count]),
        MetaKeys.SPACE: SpaceKeys.RAS,
        # MONAI's own spelling of "no_channel", so that batches mix with those of its readers.
        MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),
    }
