"""Small DICOM series for tests: any orientation, any damage."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def write_series(
    folder: Path,
    stored: np.ndarray | None = None,
    *,
    uid: str | None = None,
    patient: str = "P1",
    orientation: Sequence[float] = AXIAL,
    origin_mm: Sequence[float] = (-20.0, -30.0, -100.0),
    step_mm: Sequence[float] | None = None,
    spacing_mm: Sequence[float] = (0.8, 0.7),
    rescale: tuple[float, float] = (-1024.0, 1.0),
    bits_stored: int = 16,
    transfer_syntax: str = ExplicitVRLittleEndian,
    edit: Callable[[Dataset, int], None] | None = None,
    suffix: str = ".dcm",
    seed: int = 0,
) -> list[str]:
    """Write one file per slice under shuffled names; InstanceNumber runs against the slice order.

    Args:
        folder: made if needed.
        stored: integers `(Z, Y, X)`; 10 slices of 6 x 5 by default.
        edit: changes the dataset of slice k before it is written.

    Returns:
        Paths in slice order.
    """
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 2000, (10, 6, 5)).astype(np.int16) if stored is None else stored
    normal = np.cross(orientation[:3], orientation[3:])
    step = 2.0 * normal if step_mm is None else np.asarray(step_mm)
    uid = uid or generate_uid(entropy_srcs=[str(folder), str(seed)])[:58]
    names = rng.permutation(len(stored))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, plane in enumerate(stored):
        ds = _slice(plane, k, len(stored), uid)
        ds.PatientID = patient
        ds.ImagePositionPatient = [round(float(x), 6) for x in np.asarray(origin_mm) + k * step]
        ds.ImageOrientationPatient = list(orientation)
        ds.PixelSpacing = list(spacing_mm)
        ds.RescaleIntercept, ds.RescaleSlope = (str(value) for value in rescale)
        ds.BitsStored, ds.HighBit = bits_stored, bits_stored - 1
        ds.file_meta.TransferSyntaxUID = transfer_syntax
        if edit is not None:
            edit(ds, k)
        path = folder / f"{names[k]:03d}{suffix}"
        ds.save_as(path, enforce_file_format=True)
        paths.append(str(path))
    return paths


def _slice(plane: np.ndarray, k: int, count: int, uid: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{k + 1}"
    ds.SeriesInstanceUID, ds.InstanceNumber, ds.Modality = uid, count - k, "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Rows, ds.Columns = plane.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.PixelRepresentation = 8 * plane.dtype.itemsize, int(plane.dtype.kind == "i")
    ds.SliceThickness = "2"
    ds.PixelData = plane.tobytes()
    if plane.dtype.itemsize == 1:
        ds["PixelData"].VR = "OB"
    return ds
