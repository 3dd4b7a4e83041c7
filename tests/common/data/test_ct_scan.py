import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset

from common.data.ct_scan import find_ct, scan_ct

from .dicom_files import write_series

VOLUME = np.zeros((8, 9, 10), np.int16)


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, VOLUME)
    else:
        nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path)
    return path


def test_every_format_is_found_with_its_id_and_group(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "p1" / "study", patient="Anna")
    save(tmp_path / "sub" / "b.nii.gz")
    save(tmp_path / "a.npy")
    (tmp_path / "labels.csv").write_text("id,label\n")
    common = {"section": "test", "label": -1}
    assert scan_ct(tmp_path) == [
        {"id": "a", "image": str(tmp_path / "a.npy"), "group": "a", **common},
        {"id": "p1/study", "image": paths, "group": "Anna", **common},
        {"id": "sub/b", "image": str(tmp_path / "sub" / "b.nii.gz"), "group": "sub/b", **common},
    ]


def test_several_series_of_a_folder_are_told_apart_by_uid(tmp_path: Path) -> None:
    write_series(tmp_path / "p1", uid="1.2.1", suffix=".a")
    write_series(tmp_path / "p1", uid="1.2.2", suffix=".b")
    assert [item["id"] for item in scan_ct(tmp_path)] == ["p1#1.2.1", "p1#1.2.2"]


def test_files_that_would_share_an_id_keep_their_suffix(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "a.npy", "b.npy"):
        save(tmp_path / name)
    write_series(tmp_path / "b")
    assert [item["id"] for item in scan_ct(tmp_path)] == ["a.nii.gz", "a.npy", "b", "b.npy"]


def test_unusable_volumes_carry_their_error_and_the_others_do_not(tmp_path: Path) -> None:
    os.remove(write_series(tmp_path / "gap")[4])
    write_series(tmp_path / "good")
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "x.dcm").write_bytes(b"")
    errors = {item["id"]: item.get("error") for item in scan_ct(tmp_path)}
    assert errors["good"] is None
    assert errors["empty"] == "empty file"
    assert errors["gap"] is not None and errors["gap"].startswith("missing slices: 1")
    assert errors["torn"] is not None and errors["torn"].startswith("unreadable file x.dcm")


def test_removed_patient_ids_fall_back_to_the_id(tmp_path: Path) -> None:
    write_series(tmp_path / "p1", patient="")
    assert scan_ct(tmp_path)[0]["group"] == "p1"


def test_one_file_or_one_series_folder_is_a_source(tmp_path: Path) -> None:
    assert [item["id"] for item in scan_ct(save(tmp_path / "x" / "a.nii.gz"))] == ["a"]
    paths = write_series(tmp_path / "series")
    assert [(item["id"], item["image"]) for item in scan_ct(tmp_path / "series")] == [("series", paths)]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_source_without_volumes_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=rf"scan_ct: .*{name}' (does not exist|holds no DICOM series)"
    ) as caught:
        scan_ct(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_only_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "dicom")
    save(tmp_path / "a.nii.gz")

    def refuse(*args: object) -> None:
        raise AssertionError("pixels were touched")

    monkeypatch.setattr(Dataset, "pixel_array", property(refuse))
    monkeypatch.setattr(nibabel.arrayproxy.ArrayProxy, "__array__", refuse)
    assert not any("error" in item for item in scan_ct(tmp_path))


def test_find_adds_the_names_a_label_may_use(tmp_path: Path) -> None:
    write_series(tmp_path / "p1", uid="1.2.1")
    assert {key: find_ct(tmp_path)[0][key] for key in ("place", "series_uid")} == {"place": "p1", "series_uid": "1.2.1"}


def test_real_files_are_found() -> None:
    root = os.environ.get("BUNDLES_DATA", "")
    folder = Path(root) / "totalsegmentator_ct"
    if not root or not folder.is_dir():
        pytest.skip("BUNDLES_DATA names no folder with totalsegmentator_ct")
    items = scan_ct(folder)
    assert [item["id"] for item in items] == ["chest_crop", "example_ct_dicom"]
    assert not any("error" in item for item in items) and len(items[1]["image"]) == 20
