"""One DICOM header as plain values, read without touching the pixels.

Positions and spacings are in mm, directions are in the DICOM patient system (LPS).
"""

import os
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ImplicitVRLittleEndian

__all__ = ["DicomSlice", "is_dicom_file", "read_slice", "slice_from_dataset"]

_INDEX_FILE = "DICOMDIR"  # carries the DICOM prefix and holds no image
# Old scanners write no 128-byte preamble: these suffixes are tried without it.
_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}

_TAGS: dict[str, BaseTag] = {
    keyword: Tag(keyword)
    for keyword in (
        "SpecificCharacterSet",
        "ImageType",
        "SOPClassUID",
        "Modality",
        "ConversionType",
        "PatientID",
        "SliceThickness",
        "SeriesInstanceUID",
        "InstanceNumber",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "SamplesPerPixel",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "PixelSpacing",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "RescaleIntercept",
        "RescaleSlope",
    )
}
HEADER_TAGS: list[BaseTag] = list(_TAGS.values())


@dataclass(frozen=True, slots=True)
class DicomSlice:
    """What one header says; a tag that is absent or malformed is an empty tuple, an empty text or 0.

    Args:
        path: absolute file name.
        shape: (Rows, Columns).
        position_mm: ImagePositionPatient, three numbers.
        orientation: ImageOrientationPatient, direction of a row and of a column, six numbers.
        spacing_mm: PixelSpacing, distance of rows and of columns.
        rescale: (RescaleIntercept, RescaleSlope).
        converted: ConversionType is given, as secondary captures must.
        file_bytes: size of the file.
    """

    path: str
    series_uid: str
    sop_class: str
    transfer_syntax: str
    modality: str
    image_type: tuple[str, ...]
    patient_id: str
    instance_number: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    thickness_mm: float
    shape: tuple[int, int]
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    rescale: tuple[float, ...]
    converted: bool
    file_bytes: int

    @property
    def is_image(self) -> bool:
        """Whether this is an image, not a report, structure set or presentation state."""
        return any(self.shape) or bool(self.position_mm) or self.modality == "CT"


def is_dicom_file(path: str | os.PathLike[str]) -> bool:
    """Tell a DICOM file by its magic word, or by its suffix where a file has no preamble."""
    name = os.path.basename(path)
    if name == _INDEX_FILE:
        return False
    if os.path.splitext(name)[1].lower() in _DICOM_SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_slice(path: str) -> DicomSlice | None:
    """Read the header of a DICOM file.

    Returns:
        The header, or None for an object that is no image (report, structure set, presentation state).

    Raises:
        Exception: whatever pydicom raises on damaged bytes; `ValueError` where no DICOM element is found.
    """
    with open(path, "rb") as file:
        ds = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER_TAGS, force=True)
        size = os.fstat(file.fileno()).st_size
    one = slice_from_dataset(ds, path, size)
    return one if one.is_image else None


def slice_from_dataset(ds: pydicom.Dataset, path: str, file_bytes: int) -> DicomSlice:
    """Collect the facts of a header that was read from a file.

    The raw bytes are parsed here: pydicom's conversion to DSfloat and MultiValue costs nearly as much as reading.

    Raises:
        ValueError: nothing in it says DICOM (`force=True` makes pydicom accept any bytes).
    """
    if not any(_TAGS[keyword] in ds for keyword in ("SOPClassUID", "Modality", "Rows")):
        raise ValueError("no DICOM header")
    meta = getattr(ds, "file_meta", None)
    allocated = _unsigned(ds, "BitsAllocated")
    stored = _unsigned(ds, "BitsStored") or allocated
    return DicomSlice(
        path=path,
        series_uid=_text(ds, "SeriesInstanceUID"),
        sop_class=_text(ds, "SOPClassUID") or str(getattr(meta, "MediaStorageSOPClassUID", "")),
        transfer_syntax=str(getattr(meta, "TransferSyntaxUID", ImplicitVRLittleEndian)),
        modality=_text(ds, "Modality"),
        image_type=tuple(part.strip().upper() for part in _text(ds, "ImageType").split("\\")),
        patient_id=str(ds.get("PatientID", "") or "").strip(),  # the one text here that may be non-ASCII
        instance_number=int(_first(ds, "InstanceNumber", 0)),
        position_mm=_exactly(3, _numbers(ds, "ImagePositionPatient")),
        orientation=_exactly(6, _numbers(ds, "ImageOrientationPatient")),
        spacing_mm=_exactly(2, _numbers(ds, "PixelSpacing")),
        thickness_mm=_first(ds, "SliceThickness", 0.0),
        shape=(_unsigned(ds, "Rows"), _unsigned(ds, "Columns")),
        frames=int(_first(ds, "NumberOfFrames", 1)),
        samples=_unsigned(ds, "SamplesPerPixel") or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_unsigned(ds, "HighBit") or stored - 1,
        signed=_unsigned(ds, "PixelRepresentation") == 1,
        rescale=_exactly(2, _numbers(ds, "RescaleIntercept") + _numbers(ds, "RescaleSlope")),
        converted=bool(_text(ds, "ConversionType")),
        file_bytes=file_bytes,
    )


def _raw(ds: pydicom.Dataset, keyword: str) -> object | None:
    tag = _TAGS[keyword]
    return ds.get_item(tag).value if tag in ds else None


def _text(ds: pydicom.Dataset, keyword: str) -> str:
    value = _raw(ds, keyword)
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip(" \0")
    return "" if value is None else str(value).strip()


def _numbers(ds: pydicom.Dataset, keyword: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in _text(ds, keyword).split("\\") if part.strip())
    except ValueError:
        return ()
    return numbers if all(np.isfinite(numbers)) else ()


def _first(ds: pydicom.Dataset, keyword: str, default: float) -> float:
    return next(iter(_numbers(ds, keyword)), default)


def _unsigned(ds: pydicom.Dataset, keyword: str) -> int:
    value = _raw(ds, keyword)
    if isinstance(value, bytes):
        return int.from_bytes(value[:2], "big" if ds.original_encoding[1] is False else "little")
    return 0 if value is None else int(str(value))


def _exactly(count: int, numbers: tuple[float, ...]) -> tuple[float, ...]:
    return numbers if len(numbers) == count else ()
