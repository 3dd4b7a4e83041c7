"""Every override changes what its name says, and trains, evaluates and predicts on a tiny screen."""

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from scripts.bipartite_network import BipartiteNetwork
from scripts.known_effects import key_of
from scripts.phantoms import PhantomSettings, make_cohort

pytest.importorskip("rdkit")

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "bundles/drug_response_gcn"
BASE = {"train", "inference", "evaluate", "multi_gpu_train", "metadata"}
UNITS = {"drug": (12, 4, 4), "cell": (12, 4, 4), "tissue": (4, 1, 1), "random": (60, 20, 20)}
SPLITS = {"split_cell": ["drug"], "split_drug": ["cell"], "split_random": ["drug", "cell"], "split_tissue": ["drug"]}
KINDS = {"expression": 6, "mutation": 4, "copy_number": 4}


def tower(name: str) -> Callable[[Any], bool]:
    """Whether the drug tower of a network is of the class of this name."""
    return lambda network: type(network.drug_tower).__name__ == name


def graph(encoder: str) -> Callable[[Any], bool]:
    """Whether the drug tower is that graph tower."""
    return lambda network: type(network.drug_tower).__name__ == "GraphTower" and network.drug_tower.encoder == encoder


def cells(name: str) -> Callable[[Any], bool]:
    """Whether the cell tower of a network is of the class of this name."""
    return lambda network: type(network.cell_tower).__name__ == name


CHANGES: dict[str, Callable[[Any], bool]] = {
    "gcn": graph("gcn"),
    "gin": graph("gin"),
    "gat": graph("gat"),
    "gat_transformer": graph("gat_transformer"),
    "distance": tower("DistanceTower"),
    "gine_distance": tower("JoinedTowers"),
    "fingerprint": lambda network: tower("FingerprintTower")(network) and network.layout.fingerprint_bits == 2048,
    "embedding": lambda network: tower("EmbeddingTower")(network) and network.code_dropout == 1,
    "concatenation": lambda network: network.joint is not None,
    "gene_graph": lambda network: cells("GeneTower")(network) and network.omics.num_genes > 0,
    "multi_omics": lambda network: cells("OmicsAttention")(network) and list(network.omics.sizes) == list(KINDS),
    "bipartite": lambda network: isinstance(network, BipartiteNetwork),
    "pretraining": graph("gine"),
}
SLOW = ("distance", "gine_distance")  # conformers
SMALL: dict[str, dict[str, Any]] = {
    "gene_graph": {"num_genes": 20},  # the phantoms have 200
    "multi_omics": {"num_components": KINDS},
    "pretraining": {"pretraining_epochs": 2},
}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def make(split: str) -> Path:
        folder = tmp_path_factory.mktemp(split)
        sections = dict(zip(("training", "validation", "test"), UNITS[split], strict=True))
        make_cohort(folder, PhantomSettings(**sections, split=split, drugs=20, cells=20))
        return folder

    return make


def flow(kind: str, names: list[str], ids: dict[str, Any]) -> ConfigWorkflow:
    files = [str(BUNDLE / f"configs/{name}.json") for name in names]
    return ConfigWorkflow(files, workflow_type=kind, logging_file=False, **ids)


def run(kind: str, names: list[str], ids: dict[str, Any]) -> None:
    workflow = flow(kind, names, ids)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def small(cohort: Path, folder: Path, name: str = "") -> dict[str, Any]:
    places = {"dataset_dir": cohort, "output_dir": folder, "model_dir": folder, "cache_dir": cohort / "cache"}
    ids = {key: str(value) for key, value in ({"bundle_root": BUNDLE} | places).items()}
    more = {"num_components": {"expression": 6}, "max_epochs": 1, "val_interval": 1, "num_bootstrap": 5, "page": False}
    return ids | more | SMALL.get(name, {})


def content(*names: str) -> dict[str, Any]:
    """The configs merged, with what the network takes written out."""
    parser = ConfigParser(ConfigParser.load_config_files([str(BUNDLE / f"configs/{name}.json") for name in names]))
    parts = dict(parser.get("network_def"))
    return {key: parser.get(value[1:]) if str(value).startswith("@") else value for key, value in parts.items()}


def predictions(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(open(folder / "predictions.csv")))


