from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scripts import bipartite_network
from scripts.bipartite_graph import training_edges
from scripts.bipartite_network import BipartiteNetwork
from scripts.fitted_network import fit_network
from scripts.grid_loss import GridLoss
from scripts.screen import Screen

from .small_screen import COMPONENTS, cells_of, make_library, make_screen, part_of

pytest.importorskip("rdkit")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
UNITS = [pytest.param("random", "pair", id="pair"), pytest.param("cell", "cell"), pytest.param("drug", "drug")]
EFFECTS = {"pair": ("drug", "cell"), "cell": ("drug",), "drug": ("cell",)}


def fitted(screen: Screen, unit: str = "pair", split: str = "random", steps: int = 3) -> BipartiteNetwork:
    """Trained for some steps as the bundle does it."""
    torch.manual_seed(0)
    network = BipartiteNetwork(COMPONENTS, EFFECTS[unit], unit, hidden_channels=8, fingerprint_bits=128)
    fit_network(network, screen, make_library(network.layout, split))
    loss, optimizer = GridLoss(network), torch.optim.Adam(network.parameters(), 1e-2)
    cells, responses = cells_of(network, screen)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network.train()(cells), responses).backward()
        optimizer.step()
    return network.eval()


def everyone(network: BipartiteNetwork, screen: Screen) -> torch.Tensor:
    return torch.cat([cells_of(network, screen, section)[0] for section in ("training", "validation", "test")])


@pytest.mark.parametrize(("split", "unit"), UNITS)
def test_shuffled_test_labels_change_no_bit_of_a_prediction(split: str, unit: str) -> None:
    screen = make_screen(split)
    rng, tables = np.random.default_rng(0), []
    for section in ("test", "training"):
        table = screen.responses[section].copy()
        found = np.isfinite(table)
        table[found] = rng.permutation(table[found])
        tables.append(replace(screen, responses=screen.responses | {section: table}))
    own, test, training = (fitted(one, unit, split) for one in (screen, *tables))
    before = own(everyone(own, screen))
    assert torch.equal(test(everyone(test, screen)), before)
    assert not torch.equal(training(everyone(training, screen)), before)  # training labels must be heard


@pytest.mark.parametrize(("split", "unit"), UNITS)
def test_unseen_cells_and_drugs_are_predicted_from_their_features(split: str, unit: str) -> None:
    screen = make_screen(split)
    network = fitted(screen, unit, split)
    out = network(everyone(network, screen))
    assert out.isfinite().all() and out.shape[1] == 12
    assert out.std(0).min() > 0 and out.std(1).min() > 0
    new = everyone(network, screen)[:2] + 0.5  # nobody's features
    assert network(new).isfinite().all() and not torch.allclose(*network(new))


def test_the_order_of_the_library_does_not_matter() -> None:
    screen = make_screen("random")
    network = fitted(screen)
    cells, order = everyone(network, screen), torch.randperm(12)
    before = network(cells)
    library = make_library(network.layout, "random")
    network.set_library(part_of(library, order.tolist()))
    assert torch.allclose(network(cells), before[:, order], rtol=1e-5, atol=1e-5)
    network.set_library(part_of(library, [7]))
    assert torch.allclose(network(cells), before[:, [7]], rtol=1e-5, atol=1e-5)


def test_training_cells_and_drugs_keep_their_edges() -> None:
    screen = make_screen("random")
    network = fitted(screen)
    data, cells = network.training_data, cells_of(network, screen)[0]
    edges = training_edges(data.residuals, data.residuals.isfinite())
    expected = network.in_ln_units(network.graph(data.drugs, data.cells[:, 1:], *edges), data.cells)
    assert len(cells) == 40  # above 25, torch.cdist rounds unless told otherwise
    assert torch.allclose(network(cells), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("split", ["random", "cell"])
def test_other_cells_of_a_batch_do_not_matter(split: str) -> None:
    screen = make_screen(split)
    network = fitted(screen, split=split)
    cells = everyone(network, screen)
    alone = torch.cat([network(cell[None]) for cell in cells])
    assert torch.allclose(network(cells), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("split", "unit"), UNITS)
def test_a_training_step_answers_hidden_training_pairs_only(split: str, unit: str) -> None:
    screen = make_screen(split)
    network = fitted(screen, unit, split).train()
    cells, responses = cells_of(network, screen)
    with patch.object(bipartite_network, "training_edges", wraps=training_edges) as edges:
        answered = network(cells).isfinite()
    measured = responses.isfinite()
    heard = edges.call_args.args[1]
    assert torch.equal(heard, measured & ~answered)  # a pair that is heard and answered is copied
    assert answered.any() and not (answered & ~measured).any() and (measured & ~answered).any()
    if unit != "pair":
        axis = 1 if unit == "cell" else 0
        share = answered.sum(axis) / measured.sum(axis).clamp(min=1)
        assert set(share.tolist()) == {0, 1}


def test_residuals_are_standardised_and_come_back_in_ln_units() -> None:
    screen = make_screen("random")
    network = fitted(screen)
    data, responses = network.training_data, cells_of(network, screen)[1]
    back = network.in_ln_units(data.residuals, data.cells)
    assert torch.allclose(back, responses, atol=1e-4, equal_nan=True)
    assert float(data.residuals[data.residuals.isfinite()].std()) == pytest.approx(1, abs=0.35)


def test_the_graph_travels_with_the_weights() -> None:
    screen = make_screen("random")
    network = fitted(screen)
    fresh = BipartiteNetwork(COMPONENTS, EFFECTS["pair"], "pair", hidden_channels=8, fingerprint_bits=128).eval()
    fresh.load_state_dict(network.state_dict())
    fresh.set_library(make_library(fresh.layout, "random"))
    cells = everyone(network, screen)
    assert torch.equal(fresh(cells), network(cells))
