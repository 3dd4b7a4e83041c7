"""Whole runs of inference.json: the pairs of an evaluation again, and tables as a user brings them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigWorkflow
from scripts.common.data import read_response_tables
from scripts.phantoms import PhantomSettings, make_cohort

from tests.bundles.bundle_run import ROOT, BundleRun

pytest.importorskip("rdkit")

NAME = "drug_response_gcn"
SMALL = {"batch_size": 8, "num_components": {"expression": 8}, "max_atoms": 48}
TRAINING = {"max_epochs": 4, "num_bootstrap": 5, "page": False, "effects": ["drug"], "code_dropout": 0.0}
run = BundleRun(NAME, **SMALL)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings(12, 4, 4, "cell", drugs=20, cells=20))
    return folder


def workflow(names: list[str], folder: Path, cohort: Path, **more: Any) -> None:
    """A run in this process."""
    places = {"dataset_dir": cohort, "output_dir": folder, "model_dir": folder, "cache_dir": cohort / "cache"}
    ids: dict[str, Any] = {key: str(value) for key, value in (places | more).items() if isinstance(value, Path)}
    ids |= run.ids | {key: value for key, value in more.items() if not isinstance(value, Path)}
    files = [str(ROOT / run.folder / f"configs/{name}.json") for name in names]
    flow = ConfigWorkflow(files, workflow_type="train", logging_file=False, bundle_root=str(ROOT / run.folder), **ids)
    flow.initialize()
    flow.run()
    flow.finalize()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """Weights that know their drugs, with the evaluation of unseen cells."""
    folder = tmp_path_factory.mktemp("trained")
    workflow(["train"], folder, cohort, **TRAINING)
    workflow(["train", "evaluate"], folder, cohort, **TRAINING)
    return folder


@pytest.fixture(scope="session")
def inferred(tmp_path_factory: pytest.TempPathFactory, cohort: Path, trained: Path) -> Path:
    folder = tmp_path_factory.mktemp("inferred")
    done = run(["inference"], folder, cohort, model_dir=trained, top_drugs=2)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "predictions.csv", keep_default_na=False).set_index("id")


def numbers(rows: pd.DataFrame, *columns: str) -> np.ndarray:
    return rows[list(columns)].apply(pd.to_numeric).to_numpy()


def write_tables(folder: Path, cohort: Path, genes: slice = slice(None)) -> pd.DataFrame:
    """The cohort as a user has it: drugs.csv and expression.csv, genes turned round; returns the expression."""
    tables = read_response_tables(cohort, ["expression"])
    cells = pd.Index(tables.cells["cell"], name="cell")
    expression = pd.DataFrame(tables.omics["expression"], cells, tables.omics_features["expression"])
    expression = expression[expression.columns[::-1][genes]]
    folder.mkdir()
    tables.drugs[["drug", "smiles"]].to_csv(folder / "drugs.csv", index=False)
    expression.to_csv(folder / "expression.csv")
    return expression


def test_every_drug_on_every_cell_is_predicted(inferred: Path) -> None:
    rows = table(inferred)
    assert len(rows) == rows["drug"].nunique() * rows["cell"].nunique() == 20 * 20
    assert not rows["error"].any() and set(rows["section"]) == {"training", "validation", "test", "new"}
    assert ((rows["y"] == "") == (rows["section"] == "new")).all()
    low, pred, high = numbers(rows, "low", "pred", "high").T
    assert (low < pred).all() and (pred < high).all() and pred.std() > 0.1
    assert not numbers(rows, "distance").any()  # every drug is in training


def test_the_pairs_of_the_evaluation_get_the_same_numbers(trained: Path, inferred: Path) -> None:
    evaluated = table(trained)
    rows = table(inferred)
    assert set(rows.index[rows["section"] == "test"]) == set(evaluated.index)
    columns = ("y", "pred", "low", "high")
    np.testing.assert_allclose(numbers(rows.loc[evaluated.index], *columns), numbers(evaluated, *columns), atol=2e-5)
    assert (rows.loc[evaluated.index, "group"] == evaluated["group"]).all()


def test_atoms_of_the_drugs_with_the_largest_falls_are_drawn(inferred: Path) -> None:
    pred = table(inferred).assign(pred=lambda rows: rows["pred"].astype(float)).pivot(
        index="cell", columns="drug", values="pred"
    )  # fmt: skip
    falls = pred - pred.mean()
    drugs = falls.min().sort_values().index[:2]
    stems = [f"{drug}_{falls[drug].idxmin()}".replace(" ", "_") for drug in drugs]
    expected = {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")}
    assert {path.name for path in (inferred / "attributions").iterdir()} == expected


def test_tables_with_faults_are_predicted_but_for_the_faults(
    tmp_path: Path, cohort: Path, trained: Path, inferred: Path
) -> None:
    expression = write_tables(tmp_path / "data", cohort)
    expression.loc["cell 0003"] = np.nan
    expression.iloc[4, : expression.shape[1] * 4 // 5] = np.nan
    expression.to_csv(tmp_path / "data/expression.csv")
    with open(tmp_path / "data/drugs.csv", "a") as file:
        file.write(f"broken,C1CC(\nlarge,{'C' * 49}\nempty,\nwith salt,CCOc1ccccc1.{'C' * 40}Cl.Cl\nnew,CCOc1ccccc1\n")
    done = run(["inference"], tmp_path, tmp_path / "data", model_dir=trained, top_drugs=0)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, expected = table(tmp_path), table(inferred)
    assert len(rows) == 20 * 25
    reasons = {
        "broken": "SMILES of drug 'broken' is 'C1CC(', which is no valid molecule",
        "large": "large has 49 heavy atoms, there is room for 48",
        "empty": "SMILES of drug 'empty' is ''",
    }
    for drug, reason in reasons.items():
        assert rows["error"][rows["drug"] == drug].str.contains(reason, regex=False).all()
    rest = rows[~rows["drug"].isin(reasons)]
    bad = rest["cell"].isin(["cell 0003", "cell 0004"])
    assert rest["error"][bad].str.contains(r"CellFeaturesd: cell 000[34] has \d+ of 200 values").all()
    good = rest[~bad]
    assert not good["error"].any() and (good["section"] == "new").all() and (good["y"] == "").all()
    same = good[~good["drug"].isin(["new", "with salt"])]
    assert len(same) == 18 * 20
    columns = ("pred", "low", "high", "distance")
    np.testing.assert_allclose(numbers(same, *columns), numbers(expected.loc[same.index], *columns), atol=2e-5)
    new = good[good["drug"] == "new"]
    assert (new["distance"].astype(float) > 0.3).all() and numbers(new, "pred", "low", "high").shape == (18, 3)
    assert "2 of 22 drugs were not in training; these weights know the potency" in done.stdout + done.stderr
    assert not (tmp_path / "attributions").exists()


def test_missing_genes_count_as_the_mean_of_training(
    tmp_path: Path, cohort: Path, trained: Path, inferred: Path
) -> None:
    write_tables(tmp_path / "data", cohort, slice(0, 180))
    workflow(["inference"], tmp_path, tmp_path / "data", model_dir=trained, top_drugs=0)
    rows, expected = table(tmp_path), table(inferred)
    assert not rows["error"].any() and len(rows) == len(expected)
    first, second = (numbers(part.loc[expected.index], "pred")[:, 0] for part in (rows, expected))
    assert np.corrcoef(first, second)[0, 1] > 0.9 and not np.allclose(first, second, atol=1e-3)


def test_without_a_reference_it_warns_and_leaves_the_interval_empty(
    tmp_path: Path, cohort: Path, trained: Path, inferred: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(trained / "model.pt", tmp_path / "model.pt")
    workflow(["inference"], tmp_path, cohort, top_drugs=0)
    assert "no intervals and no distances: load_reference: " in caplog.text
    rows = table(tmp_path)
    assert (rows[["low", "high", "distance", "nearest_drug", "error"]] == "").all(axis=None)
    np.testing.assert_allclose(numbers(rows, "pred"), numbers(table(inferred), "pred"), atol=2e-5)


def test_an_empty_folder_ends_the_run_in_one_sentence(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "data").mkdir()
    done = run(["inference"], tmp_path, tmp_path / "data", model_dir=trained)
    assert done.returncode != 0 and not (tmp_path / "predictions.csv").exists()
    assert f"inference_screen: {tmp_path}/data/drugs.csv does not exist; give a folder with dataset.json" in done.stderr
