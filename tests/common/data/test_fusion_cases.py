from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.data.fusion_cases import scan_fusion

from .dicom_files import write_series

ALL = ("flair", "t1", "t1ce", "t2")


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6), 7, np.uint8)).save(file)


def volume(file: Path, shape: tuple[int, ...] = (5, 5, 5)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), file)


def pairs(folder: Path, *names: str, sides: tuple[str, str] = ("PET", "MRI"), write: Callable = picture) -> None:
    for name in names:
        for side in sides:
            write(folder / side / name)


def by_id(source: object) -> dict[str, dict]:
    return {item["id"]: item for item in scan_fusion(source)}  # type: ignore[arg-type]


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    pairs(tmp_path, "b.png", "sub/a.tif")
    (tmp_path / "PET/notes.txt").touch()
    found = scan_fusion(tmp_path)
    assert [item["id"] for item in found] == ["b", "sub/a"]
    assert found[0] == {
        "id": "b", "group": "b", "section": "test", "label": -1,
        "image": str(tmp_path / "PET/b.png"), "mri": str(tmp_path / "MRI/b.png"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.jpeg", "x.tiff", "x.bmp"])
def test_pictures_of_every_type(tmp_path: Path, name: str) -> None:
    pairs(tmp_path, name, sides=("SPECT", "MRI"))
    assert [item["image"] for item in scan_fusion(tmp_path)] == [str(tmp_path / "SPECT" / name)]


def test_nifti_pairs_with_either_suffix(tmp_path: Path) -> None:
    volume(tmp_path / "ct/p1.nii")
    volume(tmp_path / "mri/p1.nii.gz")
    assert scan_fusion(tmp_path)[0]["mri"] == str(tmp_path / "mri/p1.nii.gz")


def test_collections_keep_images_apart_and_patients_folders_are_groups(tmp_path: Path) -> None:
    pairs(tmp_path / "CT-MRI", "41001.png", "41002.png", sides=("CT", "MRI"))
    pairs(tmp_path / "PET-MRI", "41001.png", "41002.png")
    pairs(tmp_path / "p7", "1.png", "2.png")
    found = by_id(tmp_path)
    assert list(found) == [f"{kind}-MRI/4100{k}" for kind in ("CT", "PET") for k in (1, 2)] + ["p7/1", "p7/2"]
    assert {found["p7/1"]["group"], found["p7/2"]["group"]} == {"p7"}
    assert found["CT-MRI/41001"]["group"] == "CT-MRI/41001"


def test_one_mri_serves_several_modalities(tmp_path: Path) -> None:
    pairs(tmp_path, "a.png", "b.png")
    pairs(tmp_path, "a.png", "b.png", sides=("CT", "MRI"))
    found = by_id(tmp_path)
    assert list(found) == ["CT/a", "CT/b", "PET/a", "PET/b"]
    assert found["CT/a"]["mri"] == found["PET/a"]["mri"]


@pytest.mark.parametrize("as_list", [False, True])
def test_two_folders_of_any_name_in_order(tmp_path: Path, as_list: bool) -> None:
    pairs(tmp_path, "1.png", "2.png", sides=("first, one", "second"))
    first, second = tmp_path / "first, one", tmp_path / "second"
    if not as_list:
        first = first.rename(tmp_path / "first")
    found = scan_fusion([str(first), str(second)] if as_list else f"{first},{second}")
    assert [(item["id"], item["image"], item["mri"]) for item in found] == [
        (name, str(first / f"{name}.png"), str(second / f"{name}.png")) for name in "12"
    ]


def test_a_comma_in_the_name_of_a_folder_is_no_separator(tmp_path: Path) -> None:
    pairs(tmp_path / "a,b", "1.png")
    assert [item["id"] for item in scan_fusion(str(tmp_path / "a,b"))] == ["1"]


def test_two_files(tmp_path: Path) -> None:
    picture(tmp_path / "ct.png")
    picture(tmp_path / "mr.png")
    found = scan_fusion(f"{tmp_path}/ct.png,{tmp_path}/mr.png")
    assert [(item["id"], item["mri"]) for item in found] == [("ct", str(tmp_path / "mr.png"))]


def test_dicom_series_in_the_folders_of_patients(tmp_path: Path) -> None:
    for k in (1, 2):
        for side in ("CT", "MRI"):
            write_series(tmp_path / f"p{k}" / side, patient=f"P{k}", suffix=".dcm" if k == 1 else "", seed=len(side))
    found = by_id(tmp_path)
    assert list(found) == ["p1", "p2"]
    assert found["p1"]["group"] == "P1" and "error" not in found["p1"]
    assert len(found["p1"]["image"]) == len(found["p1"]["mri"]) == 10


def test_dicom_series_and_single_files_in_the_folders_of_modalities(tmp_path: Path) -> None:
    plane = np.zeros((1, 6, 5), np.int16)
    for k in (1, 2):
        for side in ("CT", "MRI"):
            write_series(tmp_path / "series" / side / f"p{k}", seed=k, uid=f"1.{k}.{len(side)}")
            file = write_series(tmp_path / "tmp", plane, patient=f"P{k}", uid=f"2.{k}.{len(side)}")[0]
            (tmp_path / "single" / side).mkdir(parents=True, exist_ok=True)
            Path(file).rename(tmp_path / "single" / side / f"{k}.dcm")
    assert list(by_id(tmp_path / "series")) == ["p1", "p2"]
    single = by_id(tmp_path / "single")
    assert list(single) == ["1", "2"]
    assert single["2"]["image"] == str(tmp_path / "single/CT/2.dcm") and single["2"]["group"] == "P2"


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["_flair", "_t1", "_t1ce", "_t2"], id="brats-2021"),
        pytest.param(["-t2f", "-t1n", "-t1c", "-t2w"], id="brats-2023"),
    ],
)
def test_brats_subjects_hold_four_sequences_in_order(tmp_path: Path, names: list[str]) -> None:
    for subject in ("BraTS_1", "BraTS_2"):
        for name in [*names, names[0][0] + "seg"]:
            volume(tmp_path / subject / f"{subject}{name}.nii.gz")
    found = by_id(tmp_path)
    assert list(found) == ["BraTS_1", "BraTS_2"]
    assert found["BraTS_2"]["image"] == [str(tmp_path / f"BraTS_2/BraTS_2{name}.nii.gz") for name in names]
    assert "mri" not in found["BraTS_2"] and "error" not in found["BraTS_2"]


