import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from common.data.datalist import load_datalist
from common.data.response_tables import (
    ResponseTables,
    read_response_tables,
    responses_of,
    summarise_responses,
    write_response_tables,
)

NAMES = ["697", "NA", "nan", "1E5", "T,1", *(f"c{k}" for k in range(15))]  # names that look like numbers and gaps


def tables(number: int = 10, **changes: Any) -> ResponseTables:
    """Cells of four tissues, drugs of which two and two are one molecule, 9 of 10 pairs measured."""
    rng = np.random.default_rng(0)
    names = [f"d{k}" for k in range(number)]
    pairs = [(drug, cell) for drug in names for cell in NAMES]
    chosen = [pairs[k] for k in rng.permutation(len(pairs))[: int(0.9 * len(pairs))]]
    responses = pd.DataFrame(chosen, columns=["drug", "cell"])
    parents = [f"{'C' * (k // 2 + 1)}O" for k in range(number)]
    expression = rng.normal(size=(len(NAMES), 3)).astype(np.float32)
    expression[4] = np.nan
    content = {
        "responses": responses.assign(ln_ic50=rng.normal(size=len(chosen)), replicates=1),
        "drugs": pd.DataFrame({"drug": names, "smiles": parents, "parent": parents, "group": parents}),
        "cells": pd.DataFrame({"cell": NAMES, "tissue": [f"t{k % 4}" for k in range(len(NAMES))], "name": NAMES}),
        "omics": {"expression": expression, "mutation": np.ones((len(NAMES), 2), np.float32)},
        "omics_features": {"expression": ["g0", "g1", "g2"], "mutation": ["g0", "g9"]},
    }
    return ResponseTables(**{**content, **changes})


def sections(folder: Path) -> dict[str, pd.DataFrame]:
    responses = read_response_tables(folder, ()).responses
    return {name: responses_of(responses, cases) for name, cases in load_datalist(folder).items()}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    source = tables()
    file = write_response_tables(tmp_path / "out", source, "cell", "own", "a test", extra={"licence": "none"})
    found = read_response_tables(tmp_path / "out", ["mutation", "expression"])
    assert file == tmp_path / "out" / "dataset.json"
    for key in ("drugs", "cells"):
        pd.testing.assert_frame_equal(getattr(found, key), getattr(source, key))
    pd.testing.assert_frame_equal(found.responses, source.responses, rtol=0, atol=0)
    assert list(found.omics) == ["mutation", "expression"] and found.omics_features == source.omics_features
    np.testing.assert_array_equal(found.omics["expression"], source.omics["expression"])
    content = json.loads(file.read_text())
    assert (content["split"], content["seed"], content["licence"], content["labels"]) == ("cell", 0, "none", {})
    assert not list((tmp_path / "out").glob(".*"))


def test_omics_follow_the_order_of_the_cells(tmp_path: Path) -> None:
    source = tables()
    write_response_tables(tmp_path, source, "cell", "own", "")
    cells = pd.read_csv(tmp_path / "cells.csv", dtype=str, keep_default_na=False)
    cells[::-1].to_csv(tmp_path / "cells.csv", index=False)
    found = read_response_tables(tmp_path, ["expression"])
    assert found.cells["cell"].tolist() == NAMES[::-1]
    np.testing.assert_array_equal(found.omics["expression"], source.omics["expression"][::-1])


@pytest.mark.parametrize(
    ("split", "column", "unit"),
    [
        pytest.param("cell", "cell", "cell", id="cell"),
        pytest.param("drug", "drug", "parent", id="drug"),
        pytest.param("tissue", "cell", "tissue", id="tissue"),
        pytest.param("random", "block", "block", id="random"),
    ],
)
def test_no_unit_of_the_split_crosses_sections_and_no_pair_is_lost(
    tmp_path: Path, split: str, column: str, unit: str
) -> None:
    source = tables()
    write_response_tables(tmp_path, source, split, "own", "", 0.25, 0.25)
    cases = [case for found in load_datalist(tmp_path).values() for case in found]
    assert {case["column"] for case in cases} == {column}
    parts = sections(tmp_path)
    assert sorted(k for part in parts.values() for k in part.index) == list(range(len(source.responses)))
    units = []
    for part in parts.values():
        full = part.merge(source.drugs, on="drug").merge(source.cells, on="cell")
        units.append(set(full[unit]))
    assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]


