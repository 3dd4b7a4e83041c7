import json
from pathlib import Path

import pytest

from common.data import inference_region_series, region_series_items


def series(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#10\t#11\n1\t2\n3\t4\n")  # listed by its name alone


def test_every_case_of_every_section_of_a_datalist(tmp_path: Path) -> None:
    sections = {}
    for name in ("training", "validation", "test"):
        series(tmp_path / f"{name}.1D")
        sections[name] = [{"image": f"{name}.1D", "id": name, "label": 1, "age": 12.5}]
    text = {"name": "own", "description": "own", "labels": {"0": "control", "1": "autism"}, **sections}
    (tmp_path / "dataset.json").write_text(json.dumps(text))
    found = inference_region_series(str(tmp_path))
    assert [item["section"] for item in found] == ["training", "validation", "test"] and found[0]["age"] == 12.5


def test_a_folder_of_series_as_it_is(tmp_path: Path) -> None:
    for name in ("a/s1.1D", "a/s2.csv", "s2.npy", "s2.csv", "s3.nii.gz", "s3_confounds.tsv", "notes.md"):
        series(tmp_path / name)
    found = inference_region_series(str(tmp_path))
    assert [item["id"] for item in found] == ["a/s1", "a/s2", "s2.csv", "s2.npy", "s3"]
    assert found[0] == {
        "image": str(tmp_path / "a/s1.1D"), "id": "a/s1", "group": "a/s1", "section": "test", "label": -1
    }  # fmt: skip
    assert [item["id"] for item in region_series_items(tmp_path / "s2.npy")] == ["s2"]


def test_an_abide_tree_as_it_is(tmp_path: Path) -> None:
    series(tmp_path / "ABIDE_pcp/cpac/filt_noglobal/UM_1_0050272_rois_ho.1D")
    for source in (tmp_path, tmp_path / "ABIDE_pcp"):
        item = inference_region_series(str(source))[0]
        assert (item["id"], item["group"], item["site"], item["label"]) == ("UM_1_0050272", "50272", "UM_1", -1)


def test_nothing_to_predict_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dataset_dir .*gone does not exist"):
        inference_region_series(str(tmp_path / "gone"))
    (tmp_path / "readme.md").write_text("")
    with pytest.raises(FileNotFoundError, match="holds no file of type .1D, .npy"):
        inference_region_series(str(tmp_path))