def test_multi_channel_files(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii.gz", (4, 4, 4, 3))
    volume(tmp_path / "b/c.nii", (4, 4, 1, 2))
    assert {key: item["image"] for key, item in by_id(tmp_path).items()} == {
        "a": str(tmp_path / "a.nii.gz"),
        "b/c": str(tmp_path / "b/c.nii"),
    }
    assert list(by_id(tmp_path / "a.nii.gz")) == ["a"]


def no_partner(folder: Path) -> None:
    picture(folder / "PET/bad.png")


def empty(folder: Path) -> None:
    pairs(folder, "bad.png")
    (folder / "PET/bad.png").write_bytes(b"")


def no_picture(folder: Path) -> None:
    pairs(folder, "bad.png")
    (folder / "MRI/bad.png").write_text("text")


def pages(folder: Path) -> None:
    pairs(folder, "bad.tif")
    page = Image.fromarray(np.zeros((4, 6), np.uint8))
    page.save(folder / "PET/bad.tif", save_all=True, append_images=[page])


def channels(folder: Path) -> None:
    pairs(folder, "bad.nii", write=volume)
    volume(folder / "PET/bad.nii", (4, 4, 4, 2))


def complex_voxels(folder: Path) -> None:
    pairs(folder, "bad.nii", write=volume)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)), folder / "MRI/bad.nii")


