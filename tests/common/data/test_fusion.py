import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.data.datalist import load_datalist
from common.data.fusion import datalist_fusion
from common.data.fusion_sections import fusion_inference_cases


def volumes(folder: Path, count: int = 8) -> Path:
    for side in ("CT", "MRI"):
        (folder / side).mkdir(parents=True)
        for k in range(count):
            nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), folder / side / f"p{k}.nii")
    return folder


def pictures(folder: Path) -> Path:
    for side in ("PET", "MRI"):
        (folder / side).mkdir(parents=True)
        for k in range(12):
            Image.new("L", (4, 4)).save(folder / side / f"p{k // 2}_{k % 2}.png")
    return folder


def test_volumes_are_patients_and_split_into_three(tmp_path: Path) -> None:
    datalist_fusion(volumes(tmp_path / "src"), tmp_path / "out", validation=0.25, test=0.25)
    loaded = load_datalist(tmp_path / "out")
    assert {key: len(items) for key, items in loaded.items()} == {"training": 4, "validation": 2, "test": 2}
    assert set(loaded["test"][0]) == {"id", "group", "image", "mri", "label", "section"}


def test_slices_of_a_patient_stay_together(tmp_path: Path) -> None:
    source = pictures(tmp_path / "src")
    for seed in range(3):
        datalist_fusion(source, tmp_path / "out", groups=r"(p\d+)_", seed=seed)
        groups = [{item["group"] for item in items} for items in load_datalist(tmp_path / "out").values()]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 6


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        pytest.param(None, "picture 'p0_0' does not tell its patient.*give --groups", id="slices-would-leak"),
        pytest.param("case(.)", "groups is 'case.*finds no bracket in the id 'p0_0'", id="no-match"),
        pytest.param("p.", "finds no bracket", id="no-bracket"),
    ],
)
def test_pictures_of_unknown_patients_are_refused(tmp_path: Path, groups: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datalist_fusion(pictures(tmp_path / "src"), tmp_path / "out", groups)
    assert not (tmp_path / "out").exists()


def test_broken_cases_are_refused_or_left_out_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = volumes(tmp_path / "src")
    (source / "MRI/p3.nii").unlink()
    with pytest.raises(ValueError, match="datalist_fusion: 1 of 8 pairs .*p3: .*has no partner"):
        datalist_fusion(source, tmp_path / "out")
    datalist_fusion(source, tmp_path / "out", skip_broken=True)
    assert "left out p3" in caplog.text
    assert sum(map(len, load_datalist(tmp_path / "out").values())) == 7


def test_two_folders(tmp_path: Path) -> None:
    source = volumes(tmp_path / "src")
    file = datalist_fusion([str(source / "CT"), str(source / "MRI")], tmp_path / "out")
    assert sum(map(len, load_datalist(file.parent).values())) == 8


def test_label_maps_are_kept_and_sequences_chosen(tmp_path: Path) -> None:
    for k in range(3):
        for depth, name in enumerate(("t1", "t2", "seg", "flair")):
            path = tmp_path / f"src/p{k}/p{k}_{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (4, 4, 4 + (name == "flair"))
            nibabel.save(nibabel.Nifti1Image(np.full(shape, depth, np.int16), np.eye(4)), path)
    with pytest.raises(ValueError, match="sequence missing: t1ce"):
        datalist_fusion(tmp_path / "src", tmp_path / "out")
    file = datalist_fusion(tmp_path / "src", tmp_path / "out", sequences=["t2", "t1"])
    entry = json.loads(file.read_text())["test"][0]
    name = entry["id"]
    assert entry["truth"] == f"../src/{name}/{name}_seg.nii.gz"
    assert [Path(path).name for path in entry["image"]] == [f"{name}_t2.nii.gz", f"{name}_t1.nii.gz"]
    case = fusion_inference_cases(str(file.parent), "elsewhere")[0]
    assert Path(case["truth"]).is_file() and Path(case["truth"]).is_absolute()
    with pytest.raises(ValueError, match="lies on another grid"):
        datalist_fusion(tmp_path / "src", tmp_path / "out", sequences=["t1", "flair"])
    datalist_fusion(tmp_path / "src", tmp_path / "out", sequences=["t1", "flair"], registered=False)
