import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import fitted_network
from scripts.fitted_network import fit_network
from scripts.network import DrugResponseNet
from scripts.pair_layout import DRUG_CODE
from scripts.screen import Screen

from .small_screen import cells_of, make_library, make_network, make_screen

pytest.importorskip("rdkit")
SPLITS = ("drug", "cell", "tissue", "random")


def fitted(screen: Screen, **changes: object) -> DrugResponseNet:
    keywords = {key: changes.pop(key) for key in ("pretraining_epochs", "gene_edges") if key in changes}
    network = make_network(**{"effects": ("drug", "cell")} | changes)
    return fit_network(network, screen, make_library(network.layout), **keywords)


def state(network: DrugResponseNet) -> dict[str, torch.Tensor]:
    return network.state_dict() | {"lead": network.lead}


def different(one: DrugResponseNet, two: DrugResponseNet) -> list[str]:
    """Names of what differs."""
    other = state(two)
    return [name for name, value in state(one).items() if not torch.equal(value, other[name])]


@pytest.mark.parametrize("split", SPLITS)
def test_responses_of_other_sections_change_no_bit(split: str) -> None:
    screen = make_screen(split)
    rng = np.random.default_rng(0)
    changed = {name: table + rng.normal(size=table.shape) for name, table in screen.responses.items()}
    changed["training"] = screen.responses["training"]
    assert different(fitted(screen), fitted(replace(screen, responses=changed))) == []


def test_omics_of_cells_without_a_training_pair_change_no_bit() -> None:
    screen = make_screen("cell")
    unseen = ~np.isfinite(screen.responses["training"]).any(axis=1)
    assert unseen.sum() == 12
    values = screen.values.copy()
    values[unseen] += 1
    assert different(fitted(screen), fitted(replace(screen, values=values))) == []


@pytest.mark.parametrize("what", ["responses", "values"])
def test_training_data_do_change_the_fit(what: str) -> None:
    screen = make_screen("cell")
    seen = np.flatnonzero(np.isfinite(screen.responses["training"]).any(axis=1))
    values, responses = screen.values.copy(), dict(screen.responses)
    values[seen[0]] += 1
    responses["training"] = responses["training"] * 2
    changed = replace(screen, **{"values": values} if what == "values" else {"responses": responses})
    start = "omics" if what == "values" else "known"
    assert any(name.startswith(start) for name in different(fitted(screen), fitted(changed)))


@pytest.mark.parametrize("split", SPLITS)
def test_known_are_the_drugs_and_cells_with_a_training_pair(split: str) -> None:
    screen = make_screen(split)
    network, measured = fitted(screen), np.isfinite(screen.responses["training"])
    assert (network.lead[:, DRUG_CODE] > 0).tolist() == measured.any(axis=0).tolist()
    assert [network.known.cell_offset(cell) != 0 for cell in screen.cells] == measured.any(axis=1).tolist()


def test_features_are_those_of_the_training_cells() -> None:
    screen = make_screen("cell")
    network = fitted(screen)
    cells, _ = cells_of(network, screen)
    assert cells[:, 1:].mean(0).abs().max() < 1e-5 and float(cells[:, 1].std(correction=0)) == pytest.approx(
        3, rel=1e-4
    )


def test_weights_are_left_as_they_were_without_pretraining() -> None:
    network, before = fitted(make_screen()), make_network(effects=("drug", "cell"))
    for name, parameter in before.named_parameters():
        assert torch.equal(parameter, network.get_parameter(name)), name


def test_pretraining_changes_the_drug_tower_alone_and_sees_training_drugs_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[list[str]] = []
    items = fitted_network.property_items
    monkeypatch.setattr(fitted_network, "property_items", lambda lib, form: seen.append(lib.names) or items(lib, form))
    screen = make_screen()
    with caplog.at_level(logging.INFO, "screen"):
        changed = different(fitted(screen), fitted(screen, pretraining_epochs=2))
    assert changed and all(name.startswith("drug_tower") for name in changed)
    known = np.isfinite(screen.responses["training"]).any(axis=0)
    assert seen == [screen.drugs["drug"][known].tolist()]
    assert "pretrained on properties of 8 training drugs" in caplog.text
    pairs = int(np.isfinite(screen.responses["training"]).sum())
    assert f"{pairs} training pairs of 8 drugs and 40 cells; 11 features" in caplog.text


def test_genes_are_joined_by_the_file_of_interactions_or_by_coexpression(tmp_path: Path) -> None:
    screen = make_screen()
    genes = {"cell_encoder": "gene_graph", "num_genes": 20}
    network = fitted(screen, **genes)
    names = [screen.features[int(k)] for k in network.omics.gene_index]
    path = tmp_path / "edges.csv"
    path.write_text(f"a,b\n{names[0]},{names[3]}\n")
    told = fitted(screen, **genes, gene_edges=path)
    changed = different(network, told)
    assert changed and all(name.startswith("cell_tower") for name in changed)
    assert not torch.equal(network(cells_of(network, screen)[0]), told(cells_of(told, screen)[0]))


def test_genes_are_named_rightly_wherever_expression_stands(tmp_path: Path) -> None:
    screen, graphs = make_screen(), []
    first, second = screen.sizes.values()
    turned = replace(
        screen,
        values=np.roll(screen.values, second, axis=1),
        sizes=dict(reversed(screen.sizes.items())),
        features=screen.features[first:] + screen.features[:first],
    )
    for one in (screen, turned):
        network = DrugResponseNet(dict.fromkeys(one.sizes, 3), 20, cell_encoder="gene_graph")
        features = network.omics.fit(torch.from_numpy(one.values), one.sizes)
        names = [screen.features[int(k)] for k in network.omics.gene_index]  # counted within expression
        (tmp_path / "edges.csv").write_text(f"a,b\n{names[0]},{names[3]}\n")
        graphs.append(fitted_network._gene_graph(network, features, one, tmp_path / "edges.csv"))
    assert torch.equal(*graphs)
    assert graphs[0].nonzero().tolist() == [[0, 3], [3, 0]]


def test_a_screen_without_training_pairs_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    screen = make_screen()
    empty = screen.responses | {"training": np.full(screen.everything.shape, np.nan)}
    with pytest.raises(ValueError, match="no training cell"):
        fitted(replace(screen, responses=empty))
    with pytest.raises(FileNotFoundError, match=r"none.csv"):
        fitted(screen, cell_encoder="gene_graph", num_genes=20, gene_edges=tmp_path / "none.csv")