def other_patient(folder: Path) -> None:
    write_series(folder / "PET/bad", patient="P1", uid="1.1")
    write_series(folder / "MRI/bad", patient="P2", uid="1.2")


def gap(folder: Path) -> None:
    paths = write_series(folder / "PET/bad", uid="1.1")
    write_series(folder / "MRI/bad", uid="1.2")
    Path(paths[4]).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(no_partner, "PET/bad.png has no partner in", id="no-partner"),
        pytest.param(empty, "PET/bad.png: empty file", id="empty"),
        pytest.param(no_picture, "MRI/bad.png: unreadable header", id="no-picture"),
        pytest.param(pages, "PET/bad.tif: 2 pages, expected 1", id="pages"),
        pytest.param(channels, "PET/bad.nii: 2 channels, expected 1", id="channels"),
        pytest.param(complex_voxels, "MRI/bad.nii: voxels of type complex64", id="complex"),
        pytest.param(other_patient, "image is of patient P1 and mri of P2", id="patients"),
        pytest.param(gap, "PET/bad: ", id="dicom-gap"),
    ],
)
def test_a_broken_pair_says_why_and_the_others_stay(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    pairs(tmp_path, "good.png")
    damage(tmp_path)
    found = by_id(tmp_path)
    assert list(found) == ["bad", "good"] and "error" not in found["good"]
    assert message in found["bad"]["error"]


def test_broken_volumes_say_why(tmp_path: Path) -> None:
    for name in ("_flair", "_t1", "_t2"):
        volume(tmp_path / f"brats/s{name}.nii")
    volume(tmp_path / "multi/one.nii")
    picture(tmp_path / "x.png")
    assert scan_fusion(tmp_path / "brats")[0]["error"] == "sequence missing: t1ce"
    assert "one channel only" in scan_fusion(tmp_path / "multi")[0]["error"]
    assert "give two files" in scan_fusion(tmp_path / "x.png")[0]["error"]


def subject(folder: Path, *names: str, shapes: dict[str, tuple[int, ...]] | None = None) -> Path:
    for name in names:
        volume(folder / f"s_{name}.nii.gz", (shapes or {}).get(name, (5, 5, 5)))
    return folder


def test_chosen_sequences_come_in_their_order_and_others_may_be_missing(tmp_path: Path) -> None:
    subject(tmp_path, "flair", "t1ce", "t2")
    item = scan_fusion(tmp_path, sequences=["t1ce", "flair"])[0]
    assert [Path(path).name for path in item["image"]] == ["s_t1ce.nii.gz", "s_flair.nii.gz"] and "error" not in item
    item = scan_fusion(tmp_path, sequences=("t1", "flair"))[0]
    assert item["error"] == "sequence missing: t1"


def test_a_sequence_that_is_not_chosen_may_lie_on_another_grid(tmp_path: Path) -> None:
    subject(tmp_path, "flair", "t1ce", "t2", shapes={"t2": (5, 5, 6)})
    assert "error" not in scan_fusion(tmp_path, sequences=["flair", "t1ce"])[0]
    assert "s_t2.nii.gz lies on another grid" in scan_fusion(tmp_path, sequences=["flair", "t2"])[0]["error"]


def test_sequences_that_are_registered_later_may_lie_on_different_grids(tmp_path: Path) -> None:
    subject(tmp_path, *ALL, shapes={"t2": (5, 5, 6)})
    assert "error" not in scan_fusion(tmp_path, registered=False)[0] and "error" in scan_fusion(tmp_path)[0]


@pytest.mark.parametrize("name", ["s_seg.nii.gz", "s-seg.nii"])
def test_the_label_map_of_a_subject_is_its_truth(tmp_path: Path, name: str) -> None:
    for sequence in ALL:
        volume(tmp_path / f"s{name[1]}{sequence}.nii.gz")
    volume(tmp_path / name)
    item = scan_fusion(tmp_path, sequences=["t2", "t1"])[0]
    assert item["truth"] == str(tmp_path / name) and len(item["image"]) == 2


def test_a_label_map_and_one_sequence_are_no_subject(tmp_path: Path) -> None:
    subject(tmp_path, "t1", "seg")
    assert all("truth" not in item and "one channel only" in item["error"] for item in scan_fusion(tmp_path))


@pytest.mark.parametrize(
    ("shape", "registered", "message"),
    [
        pytest.param((5, 5, 6), True, "lies on the grid of no sequence", id="grid"),
        pytest.param((5, 5, 6), False, "lies on the grid of no sequence", id="grid-before-registration"),
        pytest.param((5, 5, 5, 2), True, "2 channels, expected 1", id="channels"),
    ],
)
def test_an_unusable_label_map_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shape: tuple[int, ...], registered: bool, message: str
) -> None:
    subject(tmp_path, *ALL, "seg", shapes={"seg": shape})
    item = scan_fusion(tmp_path, registered=registered)[0]
    assert "truth" not in item and "error" not in item
    assert f"s_seg.nii.gz is left out: {'it ' if len(shape) == 3 else ''}{message}" in caplog.text


