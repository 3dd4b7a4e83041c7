import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.data.datalist import load_datalist, load_labels, summarise, write_datalist

LABELS = {"0": "healthy", "1": "ill"}


def touch(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [str(folder / name) for name in names]


def dataset(folder: Path, **content: Any) -> Path:
    """A folder with four images, and a dataset.json of two sections in which `content` replaces entries."""
    touch(folder, *(f"{name}.nii.gz" for name in "abcd"))
    base = {
        "labels": LABELS,
        "training": [
            {"image": "a.nii.gz", "label": 0, "group": "p1"},
            {"image": "b.nii.gz", "label": 1, "group": "p2"},
        ],
        "test": [{"image": "c.nii.gz", "label": 1}, {"image": "d.nii.gz"}],
    }
    (folder / "dataset.json").write_text(json.dumps({**base, **content}))
    return folder


def test_defaults_and_absolute_paths_are_filled_in(tmp_path: Path) -> None:
    assert load_datalist(dataset(tmp_path))["test"] == [
        {"image": str(tmp_path / "c.nii.gz"), "label": 1, "id": "test/0", "group": "test/0", "section": "test"},
        {"image": str(tmp_path / "d.nii.gz"), "label": -1, "id": "test/1", "group": "test/1", "section": "test"},
    ]


def test_paths_do_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    expected = load_datalist(tmp_path / "data")
    assert load_datalist("data") == expected
    monkeypatch.chdir(tmp_path / "data")
    assert load_datalist(".") == expected == load_datalist("../data")


def test_a_list_of_paths_keeps_its_order(tmp_path: Path) -> None:
    touch(tmp_path, "s/2.dcm", "s/1.dcm")
    folder = dataset(tmp_path, test=[{"series": ["s/2.dcm", "s/1.dcm"], "label": 0}])
    assert load_datalist(folder)["test"][0]["series"] == [str(tmp_path / "s" / name) for name in ("2.dcm", "1.dcm")]


def test_sections_are_chosen_and_images_of_the_others_may_be_absent(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    (folder / "a.nii.gz").unlink()
    assert list(load_datalist(folder, ["test"])) == ["test"]
    with pytest.raises(FileNotFoundError, match=r"training\[0\].image of .* is .*a.nii.gz, which does not exist"):
        load_datalist(folder)


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"python -m common datalist KIND .*--dataset_dir {tmp_path}"):
        load_datalist(tmp_path)


def test_an_unknown_section_lists_the_sections(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"section 'valid' is not in .* which has \['training', 'test'\]"):
        load_datalist(dataset(tmp_path), ["valid"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            {"test": [{"image": "c.nii.gz", "id": "x"}, {"image": "d.nii.gz", "id": "x"}]},
            r"test\[1\] of .* repeats id 'x' of test\[0\]",
            id="id twice",
        ),
        pytest.param(
            {"test": [{"image": "c.nii.gz", "id": "training/0"}]}, r"repeats id 'training/0'", id="id of default"
        ),
        pytest.param(
            {"test": [{"image": "c.nii.gz", "group": "p1"}]}, "group 'p1' is in training and test", id="group overlap"
        ),
        pytest.param(
            {"test": [{"image": "c.nii.gz", "label": 2}]}, r"label of test\[0\] .* is 2", id="label out of range"
        ),
        pytest.param({"test": [{"image": "c.nii.gz", "label": "1"}]}, r"is '1', and labels are", id="label as text"),
        pytest.param({"test": [{"image": "c.nii.gz", "label": True}]}, r"is True, and labels are", id="label as bool"),
        pytest.param(
            {"test": [{"image": "c.nii.gz", "image_b": 1}]}, "key 'image_b' .* begins with 'image_'", id="image_"
        ),
        pytest.param(
            {"test": [{"label": 1}]},
            r"has none of the path keys \['image', 'mri', 'series', 'axial', 'coronal', 'sagittal', 'responses'\]",
            id="no image",
        ),
        pytest.param(
            {"valid": [{"image": "c.nii.gz"}]}, "section 'valid' of .* is unknown; sections are", id="section"
        ),
        pytest.param({"test": ["c.nii.gz"]}, "test in .* must be a list of objects", id="list of names"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, content: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_datalist(dataset(tmp_path, **content))


@pytest.mark.parametrize(("text", "message"), [("{", "no valid JSON"), ('{"labels": {}}', "none of the sections")])
def test_a_file_that_is_no_datalist_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_datalist(tmp_path)


def test_path_keys_must_not_begin_with_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key 'image_pet' .* begins with 'image_'"):
        load_datalist(dataset(tmp_path), path_keys=("image", "image_pet"))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    images = touch(tmp_path / "elsewhere", "a.nii", "b/1", "b/2")
    cases = {
        "training": [{"id": "A", "image": images[0], "group": "g", "label": 1, "age": 61.5, "section": "training"}],
        "validation": [{"id": "B", "series": images[1:], "label": 0}],
    }
    file = write_datalist(tmp_path / "data", "name", "text", ["healthy", "ill"], cases, {"licence": "CC BY 4.0"})
    content = json.loads(file.read_text())
    assert content["training"][0] == {"id": "A", "image": "../elsewhere/a.nii", "group": "g", "label": 1, "age": 61.5}
    assert content["validation"][0]["series"] == ["../elsewhere/b/1", "../elsewhere/b/2"]
    assert (content["labels"], content["licence"]) == (LABELS, "CC BY 4.0")
    loaded = load_datalist(tmp_path / "data")
    assert loaded["training"] == cases["training"]
    assert loaded["validation"][0]["series"] == images[1:]
    assert load_labels(tmp_path / "data") == LABELS
    os.rename(tmp_path, moved := tmp_path.with_name(tmp_path.name + "-moved"))
    assert load_datalist(moved / "data")["training"][0]["image"] == str(moved / "elsewhere" / "a.nii")


def test_writing_checks_first_and_leaves_the_old_file(tmp_path: Path) -> None:
    images = touch(tmp_path, "a.nii", "b.nii")
    good = {"training": [{"id": "a", "image": images[0]}]}
    before = write_datalist(tmp_path, "n", "d", {}, good).read_bytes()
    bad: list[tuple[type[Exception], str, dict]] = [
        (FileNotFoundError, "absent.nii", {"training": [{"image": str(tmp_path / "absent.nii")}]}),
        (ValueError, "group 'g' is in", {name: [{"image": images[0], "group": "g"}] for name in ("training", "test")}),
        (ValueError, "section 'train' is unknown", {"train": good["training"]}),
        (
            ValueError,
            r"training\[0\] 'a' is unusable \(tilt\)",
            {"training": [{**good["training"][0], "error": "tilt"}]},
        ),
    ]
    for kind, message, cases in bad:
        with pytest.raises(kind, match=message):
            write_datalist(tmp_path, "n", "d", {}, cases)
    assert (tmp_path / "dataset.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii", "b.nii", "dataset.json"]


def test_the_cases_given_are_not_changed(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii")
    case = {"image": "a.nii", "section": "test"}
    write_datalist(tmp_path, "n", "d", {}, {"test": [case]})
    assert case == {"image": "a.nii", "section": "test"}


@pytest.mark.parametrize(
    "labels", [LABELS, {0: "healthy", 1: "ill"}, ["healthy", "ill"]], ids=["text", "number", "list"]
)
def test_the_summary_counts_cases_groups_and_labels(labels: Any) -> None:
    cases = [{"group": "p1", "label": 0}, {"group": "p1", "label": 1}, {"group": "p2", "label": 1}]
    lines = summarise({"training": cases, "test": [{"group": "p3", "label": -1}]}, labels).splitlines()
    assert [line.split() for line in lines] == [
        ["section", "cases", "groups", "healthy", "ill", "unlabelled"],
        ["training", "3", "2", "1", "2", "0"],
        ["test", "1", "1", "0", "0", "1"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_existence_is_asked_once_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"s/{k}.dcm" for k in range(50)))
    folder = dataset(tmp_path, test=[{"series": [f"s/{k}.dcm" for k in range(50)]}])
    asked: list[str] = []
    listdir: Callable[..., list[str]] = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: (asked.append(path), listdir(path))[1])
    load_datalist(folder, ["test"])
    assert asked == [str(tmp_path / "s")]
