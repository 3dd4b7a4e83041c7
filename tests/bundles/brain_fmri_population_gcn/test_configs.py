"""Every override trains, evaluates and predicts on a tiny cohort."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow
from scripts.phantoms import PhantomSettings, make_cohort
from torch_geometric import typing

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "bundles/brain_fmri_population_gcn"
OVERRIDES = (
    *("no_graph", "permuted_graph", "mlp", "gcn", "gat", "gin", "message_passing", "degree_1", "pyg", "neighbours"),
    *("selection", "similarity", "sum", "transductive", "abide", "all_data"),
)
SAMPLER = typing.WITH_PYG_LIB or typing.WITH_TORCH_SPARSE


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings(training=24, validation=8, test=8, frames=(60, 80)))
    return folder


def run(names: list[str], ids: dict[str, Any]) -> ConfigWorkflow:
    files = [str(BUNDLE / f"configs/{name}.json") for name in names]
    workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, **ids)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def small(cohort: Path, folder: Path) -> dict[str, Any]:
    places = {"dataset_dir": cohort, "output_dir": folder, "model_dir": folder, "cache_dir": cohort / "cache"}
    ids = {"bundle_root": BUNDLE} | places
    return {key: str(value) for key, value in ids.items()} | {
        "num_features": 9,
        "cache_workers": 0,
        "max_epochs": 5,
        "num_bootstrap": 20,
    }


@pytest.mark.parametrize("name", OVERRIDES)
def test_every_override_runs(name: str, tmp_path: Path, cohort: Path) -> None:
    ids = small(cohort, tmp_path)
    run(["train", name], ids)
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    nodes = {"transductive": 40, "all_data": 40}.get(name, 24)
    assert int(weights["population.count"]) == nodes
    if name == "all_data":  # nothing is left to evaluate
        return
    run(["train", name, "evaluate"], ids)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"ridge", "ridge_tangent", "covariates"}
    rows = list(csv.DictReader(open(tmp_path / "predictions.csv")))
    assert len(rows) == 8 and all(0 <= float(row["prob_" + row_class(rows)]) <= 1 for row in rows)
    assert (tmp_path / "smoothing.csv").is_file()


def row_class(rows: list[dict[str, str]]) -> str:
    return next(key for key in rows[0] if key.startswith("prob_")).removeprefix("prob_")


def test_every_override_is_tested() -> None:
    base = {"train", "inference", "evaluate", "multi_gpu_train", "metadata"}
    found = {path.stem for path in (BUNDLE / "configs").glob("*.json")} - base
    assert found == {*OVERRIDES, "neighbour_sampling"}


@pytest.mark.skipif(not SAMPLER, reason="NeighborLoader needs pyg-lib or torch-sparse")
def test_sampled_training_runs(tmp_path: Path, cohort: Path) -> None:
    run(["train", "neighbour_sampling"], small(cohort, tmp_path))
    assert (tmp_path / "model.pt").is_file()


@pytest.mark.skipif(SAMPLER, reason="a sampler is installed")
def test_sampled_training_says_what_it_needs(tmp_path: Path, cohort: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run(["train", "neighbour_sampling"], small(cohort, tmp_path))
    problem: BaseException | None = caught.value
    texts = []
    while problem is not None:
        texts.append(str(problem))
        problem = problem.__cause__ or problem.__context__
    assert any("pyg-lib or torch-sparse" in text for text in texts)


def test_weights_carry_how_their_graph_is_made(tmp_path: Path, cohort: Path) -> None:
    ids = small(cohort, tmp_path)
    run(["train"], ids)
    network = ConfigWorkflow(
        [str(BUNDLE / "configs/inference.json")], workflow_type="infer", logging_file=False, **ids
    ).parser.get_parsed_content("network_def")
    assert network.population.tolerance.tolist() == [0, 0, -1]  # of the config: the shipped weights' graph
    network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert network.population.tolerance.tolist() == [0, 0, 2]  # of the weights


def test_the_regions_are_those_of_the_other_fmri_bundle() -> None:
    rows = [
        list(csv.DictReader(open(ROOT / f"bundles/{path}")))
        for path in (
            "brain_fmri_population_gcn/configs/harvard_oxford.csv",
            "brain_fmri_braingnn/configs/ho_regions.csv",
        )
    ]
    own, other = ([(row["code"], row["name"]) for row in table] for table in rows)
    assert own == other