def test_before_registration_the_label_map_may_lie_on_the_grid_of_any_sequence(tmp_path: Path) -> None:
    subject(tmp_path, *ALL, "seg", shapes={"seg": (5, 5, 6), "t2": (5, 5, 6)})
    assert "truth" in scan_fusion(tmp_path, registered=False)[0]


def test_one_file_has_no_sequences_to_choose_from_and_pairs_stay(tmp_path: Path) -> None:
    volume(tmp_path / "multi/m.nii.gz", (4, 4, 4, 3))
    message = "no file of sequence t1, t2 among m.nii.gz; name others in sequences"
    assert scan_fusion(tmp_path / "multi", ["t1", "t2"])[0]["error"] == message
    assert scan_fusion(tmp_path / "multi/m.nii.gz", ["t1", "t2"])[0]["error"] == message
    pairs(tmp_path / "pairs", "a.png")
    assert scan_fusion(tmp_path / "pairs", ["t1", "t2"]) == scan_fusion(tmp_path / "pairs")


@pytest.mark.parametrize("sequences", [["t1"], ["t1", "t1"], ["t1", "pd"], [], "t1"], ids=str)
def test_sequences_that_are_none_are_refused(tmp_path: Path, sequences: list[str]) -> None:
    subject(tmp_path, *ALL)
    with pytest.raises(
        ValueError, match="scan_fusion: sequences is .*; name two to four different ones of .'flair', 't1'"
    ):
        scan_fusion(tmp_path, sequences)


@pytest.mark.parametrize(
    ("shape", "shift"), [pytest.param((5, 5, 6), 0, id="size"), pytest.param((5, 5, 5), 0.01, id="affine")]
)
def test_sequences_on_different_grids_are_refused(tmp_path: Path, shape: tuple[int, ...], shift: float) -> None:
    for name in ("flair", "t1", "t1ce"):
        volume(tmp_path / f"s_{name}.nii")
    affine = np.eye(4)
    affine[0, 3] = shift
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), affine), tmp_path / "s_t2.nii")
    assert "s_t2.nii lies on another grid than" in scan_fusion(tmp_path)[0]["error"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("gone", "scan_fusion: source .*gone' does not exist; check the path", id="missing"),
        pytest.param("empty", "holds no folder CT, PET or SPECT beside a folder MRI, no BraTS", id="empty"),
        pytest.param("empty,gone", "'gone' of source 'empty,gone' does not exist", id="one-of-two"),
        pytest.param("empty,lone", "a folder of 'empty,lone' is empty", id="two-empty"),
        pytest.param("lone", "holds no folder CT", id="no-mri"),
        pytest.param("a,b,c", "names 3 places", id="three"),
    ],
)
def test_nothing_to_fuse_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "lone/CT/a.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=message) as caught:
        scan_fusion(source)
    assert "\n" not in str(caught.value)