def test_every_override_is_tested() -> None:
    assert {path.stem for path in (BUNDLE / "configs").glob("*.json")} - BASE == {*CHANGES, *SPLITS}


@pytest.mark.parametrize("name", CHANGES)
def test_every_override_changes_what_its_name_says(name: str, tmp_path: Path, cohorts: Callable[[str], Path]) -> None:
    ids = small(cohorts("drug"), tmp_path, name)
    networks = [
        flow("train", names, ids).parser.get_parsed_content("network_def") for names in (["train"], ["train", name])
    ]
    assert CHANGES[name](networks[1])
    assert name in ("pretraining", "multi_omics") or not CHANGES[name](networks[0])


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CHANGES],
)
def test_every_override_runs(name: str, tmp_path: Path, cohorts: Callable[[str], Path]) -> None:
    cohort = cohorts("random" if name == "bipartite" else "drug")
    ids = small(cohort, tmp_path, name)
    run("train", ["train", name], ids)
    run("train", ["train", name, "evaluate"], ids | {"baselines": {}})
    assert set(json.loads((tmp_path / "metrics.json").read_text())["baselines"]) == {"naive"}
    rows = predictions(tmp_path)
    assert rows and all(float(row["low"]) <= float(row["pred"]) <= float(row["high"]) for row in rows)
    evaluated = {row["id"]: float(row["pred"]) for row in rows}
    run(
        "infer", ["inference", name], ids | {"output_dir": str(tmp_path / "inference"), "top_drugs": int(name == "gat")}
    )
    found = predictions(tmp_path / "inference")
    assert len(found) == 20 * 20 and not any(row["error"] for row in found)
    predicted = {row["id"]: float(row["pred"]) for row in found}
    assert {key: predicted[key] for key in evaluated} == pytest.approx(evaluated, abs=1e-4)


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_knows_the_effects_of_what_both_sections_have(
    name: str, tmp_path: Path, cohorts: Callable[[str], Path]
) -> None:
    split = name.removeprefix("split_")
    cohort = cohorts(split)
    ids = small(cohort, tmp_path)
    run("train", ["train", name], ids)
    run("train", ["train", name, "evaluate"], ids)
    baselines = json.loads((tmp_path / "metrics.json").read_text())["baselines"]
    assert {"naive", "drug_mean", "ridge", "boosting"} <= set(baselines)
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content("train", name)["effects"] == SPLITS[name]
    for effect in ("drug", "cell"):
        assert bool(weights[f"known.{effect}_effect"].any()) == (effect in SPLITS[name])
    rows = predictions(tmp_path)
    parents = {row["drug"]: row["parent"] for row in csv.DictReader(open(cohort / "drugs.csv"))}
    keys = {"drug": {key_of(parents[row["drug"]]) for row in rows}, "cell": {key_of(row["cell"]) for row in rows}}
    known = {effect: set(weights[f"known.{effect}_keys"].tolist()) for effect in keys}
    unseen = {"drug": "drug", "cell": "cell", "tissue": "cell", "random": ""}[split]
    assert all(
        not keys[effect] & known[effect] if effect == unseen else keys[effect] <= known[effect] for effect in keys
    )


@pytest.mark.parametrize("name", [*CHANGES, *SPLITS])
def test_a_recipe_defines_one_network_for_training_and_inference(name: str) -> None:
    train, inference = content("train", name), content("inference", name)
    free = set() if name in SPLITS else {"effects", "code_dropout"}  # of the split: in the weights, not in their shapes
    assert {key: train[key] for key in train if key not in free} == {
        key: inference[key] for key in inference if key not in free
    }


def test_inference_is_set_for_the_weights_that_are_shipped() -> None:
    assert content("inference") == content("train", "split_cell")


def test_a_gene_graph_needs_so_many_genes(tmp_path: Path, cohorts: Callable[[str], Path]) -> None:
    with pytest.raises(RuntimeError) as caught:
        run("train", ["train", "gene_graph"], small(cohorts("drug"), tmp_path) | {"num_genes": 500})
    problem: BaseException | None = caught.value
    texts = []
    while problem is not None:
        texts.append(str(problem))
        problem = problem.__cause__ or problem.__context__
    assert any("num_genes is 500, expression has 200 genes; lower it" in text for text in texts)
