import json
from pathlib import Path

import nibabel
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


def subjects(folder: Path, *names: str) -> None:
    """One BraTS case in each section, with a label map."""
    sections = {}
    for section in ("training", "test"):
        files = {name: folder / f"images/{section}/{section}_{name}.nii.gz" for name in (*names, "seg")}
        for file in files.values():
            file.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), file)
        paths = {name: file.relative_to(folder).as_posix() for name, file in files.items()}
        entry = {"image": [paths[name] for name in names], "truth": paths["seg"], "id": section, "group": section}
        sections[section] = [entry]
    (folder / "dataset.json").write_text(json.dumps({"name": "own", "labels": {}, **sections}))


def test_sequences_of_a_datalist_are_chosen_by_file_name(tmp_path: Path) -> None:
    subjects(tmp_path, "flair", "t1", "t1ce", "t2")
    chosen = fusion_inference_cases(str(tmp_path), "elsewhere", sequences=["t2", "flair"])
    assert [[Path(path).name for path in case["image"]] for case in chosen] == [
        [f"{section}_t2.nii.gz", f"{section}_flair.nii.gz"] for section in ("training", "test")
    ]
    training = fusion_training_cases(str(tmp_path), "elsewhere", sequences=["t2", "flair"])["training"]
    assert training == chosen[:1] and all(Path(path).is_absolute() for path in training[0]["image"])
    assert len(fusion_inference_cases(str(tmp_path), "elsewhere")[0]["image"]) == 4
    assert (
        len(fusion_inference_cases(str(tmp_path / "images"), "elsewhere", sequences=["t2", "flair"])[0]["image"]) == 2
    )


def test_a_sequence_that_a_datalist_lacks_is_a_clear_error(tmp_path: Path) -> None:
    subjects(tmp_path, "flair", "t1")
    message = "no file of sequence t1ce among training_flair.nii.gz, training_t1.nii.gz; name others in sequences"
    assert fusion_inference_cases(str(tmp_path), "elsewhere", sequences=["t1", "t1ce"])[0]["error"] == message
    with pytest.raises(ValueError, match=f"fusion_training_cases: case 'training' of .*: {message}"):
        fusion_training_cases(str(tmp_path), "elsewhere", sequences=["t1", "t1ce"])


def test_pairs_have_no_sequences_to_choose(tmp_path: Path) -> None:
    datalist(tmp_path)
    cases = fusion_inference_cases(str(tmp_path), "elsewhere", sequences=["t1", "t2"])
    assert cases == fusion_inference_cases(str(tmp_path), "elsewhere")


def test_truth_is_an_absolute_path_of_a_datalist_and_of_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects(tmp_path / "own", "flair", "t1")
    monkeypatch.setattr(fusion_sections, "make_cohort", lambda folder, _: subjects(folder, "flair", "t1"))
    monkeypatch.chdir(tmp_path)
    for given, default in (("own", "elsewhere"), ("phantoms", "phantoms")):
        for case in fusion_inference_cases(given, default):
            assert Path(case["truth"]).is_absolute() and Path(case["truth"]).is_file()
    case = fusion_training_cases("phantoms", "phantoms")["training"][0]
    assert Path(case["truth"]).is_file() and "phantoms-" in case["truth"]


def test_sequences_on_different_grids_are_taken_where_they_are_registered_later(tmp_path: Path) -> None:
    for k, name in enumerate(("flair", "t1", "t1ce", "t2")):
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4 + k), np.uint8), np.eye(4)), tmp_path / f"s_{name}.nii")
    assert "error" in fusion_inference_cases(str(tmp_path), "elsewhere")[0]
    assert "error" not in fusion_inference_cases(str(tmp_path), "elsewhere", registered=False)[0]


def test_nothing_to_fuse_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone' does not exist; check the path"):
        fusion_inference_cases(str(tmp_path / "gone"), "elsewhere")
    with pytest.raises(FileNotFoundError, match="holds no folder CT, PET or SPECT beside a folder MRI"):
        fusion_inference_cases(str(tmp_path), "elsewhere")
    with pytest.raises(FileNotFoundError, match="dataset.json does not exist"):
        fusion_training_cases(str(tmp_path), "elsewhere")
