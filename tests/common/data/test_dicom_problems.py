import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLosslessSV1, SecondaryCaptureImageStorage

from common.data.dicom_problems import problems
from common.data.dicom_series import scan_dicom

from .dicom_files import write_series


def found(folder: Path, **options: int | str | None) -> str:
    (series,) = scan_dicom(folder)
    return " | ".join(problems(series, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, -1, 0), (0.8, 0.6, 0, -0.36, 0.48, 0.8)],
    ids=["head first", "feet first", "prone", "oblique"],
)
def test_a_sound_series_has_no_problem(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    write_series(tmp_path, orientation=orientation)
    assert found(tmp_path) == ""


def test_positions_rounded_to_a_tenth_are_no_problem(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [0, 0, round(0.625 * k, 1)]

    write_series(tmp_path, np.zeros((40, 4, 4), np.int16), edit=edit)
    assert found(tmp_path) == ""


def setter(at: int | None, **values: object) -> Callable[[Dataset, int], None]:
    """Give slice `at` (every slice for None) these values; a value None removes the tag."""

    def edit(ds: Dataset, k: int) -> None:
        for keyword, value in values.items() if at in (None, k) else ():
            delattr(ds, keyword) if value is None else setattr(ds, keyword, value)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(
            setter(4, ImageOrientationPatient=[0, 1, 0, 0, 0, 1]), "mixed orientation: 1 of 10", id="orientation"
        ),
        pytest.param(setter(4, Modality="PT"), r"mixed modality \(9 x CT, 1 x PT\)", id="mixed modality"),
        pytest.param(setter(None, Modality="MR"), r"modality \(10 x MR\) instead of CT", id="not CT"),
        pytest.param(setter(None, Modality=""), r"modality \(10 x none\) instead of CT", id="no modality"),
        pytest.param(
            setter(2, SOPClassUID=SecondaryCaptureImageStorage), "secondary capture in 1 of 10", id="capture class"
        ),
        pytest.param(setter(None, ConversionType="WSD"), "secondary capture in 10 of 10", id="conversion type"),
        pytest.param(
            setter(1, ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), "secondary capture", id="screen save"
        ),
        pytest.param(setter(0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localizer in 1 of 10", id="localizer"),
        pytest.param(setter(None, NumberOfFrames=3), "multiframe object .*convert it to NIfTI", id="multiframe"),
        pytest.param(setter(None, SamplesPerPixel=3), "colour image", id="colour"),
        pytest.param(setter(3, Rows=5), "mixed matrix size: 1 of 10", id="matrix"),
        pytest.param(setter(3, PixelSpacing=[0.8, 0.9]), "mixed pixel spacing: 1 of 10", id="pixel spacing"),
        pytest.param(
            setter(3, ImagePositionPatient=None), "missing or malformed ImagePositionPatient in", id="position"
        ),
        pytest.param(
            setter(3, ImageOrientationPatient=None), "malformed ImageOrientationPatient in", id="no orientation"
        ),
        pytest.param(setter(3, PixelSpacing=None), "missing or malformed PixelSpacing in", id="no spacing"),
        pytest.param(setter(3, PixelSpacing=[0, 0.7]), "missing or malformed PixelSpacing in", id="zero spacing"),
        pytest.param(setter(3, RescaleSlope=None), "missing or malformed RescaleSlope", id="no rescale"),
        pytest.param(setter(None, ImageOrientationPatient=[2, 0, 0, 0, 1, 0]), "has not the length 1", id="length"),
        pytest.param(
            setter(None, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), "not perpendicular", id="not square"
        ),
        pytest.param(
            setter(3, ImagePositionPatient=[-20, -30, -98]), "duplicate slices: 1 at .* taken", id="same position"
        ),
        pytest.param(setter(3, ImagePositionPatient=[-20, -30, -93.2]), "uneven spacing: steps from 1.20", id="uneven"),
        pytest.param(
            setter(3, ImagePositionPatient=[-17, -30, -94]), "shifted sideways by up to 3.0 mm", id="sideways"
        ),
        pytest.param(setter(3, PixelData=b"\0" * 20), "truncated file", id="truncated"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, edit: Callable[[Dataset, int], None], message: str) -> None:
    write_series(tmp_path, np.zeros((10, 40, 40), np.int16), edit=edit)
    assert re.search(message, found(tmp_path))


def test_left_out_slices_are_counted_and_placed(tmp_path: Path) -> None:
    paths = write_series(tmp_path, np.zeros((20, 4, 4), np.int16))
    for k in (5, 6, 12):
        os.remove(paths[k])
    assert found(tmp_path) == "missing slices: 3, between -92.0 and -86.0, -78.0 and -74.0 mm along the normal"


def test_a_copied_slice_is_a_duplicate_and_both_files_are_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    shutil.copy(paths[2], tmp_path / "copy.dcm")
    text = found(tmp_path)
    assert "duplicate slices: 1" in text and "copy.dcm" in text and os.path.basename(paths[2]) in text
    assert "uneven" not in text and "missing" not in text


def test_slow_drift_of_the_step_is_uneven(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [0, 0, k + 0.1 * max(k - 20, 0)]

    write_series(tmp_path, np.zeros((40, 4, 4), np.int16), edit=edit)
    assert "uneven spacing" in found(tmp_path)


@pytest.mark.parametrize(("degrees", "tilted"), [(0.2, False), (2.0, True), (20.0, True)])
def test_gantry_tilt_is_the_angle_of_travel_to_the_normal(tmp_path: Path, degrees: float, tilted: bool) -> None:
    angle = np.radians(degrees)
    orientation = (1, 0, 0, 0, round(float(np.cos(angle)), 8), round(float(np.sin(angle)), 8))
    write_series(tmp_path, orientation=orientation, step_mm=(0, 0, 2))
    assert (f"gantry tilt: slices move at {degrees:.1f} degrees" in found(tmp_path)) == tilted
    assert (found(tmp_path) == "") != tilted


def test_few_slices_are_a_localizer_unless_fewer_are_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path, np.zeros((3, 4, 4), np.int16))
    assert found(tmp_path) == "only 3 of at least 8 slices (a localizer?)"
    assert found(tmp_path, min_slices=3) == ""


def test_modality_none_takes_any_single_modality(tmp_path: Path) -> None:
    write_series(tmp_path, edit=setter(None, Modality="MR", RescaleSlope=None))
    assert found(tmp_path, modality=None) == ""


def test_a_compression_without_decoder_is_named_with_a_way_out(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        ds["PixelData"].is_undefined_length = True
        ds.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"

    write_series(tmp_path, edit=edit)
    assert "JPEG Lossless" in found(tmp_path) and "gdcmconv --raw" in found(tmp_path)


def test_several_problems_are_all_listed(tmp_path: Path) -> None:
    paths = write_series(tmp_path, edit=setter(None, Modality="PT"))
    os.remove(paths[4])
    (tmp_path / "broken.dcm").write_bytes(b"")
    text = found(tmp_path)
    assert "modality" in text and "missing slices: 1" in text and "unreadable file broken.dcm" in text


def test_the_real_series_is_sound() -> None:
    root = os.environ.get("BUNDLES_DATA", "")
    folder = Path(root) / "totalsegmentator_ct" / "example_ct_dicom"
    if not root or not folder.is_dir():
        pytest.skip("BUNDLES_DATA names no folder with totalsegmentator_ct")
    (series,) = scan_dicom(folder)
    assert len(series.slices) == 20 and problems(series) == []
