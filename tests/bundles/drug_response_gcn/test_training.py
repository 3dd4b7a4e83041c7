"""Whole runs: resume, workers, two processes, and what labels of the test section can reach."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scripts.phantoms import PhantomSettings, make_cohort

from tests.bundles.bundle_run import ROOT, BundleRun, history, same_weights

pytest.importorskip("rdkit")

NAME = "drug_response_gcn"
SMALL = {"max_epochs": 3, "batch_size": 8, "num_components": {"expression": 8}, "num_bootstrap": 5, "page": False}
run = BundleRun(NAME, **SMALL)


def made(folder: Path, split: str) -> Path:
    units = (60, 20, 20) if split == "random" else (12, 4, 4)
    sections = dict(zip(("training", "validation", "test"), units, strict=True))
    make_cohort(folder, PhantomSettings(**sections, split=split, drugs=20, cells=20))
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("cohort"), "drug")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    workflow(["train"], folder, cohort)
    return folder


def workflow(names: list[str], folder: Path, cohort: Path, **more: Any) -> None:
    """A run in this process."""
    places = {"dataset_dir": cohort, "output_dir": folder, "model_dir": folder, "cache_dir": cohort / "cache"}
    ids: dict[str, Any] = {key: str(value) for key, value in places.items()} | run.ids | more
    files = [str(ROOT / run.folder / f"configs/{name}.json") for name in names]
    flow = ConfigWorkflow(files, workflow_type="train", logging_file=False, bundle_root=str(ROOT / run.folder), **ids)
    flow.initialize()
    flow.run()
    flow.finalize()


def turned_round(cohort: Path, folder: Path, section: str) -> Path:
    """The same cohort with the responses of a section mirrored."""
    shutil.copytree(cohort, folder, ignore=shutil.ignore_patterns("cache"))
    cases = json.loads((folder / "dataset.json").read_text())[section]
    table = pd.read_csv(folder / "responses.csv")
    own = table[cases[0]["column"]].astype(str).isin(str(case["value"]) for case in cases)
    assert 0 < own.sum() < len(table)
    table.loc[own, "ln_ic50"] *= -1
    table.to_csv(folder / "responses.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("split", "configs"),
    [
        pytest.param("drug", ["train", "split_drug"], id="drugs"),
        pytest.param("cell", ["train", "split_cell"], id="cells"),
        pytest.param("random", ["train", "split_random", "bipartite"], id="bipartite"),
    ],
)
def test_labels_of_the_test_section_change_no_bit(tmp_path: Path, split: str, configs: list[str]) -> None:
    one = made(tmp_path / "cohort", split)
    other = turned_round(one, tmp_path / "turned", "test")
    for name, data in (("one", one), ("two", other)):
        workflow(configs, tmp_path / name, data)
        workflow([*configs, "evaluate"], tmp_path / name, data)
    weights = [torch.load(tmp_path / f"{name}/model.pt", weights_only=True) for name in ("one", "two")]
    torch.testing.assert_close(*weights, rtol=0, atol=0, equal_nan=True)  # NaN: a pair that was not measured
    first, second = (pd.read_csv(tmp_path / f"{name}/predictions.csv", dtype=str) for name in ("one", "two"))
    assert len(first) > 20 and first.drop(columns="y").equals(second.drop(columns="y"))
    assert not first["y"].equals(second["y"])


def test_labels_of_the_training_section_do(tmp_path: Path, cohort: Path, trained: Path) -> None:
    workflow(["train"], tmp_path / "run", turned_round(cohort, tmp_path / "turned", "training"))
    assert not same_weights(trained, tmp_path / "run", "model.pt")


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, cohort: Path) -> None:
    workflow(["train"], tmp_path / "whole", cohort, max_epochs=12)
    run.killed_after(3, tmp_path / "killed", cohort, max_epochs=12)
    assert 3 <= len(history(tmp_path / "killed")) < 12
    workflow(["train"], tmp_path / "killed", cohort, max_epochs=12, resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "killed", "model.pt", "checkpoint.pt")
    assert history(tmp_path / "whole") == history(tmp_path / "killed")


def test_workers_change_nothing(tmp_path: Path, cohort: Path, trained: Path) -> None:
    workflow(["train"], tmp_path, cohort, num_workers=2)
    assert same_weights(trained, tmp_path, "model.pt", "checkpoint.pt")
    assert history(trained) == history(tmp_path)


def test_two_processes_train_together(tmp_path: Path, cohort: Path) -> None:
    done = run.in_two_processes(tmp_path, cohort, max_epochs=2, batch_size=5)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(history(tmp_path)) == 2 and (tmp_path / "model.pt").is_file()
