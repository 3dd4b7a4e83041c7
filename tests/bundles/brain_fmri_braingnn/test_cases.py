import json
from pathlib import Path

import numpy as np
import pytest
from scripts import cases
from scripts.cases import atlas_beside, inference_cases, training_cases


def series(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npy":
        np.save(file, np.zeros((4, 2)))
    else:
        file.write_text("#10\t#11\n1\t2\n3\t4\n")


def datalist(folder: Path, *settings: object) -> None:
    sections = {}
    for name in ("training", "validation", "test"):
        series(folder / f"{name}.npy")
        sections[name] = [{"image": f"{name}.npy", "id": name, "label": 1, "age": 12.5}]
    text = {"name": "own", "description": "own", "labels": {"0": "control", "1": "autism"}, **sections}
    (folder / "dataset.json").write_text(json.dumps(text))


def test_every_case_of_every_section_of_a_datalist(tmp_path: Path) -> None:
    datalist(tmp_path)
    found = inference_cases(str(tmp_path), "elsewhere")
    assert [item["section"] for item in found] == ["training", "validation", "test"] and found[0]["age"] == 12.5
    assert list(training_cases(str(tmp_path), "elsewhere")) == ["training", "validation", "test"]


def test_a_folder_of_series_as_it_is(tmp_path: Path) -> None:
    for name in ("a/s1.1D", "a/s2.csv", "s2.npy", "s2.csv", "s3.nii.gz", "s3_confounds.tsv", "notes.md"):
        series(tmp_path / name)
    found = inference_cases(str(tmp_path), "elsewhere")
    assert [item["id"] for item in found] == ["a/s1", "a/s2", "s2.csv", "s2.npy", "s3"]
    assert found[0] == {
        "image": str(tmp_path / "a/s1.1D"), "id": "a/s1", "group": "a/s1", "section": "test", "label": -1
    }  # fmt: skip
    assert [item["id"] for item in inference_cases(str(tmp_path / "s2.npy"), "elsewhere")] == ["s2"]


def test_an_abide_tree_as_it_is(tmp_path: Path) -> None:
    series(tmp_path / "ABIDE_pcp/cpac/filt_noglobal/UM_1_0050272_rois_ho.1D")
    for source in (tmp_path, tmp_path / "ABIDE_pcp"):
        item = inference_cases(str(source), "elsewhere")[0]
        assert (item["id"], item["group"], item["site"], item["label"]) == ("UM_1_0050272", "50272", "UM_1", -1)


def test_no_folder_given_means_the_test_section_of_the_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "make_cohort", datalist)
    found = inference_cases(str(tmp_path), str(tmp_path))
    assert [item["id"] for item in found] == ["test"] and next(tmp_path.glob("phantoms-*")).is_dir()


def test_nothing_to_predict_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dataset_dir .*gone does not exist"):
        inference_cases(str(tmp_path / "gone"), "elsewhere")
    (tmp_path / "readme.md").write_text("")
    with pytest.raises(FileNotFoundError, match="holds no file of type .1D, .npy"):
        inference_cases(str(tmp_path), "elsewhere")
    with pytest.raises(FileNotFoundError, match="dataset.json does not exist"):
        training_cases(str(tmp_path), "elsewhere")


def test_phantoms_of_other_settings(tmp_path: Path) -> None:
    few = {"training": 2, "validation": 2, "test": 4, "frames": [60, 70]}
    sections = training_cases(str(tmp_path), str(tmp_path), phantoms=few)
    assert [len(part) for part in sections.values()] == [2, 2, 4]
    assert len(inference_cases(str(tmp_path), str(tmp_path), few)) == 4


def test_the_atlas_lies_beside_the_images_or_above(tmp_path: Path) -> None:
    image = tmp_path / "a/images/x.nii.gz"
    (tmp_path / "atlas.nii.gz").touch()
    for items in ([{"image": str(image)}], {"training": [{"image": str(image)}]}):
        assert atlas_beside(items) == str(tmp_path / "atlas.nii.gz")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="atlas_beside: no other.nii beside .* give --atlas"):
        atlas_beside([{"image": str(image)}], "other.nii")