def test_cases_say_which_pairs_are_theirs(tmp_path: Path) -> None:
    expected = {
        "cell": {"id": "cell 697", "group": "697", "column": "cell", "value": "697", "tissue": "t0"},
        "tissue": {"id": "cell 697", "group": "t0", "column": "cell", "value": "697", "tissue": "t0"},
        "drug": {"id": "d0", "group": "CO", "column": "drug", "value": "d0"},
        "random": {"id": "block 17", "group": "block 17", "column": "block", "value": "17"},
    }
    for split, case in expected.items():
        write_response_tables(tmp_path / split, tables(), split, "own", "")
        content = json.loads((tmp_path / split / "dataset.json").read_text())
        found = {entry["id"]: entry for name in ("training", "validation", "test") for entry in content[name]}
        assert found[case["id"]] == {**case, "responses": "responses.csv", "label": -1}


def test_random_pairs_are_dealt_evenly_into_100_blocks(tmp_path: Path) -> None:
    write_response_tables(tmp_path, tables(30), "random", "own", "")
    responses = read_response_tables(tmp_path, ()).responses
    sizes = responses["block"].value_counts()
    assert len(responses) == 540 and set(sizes.index) == {str(k) for k in range(100)}
    assert (sizes.min(), sizes.max()) == (5, 6)
    assert {name: len(part) for name, part in load_datalist(tmp_path).items()} == {
        "training": 80,
        "validation": 10,
        "test": 10,
    }


def test_the_split_depends_on_the_seed_only(tmp_path: Path) -> None:
    found = []
    for k, seed in enumerate((3, 3, 4)):
        write_response_tables(tmp_path / str(k), tables(), "random", "own", "", seed=seed)
        found.append([(tmp_path / str(k) / name).read_text() for name in ("dataset.json", "responses.csv")])
    assert found[0] == found[1] != found[2]


def test_without_held_out_shares_there_is_one_section(tmp_path: Path) -> None:
    write_response_tables(tmp_path, tables(), "cell", "own", "", 0, 0)
    assert {name: len(cases) for name, cases in load_datalist(tmp_path).items()} == {"training": len(NAMES)}


def test_cells_and_drugs_without_pairs_are_no_cases(tmp_path: Path) -> None:
    source = tables()
    pairs = source.responses[(source.responses["cell"] != "c3") & (source.responses["drug"] != "d4")]
    for split, absent in (("cell", "c3"), ("drug", "d4")):
        write_response_tables(tmp_path, dataclasses.replace(source, responses=pairs), split, "own", "")
        assert absent not in {case["value"] for cases in load_datalist(tmp_path).values() for case in cases}


def test_the_summary_counts_drugs_cells_tissues_and_pairs(tmp_path: Path) -> None:
    write_response_tables(tmp_path, tables(), "tissue", "own", "", 0.25, 0.25, extra={"counts": {"gone": ["a", "b"]}})
    lines = summarise_responses(tmp_path, load_datalist(tmp_path)).splitlines()
    assert lines[0] == "gone: a, b"
    assert lines[1].split() == ["section", "drugs", "cells", "tissues", "pairs"]
    rows = [line.split() for line in lines[2:]]
    assert [row[:4] for row in rows] == [
        ["training", "10", "10", "2"],
        ["validation", "10", "5", "1"],
        ["test", "10", "5", "1"],
    ]
    assert sum(int(row[4]) for row in rows) == 180


def changed(part: str, column: str, row: int, value: Any) -> ResponseTables:
    table = getattr(tables(), part).copy()
    table.loc[row, column] = value
    return tables(**{part: table})


