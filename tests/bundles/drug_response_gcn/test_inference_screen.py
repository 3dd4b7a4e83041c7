"""What is to be predicted: tables of a user in any order and with gaps, or a datalist."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts.inference_screen import InferenceScreen, inference_screen
from scripts.intervals import ResponseIntervals
from scripts.phantoms import make_cohort
from scripts.reference import Reference, save_reference

from .small_screen import COMPONENTS, make_screen, settings

pytest.importorskip("rdkit")

EXPRESSION = ["TP53", "EGFR", "MYC", "KRAS"]
MUTATION = ["TP53", "KRAS"]  # the same names mean other numbers
DRUGS = {"ethanol": "CCO", "aspirin": "CC(=O)Oc1ccccc1C(=O)O", "salt": "CCN.Cl"}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_weights(tmp_path, [f"expression:{gene}" for gene in EXPRESSION])


def save_weights(folder: Path, features: list[str], drugs: dict[str, str] | None = None) -> Path:
    path = folder / "model.pt"
    path.write_bytes(b"weights")
    save_reference(path, Reference(drugs or {}, features, ResponseIntervals(0.9, 1.0, 1.0, 1.0, {})))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_drugs(folder, DRUGS)
    expression().to_csv(folder / "expression.csv")
    return folder


def write_drugs(folder: Path, drugs: dict[str, str]) -> None:
    pd.DataFrame({"drug": list(drugs), "smiles": list(drugs.values())}).to_csv(folder / "drugs.csv", index=False)


def expression() -> pd.DataFrame:
    values = np.arange(12, dtype=np.float32).reshape(3, 4) / 4
    return pd.DataFrame(values, pd.Index(["A549", "697", "NA"], name="cell"), EXPRESSION)


def read(folder: Path, weights: Path, kinds: tuple[str, ...] = ("expression",), max_atoms: int = 20) -> InferenceScreen:
    return inference_screen(str(folder), "nowhere", kinds, str(weights), max_atoms)


def test_tables_become_a_screen_of_new_pairs(data: Path, weights: Path) -> None:
    screen = read(data, weights)
    assert screen.drugs["drug"].tolist() == list(DRUGS) and not screen.failed
    assert screen.drugs["parent"].tolist() == ["CCO", "CC(=O)Oc1ccccc1C(=O)O", "CCN"]
    assert screen.cells == ["A549", "697", "NA"]
    np.testing.assert_array_equal(screen.values, expression().to_numpy())
    assert np.isnan(screen.measured).all() and (screen.sections == "new").all()
    assert screen.groups.tolist() == [[cell] * 3 for cell in screen.cells]
    assert [item["id"] for item in screen.items()] == screen.cells
    assert {(item["label"], item["section"]) for item in screen.items()} == {(-1, "new")}


def reversed_genes(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.columns[::-1]]


def with_another_gene(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(BRCA1=7.0)[["BRCA1", *EXPRESSION]]


def with_another_first_header(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename_axis("line")


@pytest.mark.parametrize("change", [reversed_genes, with_another_gene, with_another_first_header])
def test_genes_come_into_the_order_of_the_weights(
    data: Path, weights: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    change(expression()).to_csv(data / "expression.csv")
    screen = read(data, weights)
    np.testing.assert_array_equal(screen.values, expression().to_numpy())
    assert screen.cells == list(expression().index)


def test_missing_genes_and_unreadable_values_are_nan(data: Path, weights: Path) -> None:
    table = expression().drop(columns=["EGFR", "KRAS"]).astype(object)
    table.loc["A549", "MYC"] = "high"
    table.loc["697", "TP53"] = None
    table.to_csv(data / "expression.csv")
    expected = expression().to_numpy().copy()
    expected[:, [1, 3]] = expected[0, 2] = expected[1, 0] = np.nan
    np.testing.assert_array_equal(read(data, weights).values, expected)


def test_fewer_than_half_of_the_genes_are_refused(data: Path, weights: Path) -> None:
    expression()[["MYC"]].to_csv(data / "expression.csv")
    with pytest.raises(ValueError, match=r"inference_screen: .*data has 1 of the 4 values that .*model.pt takes; name"):
        read(data, weights)


def test_a_gene_of_two_kinds_is_two_values(data: Path, tmp_path: Path) -> None:
    names = [f"expression:{gene}" for gene in EXPRESSION] + [f"mutation:{gene}" for gene in MUTATION]
    mutations = pd.DataFrame({"KRAS": [0, 1], "TP53": [1, 0]}, pd.Index(["NA", "A549"], name="cell"))
    mutations.to_csv(data / "mutation.csv")
    screen = read(data, save_weights(tmp_path, names), ("expression", "mutation"))
    expected = [[0, 1], [np.nan, np.nan], [1, 0]]  # TP53, KRAS of A549, 697, NA
    np.testing.assert_array_equal(screen.values, np.c_[expression().to_numpy(), expected].astype(np.float32))


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        pytest.param("C1CC(", r"SMILES of drug 'odd' is 'C1CC\(', which is no valid molecule", id="invalid"),
        pytest.param("", "SMILES of drug 'odd' is '', which is no valid molecule", id="empty"),
        pytest.param("C" * 21, "odd has 21 heavy atoms, there is room for 20; raise max_atoms", id="too large"),
    ],
)
def test_a_drug_that_cannot_be_used_is_set_aside_with_its_reason(
    data: Path, weights: Path, smiles: str, reason: str
) -> None:
    write_drugs(data, {"ethanol": "CCO", "odd": smiles, "methane": "C"})
    screen = read(data, weights)
    assert screen.drugs["drug"].tolist() == ["ethanol", "methane"] and list(screen.failed) == ["odd"]
    assert screen.measured.shape == screen.sections.shape == screen.groups.shape == (3, 2)
    write_drugs(data, {"odd": smiles})
    with pytest.raises(ValueError, match=f"inference_screen: none of 1 drugs can be read; the first: .*{reason}"):
        read(data, weights)


def test_a_salt_does_not_count_towards_the_size(data: Path, weights: Path) -> None:
    write_drugs(data, {"mesylate": "C" * 18 + ".CS(=O)(=O)O"})
    assert read(data, weights).drugs["parent"].tolist() == ["C" * 18]


def test_a_training_drug_gets_the_parent_by_which_the_weights_know_it(data: Path, tmp_path: Path) -> None:
    trained = {"alcohol": "OCC", "another": "CCCO"}  # not canonical, as of another version of rdkit
    weights = save_weights(tmp_path, [f"expression:{gene}" for gene in EXPRESSION], trained)
    write_drugs(data, {"ethanol": "C(O)C", "sodium ethoxide": "CC[O-].[Na+]", "aspirin": DRUGS["aspirin"]})
    assert read(data, weights).drugs["parent"].tolist() == ["OCC", "CC[O-]", DRUGS["aspirin"]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: (f / "drugs.csv").unlink(), r"drugs.csv does not exist; give a folder", id="no drugs"),
        pytest.param(lambda f: (f / "expression.csv").unlink(), r"expression.csv does not exist", id="no omics"),
        pytest.param(lambda f: [p.unlink() for p in f.iterdir()], r"drugs.csv does not exist", id="empty folder"),
        pytest.param(lambda f: (f / "drugs.csv").write_text(""), r"drugs.csv has no rows; give", id="empty file"),
        pytest.param(lambda f: (f / "drugs.csv").write_text("drug,smiles\n"), r"drugs.csv has no rows", id="no row"),
        pytest.param(lambda f: (f / "expression.csv").write_text("cell,MYC\n"), r"n.csv has no rows", id="no cell"),
        pytest.param(
            lambda f: (f / "drugs.csv").write_text("drug,structure\na,C\n"),
            r"drugs.csv lacks the column 'smiles'; it needs drug, smiles",
            id="no smiles",
        ),
        pytest.param(
            lambda f: (f / "drugs.csv").write_text("drug,smiles\na,C\na,(\n"), "has the drug a twice", id="drug twice"
        ),
        pytest.param(
            lambda f: pd.concat([expression()] * 2).to_csv(f / "expression.csv"), "has the cell A549 twice", id="twice"
        ),
    ],
)
def test_bad_tables_are_one_sentence(data: Path, weights: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(data)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(data, weights)


def test_tables_need_the_reference_of_the_weights(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.reference.json does not exist; run evaluate.json once"):
        read(data, tmp_path / "none.pt")


def test_a_datalist_brings_its_measured_pairs(tmp_path: Path) -> None:
    make_cohort(tmp_path, settings("drug"))
    expected = make_screen("drug")
    screen = inference_screen(str(tmp_path), "nowhere", list(COMPONENTS), "no weights needed", 96)
    assert screen.cells == expected.cells and screen.drugs["parent"].tolist() == expected.drugs["parent"].tolist()
    np.testing.assert_array_equal(screen.values, expected.values)
    np.testing.assert_array_equal(screen.measured, expected.everything)
    for name, table in expected.responses.items():
        assert np.array_equal(screen.sections == name, np.isfinite(table))
    known = np.isfinite(screen.measured)
    assert np.array_equal(screen.sections == "new", ~known)
    assert np.array_equal(screen.groups[known], expected.pair_groups[known])
    assert np.array_equal(screen.groups[~known], np.repeat(screen.cells, len(screen.drugs))[~known.ravel()])


def test_a_drug_of_a_datalist_without_room_is_set_aside(tmp_path: Path) -> None:
    make_cohort(tmp_path, settings("drug"))
    sizes = [sum(letter.isalpha() for letter in smiles) for smiles in make_screen("drug").drugs["smiles"]]
    screen = inference_screen(str(tmp_path), "nowhere", list(COMPONENTS), "", min(sizes) + 3)
    assert 0 < len(screen.failed) < 12 and len(screen.drugs) == 12 - len(screen.failed)
    kept = make_screen("drug").drugs["drug"].isin(screen.drugs["drug"]).to_numpy()
    np.testing.assert_array_equal(screen.measured, make_screen("drug").everything[:, kept])


def test_no_folder_of_ones_own_means_the_phantoms(tmp_path: Path) -> None:
    ids = {"training": 8, "validation": 2, "test": 2, "drugs": 12, "cells": 40}
    screen = inference_screen(str(tmp_path), str(tmp_path), list(COMPONENTS), "", 96, ids)
    np.testing.assert_array_equal(screen.measured, make_screen("drug").everything)
