import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data import fusion_sections
from common.data.fusion_sections import fusion_inference_cases, fusion_training_cases


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(file)


def datalist(folder: Path, *settings: object) -> None:
    sections = {}
    for name in ("training", "validation", "test"):
        for side in ("image", "mri"):
            picture(folder / side / f"{name}.png")
        sections[name] = [{"image": f"image/{name}.png", "mri": f"mri/{name}.png", "id": name, "group": name}]
    (folder / "dataset.json").write_text(json.dumps({"name": "own", "labels": {}, **sections}))


def test_every_case_of_every_section_of_a_datalist(tmp_path: Path) -> None:
    datalist(tmp_path)
    found = fusion_inference_cases(str(tmp_path), "elsewhere")
    assert [item["section"] for item in found] == ["training", "validation", "test"]
    assert found[0]["image"] == str(tmp_path / "image/training.png") and found[0]["mri"].endswith("mri/training.png")
    assert list(fusion_training_cases(str(tmp_path), "elsewhere")) == ["training", "validation", "test"]


def test_a_folder_of_pairs_as_it_is(tmp_path: Path) -> None:
    for side in ("PET", "MRI"):
        for name in ("1.png", "2.png"):
            picture(tmp_path / side / name)
    places = [str(tmp_path), f"{tmp_path}/PET,{tmp_path}/MRI", [f"{tmp_path}/PET", f"{tmp_path}/MRI"]]
    for source in places:
        found = fusion_inference_cases(source, "elsewhere")  # type: ignore[arg-type]
        assert [item["id"] for item in found] == ["1", "2"]
        assert found[0] == {
            "id": "1", "group": "1", "section": "test", "label": -1,
            "image": str(tmp_path / "PET/1.png"), "mri": str(tmp_path / "MRI/1.png"),
        }  # fmt: skip


def test_no_folder_given_means_the_test_section_of_the_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_sections, "make_cohort", datalist)
    found = fusion_inference_cases(str(tmp_path), str(tmp_path))
    assert [item["id"] for item in found] == ["test"] and next(tmp_path.glob("phantoms-*")).is_dir()


def test_other_settings_are_another_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion_sections, "make_cohort", datalist)
    for settings in (None, {"training": 3}):
        assert list(fusion_training_cases(str(tmp_path), str(tmp_path), settings=settings)) == [
            "training",
            "validation",
            "test",
        ]
    assert len(list(tmp_path.glob("phantoms-*"))) == 2


def test_nothing_to_fuse_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone' does not exist; check the path"):
        fusion_inference_cases(str(tmp_path / "gone"), "elsewhere")
    with pytest.raises(FileNotFoundError, match="holds no folder CT, PET or SPECT beside a folder MRI"):
        fusion_inference_cases(str(tmp_path), "elsewhere")
    with pytest.raises(FileNotFoundError, match="dataset.json does not exist"):
        fusion_training_cases(str(tmp_path), "elsewhere")
