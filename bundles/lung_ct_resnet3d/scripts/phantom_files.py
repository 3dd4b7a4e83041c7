"""Writers of phantom volumes: NIfTI, NRRD, and DICOM series whose identifiers follow from a name, not the clock."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
INTERCEPT_HU = -1024


def write_image(path: Path, volume: NDArray[np.int16], affine: NDArray[np.float64], name: str, kind: str) -> list[Path]:
    """Write one volume.

    Args:
        path: file to write, or the folder of a DICOM series.
        volume: int16 HU, (X, Y, Z).
        affine: (4, 4) voxel index to RAS mm.
        name: identifiers of DICOM are derived from it.
        kind: `.nii.gz`, `.nii`, `.nrrd` or `dicom`.

    Returns:
        The files, one per slice in slice order for DICOM.

    Raises:
        ValueError: if the kind is not known.
    """
    if kind in (".nii.gz", ".nii"):
        nib.save(nib.Nifti1Image(volume, affine, dtype=np.int16), path)
    elif kind == ".nrrd":
        header: dict[str, Any] = {
            "space": "left-posterior-superior",
            "space directions": (RAS_TO_LPS @ affine[:3, :3]).T,
            "space origin": RAS_TO_LPS @ affine[:3, 3],
            "kinds": ["domain", "domain", "domain"],
            "encoding": "gzip",
        }
        _write_nrrd(path, volume, header)
    elif kind == "dicom":
        return write_dicom_series(path, volume, affine, name)
    else:
        raise ValueError(f"write_image: kind={kind!r} is no known format; give .nii.gz, .nii, .nrrd or dicom.")
    return [path]


def _write_nrrd(path: Path, volume: NDArray[np.int16], header: dict[str, Any]) -> None:
    """Write an NRRD file without the comment lines of pynrrd, which hold the time of writing."""
    buffer = io.BytesIO()
    nrrd.write(buffer, volume, header, compression_level=1)
    head, data = buffer.getvalue().split(b"\n\n", 1)
    lines = [line for line in head.split(b"\n") if not line.startswith(b"#")]
    path.write_bytes(b"\n".join(lines) + b"\n\n" + data)


def write_mask(path: Path, mask: NDArray[np.uint8], affine: NDArray[np.float64]) -> None:
    """Write a label map (X, Y, Z) as NIfTI."""
    nib.save(nib.Nifti1Image(mask, affine, dtype=np.uint8), path)


def write_dicom_series(folder: Path, volume: NDArray[np.int16], affine: NDArray[np.float64], name: str) -> list[Path]:
    """Write one CT series, a file per slice.

    Rows of a DICOM image run along the first axis of `volume` and columns along the second; position and orientation
    are LPS mm. `name` alone decides all identifiers, so that the same case gives the same bytes.

    Args:
        folder: where the slices are written; made when missing.
        volume: int16 HU, (X, Y, Z).
        affine: (4, 4) voxel index to RAS mm.
        name: what identifiers are derived from.

    Returns:
        The files in slice order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = _series_header(volume, affine, name)
    stored = np.ascontiguousarray((volume - np.int16(INTERCEPT_HU)).transpose(2, 1, 0), dtype="<i2")
    files = []
    for index, pixels in enumerate(stored):
        position = RAS_TO_LPS @ (affine @ [0, 0, index, 1])[:3]
        series.InstanceNumber = index + 1
        series.SOPInstanceUID = generate_uid(entropy_srcs=[name, "slice", str(index)])
        series.file_meta.MediaStorageSOPInstanceUID = series.SOPInstanceUID
        series.ImagePositionPatient = [round(float(value), 6) for value in position]
        series.SliceLocation = round(float(position[2]), 6)
        series.PixelData = pixels.tobytes()
        files.append(folder / f"slice_{index:04d}.dcm")
        series.save_as(files[-1], enforce_file_format=True)
    return files


def _series_header(volume: NDArray[np.int16], affine: NDArray[np.float64], name: str) -> FileDataset:
    """Everything that all slices of a series share."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["lung_ct_resnet3d phantom"])
    header = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    axes = RAS_TO_LPS @ affine[:3, :3]
    steps = np.linalg.norm(axes, axis=0)
    directions = (axes / steps).T
    values = {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Manufacturer": "phantom",
        "SeriesDescription": "synthetic chest CT, not a patient",
        "PatientName": "Phantom",
        "PatientID": name,
        "PatientPosition": ("FF" if affine[2, 2] < 0 else "HF") + ("P" if affine[1, 1] > 0 else "S"),
        "StudyInstanceUID": generate_uid(entropy_srcs=[name, "study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[name, "series"]),
        "FrameOfReferenceUID": generate_uid(entropy_srcs=[name, "frame"]),
        "SeriesNumber": 1,
        "Rows": volume.shape[1],
        "Columns": volume.shape[0],
        "PixelSpacing": [round(float(steps[1]), 6), round(float(steps[0]), 6)],
        "SliceThickness": round(float(steps[2]), 6),
        "SpacingBetweenSlices": round(float(steps[2]), 6),
        "ImageOrientationPatient": [round(float(v), 6) for v in (*directions[0], *directions[1])],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleIntercept": INTERCEPT_HU,
        "RescaleSlope": 1,
        "RescaleType": "HU",
    }
    for keyword, value in values.items():
        setattr(header, keyword, value)
    return header
