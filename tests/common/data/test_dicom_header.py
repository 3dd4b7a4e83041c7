import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from common.data.dicom_header import is_dicom_file, read_slice

from .dicom_files import write_series


def test_header_values_equal_those_of_pydicom(tmp_path: Path) -> None:
    path = write_series(tmp_path, patient="Müller", edit=_name_charset)[3]
    one, ds = read_slice(path), pydicom.dcmread(path)
    assert one is not None
    assert one.position_mm == tuple(ds.ImagePositionPatient)
    assert one.orientation == tuple(ds.ImageOrientationPatient)
    assert one.spacing_mm == tuple(ds.PixelSpacing)
    assert one.rescale == (ds.RescaleIntercept, ds.RescaleSlope)
    assert one.shape == (ds.Rows, ds.Columns)
    assert (one.bits_allocated, one.bits_stored, one.high_bit, one.signed) == (16, 16, 15, True)
    assert (one.series_uid, one.modality, one.patient_id) == (ds.SeriesInstanceUID, "CT", "Müller")
    assert (one.instance_number, one.thickness_mm, one.frames, one.samples) == (ds.InstanceNumber, 2.0, 1, 1)
    assert one.file_bytes == Path(path).stat().st_size


def test_big_endian_numbers_are_read(tmp_path: Path) -> None:
    path = write_series(tmp_path, transfer_syntax=pydicom.uid.ExplicitVRBigEndian)[0]
    one = read_slice(path)
    assert one is not None and one.shape == (6, 5) and one.bits_allocated == 16


@pytest.mark.parametrize(
    ("keyword", "value", "name", "empty"),
    [
        pytest.param("ImagePositionPatient", [1.0, 2.0], "position_mm", (), id="two coordinates"),
        pytest.param("ImageOrientationPatient", None, "orientation", (), id="no value"),
        pytest.param("PixelSpacing", "0.7", "spacing_mm", (), id="one spacing"),
    ],
)
def test_malformed_tags_are_empty(tmp_path: Path, keyword: str, value: object, name: str, empty: tuple) -> None:
    def edit(ds: Dataset, k: int) -> None:
        setattr(ds, keyword, value)

    assert getattr(read_slice(write_series(tmp_path, edit=edit)[0]), name) == empty


def test_reports_are_no_images(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        for keyword in ("Rows", "Columns", "ImagePositionPatient", "PixelData"):
            delattr(ds, keyword)
        ds.Modality = "SR"

    assert read_slice(write_series(tmp_path, np.zeros((1, 2, 2), np.int16), edit=edit)[0]) is None


def test_files_are_told_by_magic_word_or_suffix(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a", np.zeros((1, 2, 2), np.int16))[0]
    for name in ("noext", "odd.name.1.2.3", "DICOMDIR"):
        shutil.copy(path, tmp_path / name)
    (tmp_path / "short").write_bytes(b"DICM")
    (tmp_path / "text.csv").write_text("id,DICM\n" * 100)
    (tmp_path / "old.IMA").write_bytes(b"no preamble")
    told = {file.name for file in tmp_path.iterdir() if file.is_file() and is_dicom_file(file)}
    assert told == {"noext", "odd.name.1.2.3", "old.IMA"}
    assert not is_dicom_file(tmp_path / "absent")


def _name_charset(ds: Dataset, k: int) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
