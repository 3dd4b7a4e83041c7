"""Phantom screen: the same files each time, exact sections of every split, and a rule of known strength."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scripts.common.data import load_datalist, load_or_make, read_response_tables, responses_of
from scripts.phantom_cells import ALTERED, GENES, PATHWAY, TISSUES, phantom_cells
from scripts.phantom_molecules import phantom_molecules
from scripts.phantoms import PhantomSettings, make_cohort
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

SETTINGS = PhantomSettings()
SMALL = PhantomSettings(training=6, validation=2, test=2, drugs=10, cells=12)
KINDS = ("expression", "mutation", "copy_number")


class Screen(NamedTuple):
    drug: NDArray[np.int64]  # index of each pair
    cell: NDArray[np.int64]
    y: NDArray[np.float64]
    training: NDArray[np.bool_]
    test: NDArray[np.bool_]
    flags: NDArray[np.float64]  # (D, 2) pharmacophore, potency group
    activity: NDArray[np.float64]  # (C,) from the expression in the file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small")
    make_cohort(path, SMALL)
    return path


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """The default cohort, as its files tell it."""
    path = tmp_path_factory.mktemp("default")
    make_cohort(path, SETTINGS)
    tables, datalist = read_response_tables(path, KINDS), load_datalist(path)
    truth, pairs = json.loads((path / "dataset.json").read_text()), tables.responses
    sections = [pairs.index.isin(responses_of(pairs, datalist[name]).index) for name in ("training", "test")]
    potency = [one.potency for one in phantom_molecules(SETTINGS.drugs, SETTINGS.seed)]
    columns = [tables.omics_features["expression"].index(gene) for gene in truth["pathway"]]
    activity = tables.omics["expression"][:, columns].mean(axis=1)
    return Screen(
        pairs["drug"].map({name: k for k, name in enumerate(tables.drugs["drug"])}).to_numpy(),
        pairs["cell"].map({name: k for k, name in enumerate(tables.cells["cell"])}).to_numpy(),
        pairs["ln_ic50"].to_numpy(),
        *sections,
        np.c_[tables.drugs["drug"].isin(truth["with_pharmacophore"]), potency].astype(float),
        (activity - activity.mean()) / activity.std(),
    )


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def means(values: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(index, values) / np.bincount(index)


def normalised_r2(screen: Screen, features: NDArray[np.float64]) -> float:
    """Of a ridge of features and cells on unseen drugs, against the mean of the cell."""
    design = np.c_[features, np.eye(SETTINGS.cells)[screen.cell]]
    model = Ridge(1.0).fit(design[screen.training], screen.y[screen.training])
    naive = means(screen.y[screen.training], screen.cell[screen.training])[screen.cell[screen.test]]
    y = screen.y[screen.test]
    excess = y - naive
    return float(1 - ((y - model.predict(design[screen.test])) ** 2).sum() / ((excess - excess.mean()) ** 2).sum())


@pytest.mark.parametrize(
    ("changes", "equal"),
    [
        pytest.param({"seed": 1}, set(), id="seed"),
        pytest.param({"noise": 0.6}, {"drugs.csv", "cells.csv", "omics.npz"}, id="noise"),
    ],
)
def test_the_same_settings_give_the_same_files(
    tmp_path: Path, folder: Path, changes: dict[str, Any], equal: set[str]
) -> None:
    for name, settings in (("again", SMALL), ("other", replace(SMALL, **changes))):
        make_cohort(tmp_path / name, settings)
    first, again, other = digest(folder), digest(tmp_path / "again"), digest(tmp_path / "other")
    assert first == again
    assert {name for name in first if first[name] == other[name]} == (equal | {"dataset.json"} if equal else set())


def test_the_generator_does_without_rdkit(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    phantom_molecules.cache_clear()
    make_cohort(tmp_path, SMALL)
    assert digest(tmp_path) == digest(folder)


def test_the_folder_holds_the_tables_and_no_more(folder: Path) -> None:
    assert sorted(digest(folder)) == ["cells.csv", "dataset.json", "drugs.csv", "omics.npz", "responses.csv"]
    tables = read_response_tables(folder, KINDS)
    assert (len(tables.drugs), len(tables.cells)) == (10, 12)
    assert {kind: values.shape for kind, values in tables.omics.items()} == {
        "expression": (12, 200),
        "mutation": (12, 40),
        "copy_number": (12, 40),
    }


@pytest.mark.parametrize(
    ("split", "column", "counts", "group"),
    [
        pytest.param("drug", "drug", (6, 2, 2), "group", id="drug"),
        pytest.param("cell", "cell", (8, 2, 2), "cell", id="cell"),
        pytest.param("tissue", "cell", (4, 1, 1), "tissue", id="tissue"),
        pytest.param("random", "block", (70, 10, 20), "block", id="random"),
    ],
)
def test_sections_have_their_number_of_units_and_share_none(
    tmp_path: Path, split: str, column: str, counts: tuple[int, int, int], group: str
) -> None:
    settings = replace(SMALL, split=split, training=counts[0], validation=counts[1], test=counts[2], drugs=20)
    make_cohort(tmp_path, settings)
    datalist, pairs = load_datalist(tmp_path), read_response_tables(tmp_path, []).responses
    groups = {name: {item["group"] for item in items} for name, items in datalist.items()}
    assert tuple(len(groups[name]) for name in ("training", "validation", "test")) == counts
    assert sum(counts) == len(set.union(*groups.values()))
    rows = [responses_of(pairs, items).index for items in datalist.values()]
    assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows))
    assert {item["column"] for items in datalist.values() for item in items} == {column}
    assert json.loads((tmp_path / "dataset.json").read_text())["split"] == split
    if split == "tissue":
        assert set.union(*groups.values()) == set(TISSUES)


def test_a_section_of_no_units_is_absent(tmp_path: Path) -> None:
    make_cohort(tmp_path, replace(SMALL, validation=0, test=0))
    assert list(load_datalist(tmp_path)) == ["training"]


def test_dataset_json_tells_the_truth(folder: Path) -> None:
    truth = json.loads((folder / "dataset.json").read_text())
    assert truth["pharmacophore"] == "[SX4](=O)(=O)[NX3]" and truth["potency_group"] == "[CX3](=O)[NX3]"
    assert truth["pathway"] == list(PATHWAY) and len(truth["pathway"]) == 20
    names = [f"drug {k:04d}" for k, one in enumerate(phantom_molecules(10, 0)) if one.pharmacophore]
    assert truth["with_pharmacophore"] == names and names


def test_load_or_make_makes_the_cohort_once(tmp_path: Path) -> None:
    items = load_or_make(str(tmp_path), str(tmp_path), make_cohort, SMALL)
    assert load_or_make(str(tmp_path), str(tmp_path), make_cohort, SMALL) == items


def test_settings_may_come_from_json(tmp_path: Path) -> None:
    make_cohort(tmp_path, PhantomSettings(**json.loads('{"training": 4, "validation": 1, "test": 1, "drugs": 6}')))
    assert len(load_datalist(tmp_path)["training"]) == 4


def test_the_measured_share_is_kept_and_no_drug_or_cell_goes_without(tmp_path: Path, screen: Screen) -> None:
    assert len(screen.y) / (150 * 120) == pytest.approx(0.7, abs=0.02)
    make_cohort(tmp_path, replace(SETTINGS, measured=0.05))
    pairs = read_response_tables(tmp_path, []).responses
    assert pairs["drug"].nunique() == 150 and pairs["cell"].nunique() == 120


def test_both_groups_are_in_every_section(screen: Screen) -> None:
    for section in (screen.training, screen.test):
        share = screen.flags[np.unique(screen.drug[section])].mean(axis=0)
        np.testing.assert_allclose(share, [0.45, 0.5], atol=0.1)


def test_the_rule_explains_two_thirds_of_the_interaction(screen: Screen) -> None:
    rest = screen.y - means(screen.y, screen.drug)[screen.drug] - means(screen.y, screen.cell)[screen.cell]
    rest -= rest.mean()
    flag = screen.flags[:, 0] - screen.flags[:, 0].mean()
    rule = flag[screen.drug] * screen.activity[screen.cell]
    slope = (rule @ rest) / (rule @ rule)
    assert slope == pytest.approx(-SETTINGS.effect, abs=0.05)
    assert 0.6 < 1 - ((rest - slope * rule) ** 2).sum() / (rest @ rest) < 0.75


def test_on_unseen_drugs_the_groups_predict_and_the_name_does_not(screen: Screen) -> None:
    active, potent = screen.flags[screen.drug].T
    rule = active * screen.activity[screen.cell]
    names = np.eye(SETTINGS.drugs)[screen.drug]
    assert 0.7 < normalised_r2(screen, np.c_[potent, rule]) < 0.85
    assert 0.3 < normalised_r2(screen, potent[:, None]) < 0.6
    assert 0.2 < normalised_r2(screen, rule[:, None]) < 0.6
    assert normalised_r2(screen, np.c_[names, names * screen.activity[screen.cell, None]]) < 0.05


def test_the_pathway_is_in_the_principal_components_of_expression() -> None:
    cells = phantom_cells(120, 0)
    expression = cells.omics["expression"] - cells.omics["expression"].mean(axis=0)
    left, size, _ = np.linalg.svd(expression, full_matrices=False)
    assert cross_val_score(Ridge(1.0), left[:, :16] * size[:16], cells.activity, cv=5).mean() > 0.95
    assert abs(cells.activity.mean()) < 1e-6 and cells.activity.std() == pytest.approx(1)
    columns = [GENES.index(gene) for gene in PATHWAY]
    assert np.corrcoef(cells.activity, cells.omics["expression"][:, columns].mean(axis=1))[0, 1] > 0.999


def test_the_effect_of_a_cell_shows_in_its_expression_in_part() -> None:
    cells = phantom_cells(300, 0)
    score = cross_val_score(Ridge(10.0), cells.omics["expression"], cells.effect, cv=5).mean()
    assert 0.3 < score < 0.95


def test_mutations_are_binary_and_copy_numbers_raise_their_gene_and_lack_in_a_few_cells() -> None:
    cells = phantom_cells(2000, 0)
    assert set(np.unique(cells.omics["mutation"])) == {0.0, 1.0}
    copies = cells.omics["copy_number"]
    lacking = np.isnan(copies).any(axis=1)
    assert np.array_equal(lacking, np.isnan(copies).all(axis=1)) and 0.02 < lacking.mean() < 0.09
    columns = [GENES.index(gene) for gene in ALTERED if gene not in PATHWAY]
    genes = [k for k, gene in enumerate(ALTERED) if gene not in PATHWAY]
    pairs = zip(copies[~lacking][:, genes].T, cells.omics["expression"][~lacking][:, columns].T, strict=True)
    assert np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs]) > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"test": -2}, "test is -2, it must be 0 or more", id="negative"),
        pytest.param({"seed": -1}, "seed is -1, it must be 0 or more", id="seed"),
        pytest.param({"cells": 3}, r"cells is 3, it must lie in 6 .. 5000", id="cells"),
        pytest.param({"measured": 1.5}, r"measured is 1.5, it must lie in 0.05 .. 1", id="measured"),
        pytest.param({"noise": -1.0}, r"noise is -1.0, it must lie in 0 .. 10", id="noise"),
        pytest.param({"split": "moon"}, r"split is 'moon', it must be one of \['drug'", id="split"),
        pytest.param({"drugs": 100}, "ask for 150 units, and split 'drug' has 100", id="drugs"),
        pytest.param({"split": "tissue"}, "ask for 150 units, and split 'tissue' has 6", id="tissue"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomSettings(**changes)