def omics(value: float, rows: Any = slice(None)) -> dict[str, np.ndarray]:
    array = np.zeros((len(NAMES), 3), np.float32)
    array[rows, 0] = value
    return {"expression": array}


@pytest.mark.parametrize(
    ("content", "split", "message"),
    [
        pytest.param(tables(), "cells", r"split is 'cells'; take one of \['cell', 'drug', 'tissue'", id="split"),
        pytest.param(changed("cells", "tissue", 2, ""), "tissue", r"1 of 20 cells have no tissue \(nan\)", id="tissue"),
        pytest.param(
            tables(responses=tables().responses[:0]), "cell", "own has no measured pair; give some", id="empty"
        ),
        pytest.param(changed("cells", "cell", 1, "697"), "cell", "cell '697' stands twice in own", id="cell twice"),
        pytest.param(changed("drugs", "drug", 1, "d0"), "cell", "drug 'd0' stands twice in own", id="drug twice"),
        pytest.param(
            changed("cells", "cell", 1, "x"), "cell", "cell 'NA' of the responses .* not in cells.csv", id="c"
        ),
        pytest.param(
            changed("drugs", "drug", 1, "x"), "cell", "drug 'd1' of the responses .* not in drugs.csv", id="d"
        ),
        pytest.param(
            tables(responses=pd.concat([tables().responses] * 2, ignore_index=True)),
            "cell",
            "the pair of 'd[0-9]' and .* stands twice in own; average them",
            id="pair twice",
        ),
        pytest.param(changed("responses", "ln_ic50", 4, np.inf), "cell", "ln_ic50 of .* is inf; it must be", id="inf"),
        pytest.param(tables(omics=omics(np.inf)), "cell", "'expression' of cell '697' in own are not all", id="inf o"),
        pytest.param(tables(omics=omics(np.nan, 3)), "cell", "cell '1E5' in own are not all finite; fill", id="partly"),
        pytest.param(
            tables(omics={"expression": np.zeros((3, 3), np.float32)}),
            "cell",
            r"have the shape \(3, 3\), and 20 cells with 3 features need \(20, 3\)",
            id="shape",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, content: ResponseTables, split: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_response_tables(tmp_path / "out", content, split, "own", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        pytest.param(
            "responses.csv", "ln_ic50", "auc", r"responses.csv has no column 'ln_ic50', but \['drug'", id="col"
        ),
        pytest.param("drugs.csv", "parent", "mother", "drugs.csv has no column 'parent'", id="drugs"),
        pytest.param("responses.csv", "replicates\n", "replicates\nd0,697,low,1\n", "row 2 of .* is 'low'", id="text"),
        pytest.param("responses.csv", "replicates\n", "replicates\nd0,697,,1\n", "row 2 of .* is '', which", id="gap"),
        pytest.param("cells.csv", "c14,", "c99,", "cell 'c99' of cells.csv is not in .*omics.npz", id="omics"),
    ],
)
def test_a_damaged_folder_is_named(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    write_response_tables(tmp_path, tables(), "cell", "own", "")
    path = tmp_path / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_response_tables(tmp_path, ["expression"])


def test_missing_files_kinds_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="responses.csv does not exist; make the folder with .*datalist gdsc"):
        read_response_tables(tmp_path, [])
    write_response_tables(tmp_path, tables(), "cell", "own", "")
    with pytest.raises(ValueError, match=r"omics 'pathway' are not in .*, which has \['expression', 'mutation'\]"):
        read_response_tables(tmp_path, ["expression", "pathway"])
    with pytest.raises(ValueError, match="column 'block' of the cases is not in the responses"):
        responses_of(tables().responses, [{"column": "block", "value": "1"}])
    (tmp_path / "omics.npz").unlink()
    with pytest.raises(FileNotFoundError, match="omics.npz does not exist"):
        read_response_tables(tmp_path, [])
