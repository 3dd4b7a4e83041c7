import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from common.data.dicom_series import scan_dicom, walk_files

from .dicom_files import AXIAL, write_series

FEET_FIRST = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)


@pytest.mark.parametrize(
    "orientation", [AXIAL, FEET_FIRST, CORONAL, OBLIQUE], ids=["axial", "feet", "coronal", "oblique"]
)
def test_slices_are_ordered_along_their_normal(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    paths = write_series(tmp_path, orientation=orientation)  # names shuffled, InstanceNumber against the order
    (series,) = scan_dicom(tmp_path)
    assert series.paths == paths
    assert np.all(np.diff(series.positions_mm @ series.normal) > 0)


def test_files_are_grouped_by_series_not_by_folder_or_name(tmp_path: Path) -> None:
    first = write_series(tmp_path / "mixed", uid="1.2.1", suffix="")
    second = write_series(tmp_path / "mixed", uid="1.2.2", suffix=".dcm", seed=1)
    for k, path in enumerate(first[:4]):  # one series over two folders
        os.makedirs(tmp_path / "mixed" / "deep", exist_ok=True)
        first[k] = str(shutil.move(path, tmp_path / "mixed" / "deep" / f"x{k}.1.2"))
    (tmp_path / "mixed" / "notes.txt").write_text("not an image")
    found = {series.uid: series.paths for series in scan_dicom(tmp_path)}
    assert found == {"1.2.1": first, "1.2.2": second}


def test_series_without_uid_are_kept_apart_by_folder(tmp_path: Path) -> None:
    def anonymise(ds: Dataset, k: int) -> None:
        ds.SeriesInstanceUID = ""

    paths = [write_series(tmp_path / name, edit=anonymise) for name in ("a", "b")]
    assert [series.paths for series in scan_dicom(tmp_path)] == paths


def test_damaged_files_are_named_and_charged_to_their_folder(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    (tmp_path / "a" / "zz.dcm").write_bytes(b"")
    (tmp_path / "only" / "sub").mkdir(parents=True)
    (tmp_path / "only" / "sub" / "bad.dcm").write_bytes(b"garbage" * 50)
    whole, broken = scan_dicom(tmp_path)
    assert len(whole.slices) == 10 and whole.unreadable[0].startswith("zz.dcm (")
    assert broken.slices == () and broken.unreadable[0].startswith("bad.dcm (")
    assert broken.folder == str(tmp_path / "only" / "sub")


def test_walk_is_sorted_skips_hidden_files_and_ends_in_a_loop_of_links(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/3", ".hidden/4", "a/.5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert [os.path.relpath(path, tmp_path) for path in walk_files(tmp_path)] == ["a/3", "b/1", "b/2"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder '.*absent' is no directory"):
        scan_dicom(tmp_path / "absent")
