"""A datalist cut into tables: each pair of each section, for every split, by a loop over the files."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scripts.common.data import load_datalist
from scripts.phantoms import make_cohort
from scripts.screen import Screen, pairs_of, read_screen

from .small_screen import COMPONENTS, UNITS, make_screen, settings


def naive(folder: Path) -> dict[tuple[str, str], tuple[str, str, float]]:
    """Section, group and response of each pair of the datalist, row by row."""
    datalist, found = load_datalist(folder), {}
    with open(folder / "responses.csv", newline="") as file:
        for row in csv.DictReader(file):
            for section, cases in datalist.items():
                for case in cases:
                    if row[case["column"]] == case["value"]:
                        assert (row["drug"], row["cell"]) not in found
                        found[row["drug"], row["cell"]] = (section, case["group"], float(row["ln_ic50"]))
    return found


def pairs(screen: Screen) -> dict[tuple[str, str], tuple[str, str, float]]:
    found = {}
    for section, table in screen.responses.items():
        for y, d, c in zip(*pairs_of(table), strict=True):
            key = (screen.drugs["drug"][d], screen.cells[c])
            assert key not in found
            found[key] = (section, screen.pair_groups[c, d], float(y))
    return found


@pytest.mark.parametrize("split", UNITS)
def test_sections_hold_the_pairs_and_groups_that_the_datalist_says(tmp_path: Path, split: str) -> None:
    make_cohort(tmp_path, settings(split))
    screen = read_screen(load_datalist(tmp_path), list(COMPONENTS))
    expected = naive(tmp_path)
    assert pairs(screen) == expected
    assert set(Counter(section for section, _, _ in expected.values())) == {"training", "validation", "test"}
    groups = {name: {g for s, g, _ in expected.values() if s == name} for name in screen.responses}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values()))  # no group in two sections


@pytest.mark.parametrize("split", ["cell", "random"])
def test_pairs_of_no_section_are_absent(tmp_path: Path, split: str) -> None:
    make_cohort(tmp_path, settings(split))
    datalist = load_datalist(tmp_path)
    del datalist["validation"]
    screen, whole = read_screen(datalist, ["expression"]), make_screen(split)
    left_out = np.isfinite(whole.responses["validation"])
    assert left_out.any() and not np.isfinite(screen.everything[left_out]).any()
    assert set(screen.pair_groups[left_out]) == {""}
    np.testing.assert_array_equal(screen.responses["test"], whole.responses["test"])


def test_everything_is_all_sections_together() -> None:
    screen = make_screen()
    total = sum(int(np.isfinite(table).sum()) for table in screen.responses.values())
    assert int(np.isfinite(screen.everything).sum()) == total
    assert ((screen.pair_groups != "") == np.isfinite(screen.everything)).all()


def test_items_are_the_cells_with_a_pair_in_the_section() -> None:
    screen = make_screen("cell")
    items = screen.items("test")
    assert len(items) == UNITS["cell"][2] and {item["section"] for item in items} == {"test"}
    for item in items:
        row = screen.cells.index(item["id"])
        np.testing.assert_array_equal(item["image"], screen.values[row])
        np.testing.assert_array_equal(item["label"], screen.responses["test"][row])


def test_omics_stand_side_by_side_in_the_order_asked_for(tmp_path: Path) -> None:
    make_cohort(tmp_path, settings("drug"))
    screen = read_screen(load_datalist(tmp_path), ["mutation", "expression"])
    with np.load(tmp_path / "omics.npz") as stored:
        order = [stored["cells"].tolist().index(cell) for cell in screen.cells]
        expected = np.concatenate([stored["mutation"][order], stored["expression"][order]], axis=1)
        names = [*stored["mutation_features"].tolist(), *stored["expression_features"].tolist()]
    np.testing.assert_array_equal(screen.values, expected)
    assert screen.values.dtype == np.float32 and screen.features == names
    assert list(screen.sizes) == ["mutation", "expression"] and sum(screen.sizes.values()) == len(names)


def test_pairs_are_row_by_row() -> None:
    y, drug, cell = pairs_of(np.array([[np.nan, 1.0], [2.0, 3.0]]))
    assert (y.tolist(), drug.tolist(), cell.tolist()) == ([1, 2, 3], [1, 0, 1], [0, 1, 1])


def test_cases_of_two_folders_and_a_missing_table_are_refused(tmp_path: Path) -> None:
    make_cohort(tmp_path, settings("drug"))
    datalist = load_datalist(tmp_path)
    datalist["test"][0]["responses"] = str(tmp_path / "other/responses.csv")
    with pytest.raises(ValueError, match="read_screen: the cases point at 2 folders of tables, it must be one"):
        read_screen(datalist, ["expression"])
    with pytest.raises(ValueError, match="read_screen: the cases point at 0 folders"):
        read_screen({"training": []}, ["expression"])
    (tmp_path / "drugs.csv").unlink()
    with pytest.raises(FileNotFoundError, match="drugs.csv does not exist"):
        read_screen(load_datalist(tmp_path), ["expression"])
    assert json.loads((tmp_path / "dataset.json").read_text())["split"] == "drug"
