"""The default recipe on the default phantoms: the graph of an unseen drug tells its response, and by the right atoms."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scripts.attribution import atom_attributions
from scripts.cell_features import CellFeaturesd
from scripts.common.data import read_molecule
from scripts.phantoms import PhantomSettings, make_cohort
from scripts.screen import pairs_of

from tests.bundles.bundle_run import ROOT

Chem = pytest.importorskip("rdkit.Chem")

BUNDLE = ROOT / "bundles/drug_response_gcn"
CONFIGS = {"graph": ["train"], "embedding": ["train", "embedding"]}


def workflow(names: list[str], folder: Path, cohort: Path) -> ConfigWorkflow:
    places = {"bundle_root": BUNDLE, "dataset_dir": cohort, "output_dir": folder, "model_dir": folder}
    return ConfigWorkflow(
        [str(BUNDLE / f"configs/{name}.json") for name in names],
        workflow_type="train",
        logging_file=False,
        num_bootstrap=5,
        page=False,
        baselines={},
        **{key: str(value) for key, value in places.items()},
    )


def run(flow: ConfigWorkflow) -> None:
    flow.initialize()
    flow.run()
    flow.finalize()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings())
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    for name, configs in CONFIGS.items():
        run(workflow(configs, folder / name, cohort))
        run(workflow([*configs, "evaluate"], folder / name, cohort))
    return folder


def figure(folder: Path, name: str) -> float:
    return json.loads((folder / "metrics.json").read_text())[name]["value"]


def test_the_graph_recovers_the_rule_on_unseen_drugs(trained: Path) -> None:
    assert figure(trained / "graph", "normalised_r2") >= 0.5
    assert figure(trained / "graph", "cell_r") >= 0.6


def test_a_free_embedding_cannot(trained: Path) -> None:
    assert figure(trained / "embedding", "normalised_r2") <= 0.1
    assert abs(figure(trained / "embedding", "cell_r")) <= 0.1


@pytest.fixture(scope="module")
def lowest_atoms(trained: Path, cohort: Path) -> dict[str, tuple[int, set[int]]]:
    """Of unseen drugs with the pharmacophore: the atom that most ties their response to the pathway, and its atoms."""
    flow = workflow(["train"], trained / "graph", cohort)
    network, screen, library = (flow.parser.get_parsed_content(name) for name in ("network_def", "screen", "library"))
    network.load_state_dict(torch.load(trained / "graph/model.pt", weights_only=True))
    network.set_library(library)
    network.eval()
    truth = json.loads((cohort / "dataset.json").read_text())
    genes = [screen.features.index(gene) for gene in truth["pathway"]]
    activity = screen.values[:, genes].mean(axis=1)
    features = CellFeaturesd("image", network)
    cells = [features({"image": screen.values[c]})["image"] for c in (activity.argmax(), activity.argmin())]
    _, tested, _ = pairs_of(screen.responses["test"])
    pattern = Chem.MolFromSmarts(truth["pharmacophore"])
    found = {}
    for d in np.unique(tested).tolist():
        if (name := library.names[d]) not in truth["with_pharmacophore"]:
            continue
        on, off = (
            atom_attributions(network, network.packed_pair(library.rows[d], d, cell), network.layout) for cell in cells
        )
        atoms = {
            atom for match in read_molecule(library.parents[d], name).GetSubstructMatches(pattern) for atom in match
        }
        found[name] = (int((on - off).argmin()), atoms)
    return found


def test_attributions_of_unseen_drugs_point_into_the_pharmacophore(
    lowest_atoms: dict[str, tuple[int, set[int]]],
) -> None:
    assert len(lowest_atoms) >= 8
    hits = [atom in atoms for atom, atoms in lowest_atoms.values()]
    assert np.mean(hits) >= 0.8, lowest_atoms
