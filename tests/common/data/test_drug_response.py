import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("rdkit")

from common.data.datalist import load_datalist
from common.data.drug_response import average_replicates, datalist_drug_response, drug_table
from common.data.response_tables import read_response_tables

SMILES = {"ethanol": "CCO", "amine": "CCN", "amine HCl": "CCN.Cl", "697": "c1ccccc1", "acid": "CC(=O)O"}
CELLS = [f"c{k}" for k in range(8)]


def responses(path: Path, **changes: str) -> Path:
    """All pairs once; `changes` replace texts of the file."""
    lines = ["drug,smiles,cell,ln_ic50,tissue"]
    for number, (drug, smiles) in enumerate(SMILES.items()):
        lines += [f"{drug},{smiles},{cell},{number + k / 10},t{k % 4}" for k, cell in enumerate(CELLS)]
    text = "\n".join(lines) + "\n"
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path


def omics(path: Path, text: str = "", cells: list[str] = CELLS) -> Path:
    rows = [f"{cell},{k},{k * 0.5}" for k, cell in enumerate(cells)]
    path.write_text(text or "\n".join(["line,TP53,KRAS", *rows]) + "\n")
    return path


def test_own_tables_become_the_data_folder(tmp_path: Path) -> None:
    source, table = responses(tmp_path / "own.csv"), omics(tmp_path / "omics.csv", cells=[*CELLS[::-1], "unused"])
    file = datalist_drug_response(source, tmp_path / "out", table, "drug", validation=0.25, test=0.25)
    found = read_response_tables(tmp_path / "out", ["expression"])
    assert found.cells["cell"].tolist() == CELLS and found.cells["tissue"].tolist() == ["t0", "t1", "t2", "t3"] * 2
    assert found.omics["expression"][:, 0].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert found.omics_features == {"expression": ["TP53", "KRAS"]}
    assert len(found.responses) == 40
    pair = found.responses[(found.responses["drug"] == "697") & (found.responses["cell"] == "c2")]
    assert pair["ln_ic50"].tolist() == [3.2]
    counts = json.loads(file.read_text())["counts"]
    assert (counts["raw rows"], counts["pairs"], counts["cells"], counts["drugs"]) == (40, 40, 8, 5)


def test_two_salts_of_one_molecule_are_one_group(tmp_path: Path) -> None:
    datalist_drug_response(responses(tmp_path / "own.csv"), tmp_path / "out", omics(tmp_path / "o.csv"), "drug")
    cases = {case["id"]: case for found in load_datalist(tmp_path / "out").values() for case in found}
    assert set(cases) == set(SMILES)
    assert cases["amine"]["group"] == cases["amine HCl"]["group"] == "CCN"
    assert cases["amine"]["section"] == cases["amine HCl"]["section"]


def test_replicates_are_averaged_before_the_split(tmp_path: Path) -> None:
    source = responses(tmp_path / "own.csv")
    source.write_text(source.read_text() + "ethanol,CCO,c1,3.1,t1\nethanol,CCO,c1,-0.2,t1\n")
    datalist_drug_response(source, tmp_path / "out", omics(tmp_path / "o.csv"), "random", kind="pathway")
    found = read_response_tables(tmp_path / "out", ["pathway"]).responses
    pair = found[(found["drug"] == "ethanol") & (found["cell"] == "c1")]
    assert pair["replicates"].tolist() == [3] and math.isclose(pair["ln_ic50"].item(), (0.1 + 3.1 - 0.2) / 3)
    assert len(found) == 40 and (found["replicates"] == 1).sum() == 39


def test_replicates_average_like_a_loop() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"drug": rng.choice([*"ab"], 30), "cell": rng.choice([*"xyz"], 30), "ln_ic50": rng.normal(size=30)}
    )
    found = average_replicates(rows)
    assert list(found) == ["drug", "cell", "ln_ic50", "replicates"] and found["replicates"].sum() == 30
    for row in found.itertuples():
        values = [r.ln_ic50 for r in rows.itertuples() if (r.drug, r.cell) == (row.drug, row.cell)]
        assert math.isclose(row.ln_ic50, sum(values) / len(values)) and row.replicates == len(values)


def test_cells_without_omics_are_left_out_with_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = datalist_drug_response(
        responses(tmp_path / "own.csv"), tmp_path / "out", omics(tmp_path / "o.csv", cells=CELLS[2:]), "cell"
    )
    assert "left out 2 cells without expression: c0, c1" in caplog.text
    assert json.loads(file.read_text())["counts"]["left out (no omics)"] == 10


