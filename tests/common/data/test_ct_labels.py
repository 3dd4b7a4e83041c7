from pathlib import Path

import pytest

from common.data.ct_labels import class_numbers, match_rows, read_labels


def item(name: str, place: str, uid: str = "", **extra: str) -> dict:
    return {"id": name, "place": place, "series_uid": uid, **extra}


ITEMS = [
    item("a/scan", "a/scan.nii.gz"),
    item("b/scan", "b/scan.nii.gz"),
    item("c/ct", "c/ct", "1.2.3"),
    item("d#1.2.4", "d", "1.2.4"),
    item("d#1.2.5", "d", "1.2.5"),
    item("e/unique", "e/unique.nrrd"),
]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        pytest.param("a/scan", 0, id="id"),
        pytest.param("b/scan.nii.gz", 1, id="file"),
        pytest.param("c/ct/", 2, id="folder"),
        pytest.param("./c\\ct", 2, id="windows path"),
        pytest.param("1.2.3", 2, id="series uid"),
        pytest.param("d#1.2.5", 4, id="folder and uid"),
        pytest.param("1.2.4", 3, id="uid of one of several"),
        pytest.param("unique", 5, id="stem"),
        pytest.param("ct", 2, id="name of the folder"),
    ],
)
def test_a_row_names_an_item_in_any_of_four_ways(name: str, index: int) -> None:
    row = {"id": name, "label": "1"}
    assert match_rows([row], ITEMS, "src") == {index: row}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(
            ["d"], "folder 'd' holds several series, and none is chosen: d#1.2.4, d#1.2.5", id="several series"
        ),
        pytest.param(["scan"], "id 'scan' is ambiguous, it fits a/scan, b/scan", id="ambiguous"),
        pytest.param(["a/scan", "a/scan.nii.gz"], "rows 'a/scan' and 'a/scan.nii.gz' both name 'a/scan'", id="twice"),
        pytest.param(["zzz"], r"labels: 'zzz' without an image under 'src' \(1 of 1 rows\)", id="no image"),
    ],
)
def test_what_does_not_match_is_refused_by_name(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match_rows([{"id": name, "label": "1"} for name in names], ITEMS, "src")


def test_an_unusable_item_gives_way_to_the_usable_one_and_its_own_row_is_left_out() -> None:
    items = [item("d#1", "d", "1", error="localizer"), item("d#2", "d", "2"), item("x", "x.npy", error="empty file")]
    rows = [{"id": "d", "label": "0"}, {"id": "x", "label": "1"}]
    assert match_rows(rows, items, "src") == {1: rows[0]}


def test_tables_of_excel_and_semicolons_are_read(tmp_path: Path) -> None:
    for name, text in {"a": "\ufeffid,label,age\nx, ill ,61\n", "b": "id;label;age\r\nx;ill;61\r\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_labels(tmp_path / name) == [{"id": "x", "label": "ill", "age": "61"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("name,label\nx,1\n", r"no column 'id' but \['name', 'label'\]", id="no id"),
        pytest.param("id,class\nx,1\n", "no column 'label'", id="no label"),
        pytest.param("id,label\nx,\n", "label in line 2 of .* is empty", id="empty label"),
        pytest.param("id,label,section\nx,1,train\n", "section in line 2 of .* is 'train'; sections are", id="section"),
        pytest.param("id,label,image\nx,1,y\n", "column 'image' of .* is a reserved name", id="reserved"),
        pytest.param("id,label,image_b\nx,1,y\n", "column 'image_b' of .* is a reserved name", id="image_"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "labels.csv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="labels '.*absent.csv' does not exist"):
        read_labels(tmp_path / "absent.csv")


def test_names_are_numbered_in_sorted_order_and_numbers_stay() -> None:
    assert class_numbers(["pneumonia", "healthy", "pneumonia"]) == ([1, 0, 1], {0: "healthy", 1: "pneumonia"})
    assert class_numbers(["1", "0", "2"]) == ([1, 0, 2], {0: "0", 1: "1", 2: "2"})
    assert class_numbers(["1", "x"]) == ([0, 1], {0: "1", 1: "x"})


@pytest.mark.parametrize("labels", [["1", "2"], ["0", "2"], ["-1", "0"]])
def test_numbers_with_holes_are_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"numbers must be 0 .. K - 1; renumber them or write names"):
        class_numbers(labels)
