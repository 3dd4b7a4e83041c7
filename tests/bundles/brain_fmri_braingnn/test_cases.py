import json
from pathlib import Path

import numpy as np
import pytest
from scripts import cases
from scripts.cases import atlas_beside, inference_cases, training_cases


def datalist(folder: Path, *settings: object) -> None:
    sections = {}
    for name in ("training", "validation", "test"):
        np.save(folder / f"{name}.npy", np.zeros((4, 2)))
        sections[name] = [{"image": f"{name}.npy", "id": name, "label": 1, "age": 12.5}]
    text = {"name": "own", "description": "own", "labels": {"0": "control", "1": "autism"}, **sections}
    (folder / "dataset.json").write_text(json.dumps(text))


def test_a_folder_given_is_read_as_it_is(tmp_path: Path) -> None:
    datalist(tmp_path)
    found = inference_cases(str(tmp_path), "elsewhere")
    assert [item["section"] for item in found] == ["training", "validation", "test"] and found[0]["age"] == 12.5
    assert list(training_cases(str(tmp_path), "elsewhere")) == ["training", "validation", "test"]


def test_no_folder_given_means_the_test_section_of_the_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "make_cohort", datalist)
    found = inference_cases(str(tmp_path), str(tmp_path))
    assert [item["id"] for item in found] == ["test"] and next(tmp_path.glob("phantoms-*")).is_dir()


def test_nothing_to_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dataset_dir .*gone does not exist"):
        inference_cases(str(tmp_path / "gone"), "elsewhere")
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