def test_a_cell_may_lack_all_values_of_a_kind(tmp_path: Path) -> None:
    table = omics(tmp_path / "o.csv")
    table.write_text(table.read_text().replace("c3,3,1.5", "c3,,"))
    datalist_drug_response(responses(tmp_path / "own.csv"), tmp_path / "out", table)
    assert np.isnan(read_response_tables(tmp_path / "out", ["expression"]).omics["expression"][3]).all()
    table.write_text(table.read_text().replace("c4,4,2.0", "c4,,2.0"))
    with pytest.raises(ValueError, match="'expression' of cell 'c4' .* not all finite; fill the gaps"):
        datalist_drug_response(tmp_path / "own.csv", tmp_path / "out", table)


def test_drug_table_names_parents() -> None:
    table = drug_table({"b": "[Na+].CC(=O)[O-]", "a": "OCC"})
    assert table.to_dict("list") == {
        "drug": ["a", "b"],
        "smiles": ["OCC", "[Na+].CC(=O)[O-]"],
        "parent": ["CCO", "CC(=O)[O-]"],
        "group": ["CCO", "CC(=O)[O-]"],
    }


@pytest.mark.parametrize(
    ("changes", "split", "message"),
    [
        pytest.param(
            {"ln_ic50": "auc"}, "cell", r"own.csv has no column 'ln_ic50', but \['drug', 'smiles'", id="column"
        ),
        pytest.param({"c0,0.0": "c0,low"}, "cell", "ln_ic50 in row 2 of .* is 'low'; give a finite", id="text"),
        pytest.param({"c1,0.1": "c1,inf"}, "cell", "ln_ic50 in row 3 of .* is 'inf'; give a finite", id="infinite"),
        pytest.param({"c1,0.1": "c1,"}, "cell", "ln_ic50 in row 3 of .* is ''; give a finite", id="no number"),
        pytest.param({"ethanol,CCO,c1": " ,CCO,c1"}, "cell", "drug in row 3 of .* is ''; give a name", id="drug"),
        pytest.param(
            {"CCO,c1": "CCC,c1"}, "cell", "drug 'ethanol' .* has smiles 'CCO' and 'CCC'; give", id="two SMILES"
        ),
        pytest.param({"0.1,t1": "0.1,t2"}, "cell", "cell 'c1' .* has tissue 't2' and 't1'; give", id="two tissues"),
        pytest.param({}, "group", r"split is 'group'; take one of \['cell'", id="split"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, changes: dict[str, str], split: str, message: str) -> None:
    source = responses(tmp_path / "own.csv", **changes)
    with pytest.raises(ValueError, match=message):
        datalist_drug_response(source, tmp_path / "out", omics(tmp_path / "o.csv"), split)
    assert not (tmp_path / "out").exists()


def test_an_invalid_smiles_names_drug_and_text(tmp_path: Path) -> None:
    source = responses(tmp_path / "own.csv")
    source.write_text(source.read_text().replace("c1ccccc1", "c1cccc1"))
    with pytest.raises(ValueError, match="SMILES of drug '697' is 'c1cccc1', which is no valid molecule"):
        datalist_drug_response(source, tmp_path / "out", omics(tmp_path / "o.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("line\nc0\n", "has no column of features; put them beside", id="no feature"),
        pytest.param("line,g\nc0,1\nc0,2\n", "cell 'c0' stands twice in .*o.csv; keep one", id="twice"),
        pytest.param("line,g\nc0,1\nc1,high\n", "'g' of cell 'c1' in .*o.csv is 'high', which is no", id="text"),
        pytest.param("line,g\nX0,1\n", "no cell of .*own.csv is in the first column of .*o.csv", id="none"),
        pytest.param("\n", "omics_table '.*o.csv' is no csv table", id="empty"),
    ],
)
def test_wrong_omics_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datalist_drug_response(responses(tmp_path / "own.csv"), tmp_path / "out", omics(tmp_path / "o.csv", text))


def test_split_tissue_needs_tissues(tmp_path: Path) -> None:
    source = responses(tmp_path / "own.csv", tissue="remark")
    with pytest.raises(ValueError, match="split is 'tissue', and 8 of 8 cells have no tissue"):
        datalist_drug_response(source, tmp_path / "out", omics(tmp_path / "o.csv"), "tissue")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source '.*own.csv' does not exist; give a csv"):
        datalist_drug_response(tmp_path / "own.csv", tmp_path / "out", tmp_path / "o.csv")
    with pytest.raises(FileNotFoundError, match="omics_table '.*o.csv' does not exist"):
        datalist_drug_response(responses(tmp_path / "own.csv"), tmp_path / "out", tmp_path / "o.csv")
