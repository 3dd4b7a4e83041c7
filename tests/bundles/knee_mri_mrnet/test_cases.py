import json
import logging
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scripts import cases
from scripts.cases import exam_cases, inference_cases, training_cases
from scripts.common.data import mrnet
from scripts.names import PLANES, TASKS


@dataclass(frozen=True)
class Settings:
    training: int = 40


def datalist(folder: Path, settings: Settings | None = None, **changes: dict) -> None:
    """40 training, 2 validation and 2 test exams; ``changes`` by id, None takes an entry out."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "plane.npy", np.zeros((2, 4, 4), np.uint8))
    count, sections, number = (settings or Settings()).training, {}, 0
    for section, size in (("training", count), ("validation", 2), ("test", 2)):
        exams = []
        for _ in range(size):
            kind, name = number % 4, f"{number:04d}"
            exam = {"id": name, "group": f"g{name}", "abnormal": int(kind > 0), "acl": int(kind > 1), "age": 30}
            exam |= {"meniscus": int(kind > 2), "label": int(kind > 0)} | dict.fromkeys(PLANES, "plane.npy")
            exams.append({key: value for key, value in (exam | changes.get(name, {})).items() if value is not None})
            number += 1
        sections[section] = exams
    text = {"name": "own", "description": "own", "labels": {"0": "normal", "1": "abnormal"}, **sections}
    (folder / "dataset.json").write_text(json.dumps(text))


def read(folder: Path, plane: str = "sagittal", task: str = "acl", **options: int) -> dict[str, list[dict]]:
    return training_cases(str(folder), "elsewhere", plane, task, **options)


def ids(items: list[dict]) -> list[str]:
    return [item["id"] for item in items]


@pytest.fixture(autouse=True)
def own_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "make_cohort", datalist)
    monkeypatch.setattr(cases, "PhantomSettings", Settings)


def test_planes_and_tasks_are_those_of_the_datalist() -> None:
    assert (mrnet.PLANES, mrnet.TASKS) == (PLANES, TASKS)


@pytest.mark.parametrize(("plane", "task"), list(product(PLANES, TASKS)))
def test_image_and_label_are_those_of_plane_and_task(tmp_path: Path, plane: str, task: str) -> None:
    datalist(tmp_path)
    (tmp_path / "other.npy").touch()
    datalist(tmp_path, **{"0002": {plane: "other.npy"}})
    sections = read(tmp_path, plane, task)
    assert {name: len(part) for name, part in sections.items()} == {"training": 40, "validation": 2, "test": 2}
    exam = sections["training"][2]
    assert exam["image"] == exam[plane] == str(tmp_path / "other.npy")
    assert exam["label"] == exam[task] == {"abnormal": 1, "acl": 1, "meniscus": 0}[task]
    assert (exam["id"], exam["group"], exam["section"], exam["age"]) == ("0002", "g0002", "training", 30)


def test_exams_are_the_items_with_all_planes_and_without_an_image(tmp_path: Path) -> None:
    datalist(tmp_path)
    sections = exam_cases(str(tmp_path), "elsewhere")
    assert all(set(PLANES) | set(TASKS) < set(exam) for part in sections.values() for exam in part)
    assert not any("image" in exam for part in sections.values() for exam in part)


def test_unlabelled_exams_are_not_trained_or_validated_with(tmp_path: Path) -> None:
    unlabelled = {"acl": -1, "sagittal": None}  # its plane is not missed then
    datalist(tmp_path, **{"0000": unlabelled, "0001": {"acl": None}, "0040": {"acl": -1}, "0043": {"acl": -1}})
    sections = read(tmp_path)
    assert ids(sections["training"])[0] == "0002" and ids(sections["validation"]) == ["0041"]
    assert [item["label"] for item in sections["test"]] == [1, -1]
    assert len(read(tmp_path, task="abnormal", plane="axial")["training"]) == 40


@pytest.mark.parametrize("name", ["0003", "0041"])
def test_a_missing_plane_of_an_exam_to_train_with_is_named(tmp_path: Path, name: str) -> None:
    datalist(tmp_path, **{name: {"sagittal": None}})
    with pytest.raises(ValueError, match=f"exam '{name}' of (training|validation) has no sagittal plane; restore"):
        read(tmp_path)
    assert len(read(tmp_path, "axial")["training"]) == 40


def test_a_test_exam_without_the_plane_is_left_out_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datalist(tmp_path, **{"0042": {"sagittal": None}})
    with caplog.at_level(logging.INFO):
        assert ids(read(tmp_path)["test"]) == ["0043"]
    assert "left out exam 0042 of test: it has no sagittal plane" in caplog.text


def test_folds_part_the_training_exams_alike_for_every_plane_and_task(tmp_path: Path) -> None:
    datalist(tmp_path, **{"0002": {"acl": -1}})
    everything, seen = exam_cases(str(tmp_path), "elsewhere"), []
    for fold in range(5):
        exams = exam_cases(str(tmp_path), "elsewhere", fold=fold)
        held_out = ids(exams["held_out"])
        assert sorted(held_out + ids(exams["training"])) == ids(everything["training"])
        assert exams["validation"] == everything["validation"] and exams["test"] == everything["test"]
        kinds = [int(name) % 4 for name in held_out]
        assert all(1 <= kinds.count(kind) <= 3 for kind in range(4)) and len(held_out) == 8
        for plane, task in product(PLANES, TASKS):
            members = ids(read(tmp_path, plane, task, fold=fold)["held_out"])
            assert members == [name for name in held_out if (name, task) != ("0002", "acl")]
        seen += held_out
    assert sorted(seen) == ids(everything["training"])
    other = exam_cases(str(tmp_path), "elsewhere", fold=0, seed=1)
    assert ids(other["held_out"]) != ids(exam_cases(str(tmp_path), "elsewhere", fold=0)["held_out"])


def test_a_fold_does_not_cut_a_patient(tmp_path: Path) -> None:
    datalist(tmp_path, **{f"{k:04d}": {"group": f"p{k // 8}"} for k in range(40)})
    for fold in range(5):
        exams = exam_cases(str(tmp_path), "elsewhere", fold=fold)
        assert not {e["group"] for e in exams["held_out"]} & {e["group"] for e in exams["training"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plane": "oblique"}, "plane is 'oblique'"),
        ({"task": "pain"}, "task is 'pain'"),
        ({"fold": 5}, "fold is 5, and 5 folds are 0 to 4"),
        ({"fold": -1}, "fold is -1"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, options: dict, message: str) -> None:
    datalist(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, **options)


def test_a_task_without_labels_is_an_error(tmp_path: Path) -> None:
    datalist(tmp_path, **{f"{k:04d}": {"acl": -1} for k in range(40)})
    with pytest.raises(ValueError, match="no exam of training has a label of 'acl'"):
        read(tmp_path)


def test_no_folder_given_means_the_phantoms(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert len(training_cases(folder, folder, "axial", "acl")["training"]) == 40
    assert len(exam_cases(folder, folder, phantoms={"training": 10})["training"]) == 10
    assert ids(inference_cases(folder, folder)) == ["0042", "0043"] and len(list(tmp_path.glob("phantoms-*"))) == 2


def test_inference_takes_a_datalist_and_the_native_layouts(tmp_path: Path) -> None:
    datalist(tmp_path / "list")
    assert len(inference_cases(str(tmp_path / "list"), "elsewhere")) == 44
    for name in ("axial/0007.npy", "sagittal/0007.npy"):
        (tmp_path / "valid" / name).parent.mkdir(parents=True)
        np.save(tmp_path / "valid" / name, np.zeros((2, 4, 4), np.uint8))
    item = inference_cases(str(tmp_path / "valid"), "elsewhere")[0]
    assert item["id"] == "0007" and "coronal" not in item and item["label"] == item["acl"] == -1


def test_nothing_to_predict_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dataset_dir .*gone is no folder; give a datalist's folder, one like"):
        inference_cases(str(tmp_path / "gone"), "elsewhere")
    with pytest.raises(FileNotFoundError, match="holds no exam; give"):
        inference_cases(str(tmp_path), "elsewhere")
    with pytest.raises(FileNotFoundError, match="dataset.json does not exist"):
        exam_cases(str(tmp_path), "elsewhere")
