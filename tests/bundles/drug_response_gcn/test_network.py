from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from scripts.drug_library import DrugLibrary, drug_library
from scripts.drug_towers import DRUG_ENCODERS
from scripts.fitted_network import fit_network
from scripts.grid_loss import GridLoss
from scripts.network import FUSIONS, DrugResponseNet, parameter_groups
from scripts.pair_layout import DRUG_CODE
from torch import Tensor

from .small_screen import ROOM, cells_of, make_library, make_network, make_screen, part_of

pytest.importorskip("rdkit")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
GRAPHS = DRUG_ENCODERS[:5]
BOTH = ("drug", "cell")


def fitted(encoder: str = "gine", **changes: object) -> DrugResponseNet:
    """On the phantoms, with 8 drugs known and 4 unknown."""
    network = make_network(encoder, **{"effects": BOTH} | changes)
    return fit_network(network, make_screen(), make_library(network.layout))


def some_cells(network: DrugResponseNet) -> Tensor:
    """Three training cells, and one that nobody knows."""
    cells = cells_of(network, make_screen())[0][:4].clone()
    cells[3, 0] = 0
    assert (cells[:3, 0] != 0).all()
    return cells


def packed_grid(network: DrugResponseNet, cells: Tensor) -> Tensor:
    """Images of all pairs of cells and drugs, (M D, 1, N + R, width), by cell."""
    rows = make_library(network.layout).rows
    return torch.stack([network.packed_pair(rows[d], d, cell) for cell in cells for d in range(len(rows))])


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_packed_pairs_and_cells_against_the_library_give_the_same(encoder: str, fusion: str) -> None:
    network = fitted(encoder, fusion=fusion)
    assert (network.lead[:, DRUG_CODE] > 0).tolist().count(True) == 8 and len(network.lead) == 12
    cells = some_cells(network)
    grid, pairs = network(cells), network(packed_grid(network, cells))
    assert grid.shape == (4, 12) and pairs.shape == (48, 1) and grid.std(0).min() > 0
    assert torch.allclose(pairs.view(4, 12), grid, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "changes"),
    [
        pytest.param("gine", {"num_layers": 1}, id="default"),
        pytest.param("distance", {"cell_encoder": "attention", "num_layers": 1}, id="3d attention"),
        pytest.param("fingerprint", {"cell_encoder": "gene_graph", "num_genes": 20}, id="genes"),
        pytest.param("embedding", {"fusion": "concatenation"}, id="embedding"),
    ],
)
def test_scripted_and_exported_networks_give_the_same_for_any_batch(encoder: str, changes: dict) -> None:
    network = fitted(encoder, **changes)
    images = packed_grid(network, some_cells(network)[:1])
    expected = network(images)
    shapes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(network, (images,), dynamic_shapes=shapes).module()
    unfitted = make_network(encoder, **{"effects": BOTH} | changes)
    unfitted.load_state_dict(network.state_dict())  # as for an export: weights, and no library
    for other in (torch.jit.script(network), torch.jit.script(unfitted), exported):
        for size in (12, 3):
            assert torch.allclose(other(images[:size]), expected[:size], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_each_drug_is_encoded_once_in_a_step(encoder: str) -> None:
    network = fitted(encoder)
    cells = cells_of(network, make_screen())[0]
    way = "forward_packed" if encoder in GRAPHS else "forward"
    with patch.object(network.drug_tower, way, wraps=getattr(network.drug_tower, way)) as tower:
        network(cells)
    assert len(cells) == 40 and tower.call_count == 1
    given = tower.call_args.args
    rows = make_library(network.layout).rows
    assert len(given[0]) == (int((rows[..., :17] != 0).sum()) if encoder in GRAPHS else 12)  # atoms, or drugs


def test_a_step_reaches_every_parameter_with_finite_gradients() -> None:
    network = fitted(fusion="concatenation").train()
    cells, responses = cells_of(network, make_screen())
    GridLoss(network)(network(cells), responses).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert "own" in name or parameter.grad.abs().sum() > 0, name
    own = network.own.weight.grad.abs().sum(1) > 0
    assert own.nonzero().flatten().tolist() == list(range(1, 9))  # known drugs alone


def gradients(network: DrugResponseNet, library: DrugLibrary, responses: Tensor, cells: Tensor) -> tuple[Tensor, dict]:
    network.zero_grad()
    network.set_library(library)
    pred = network(cells)
    GridLoss(network)(pred, responses).backward()
    return pred.detach(), {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_unseen_drugs_in_the_library_change_nothing_for_the_known(encoder: str) -> None:
    network = fitted(encoder).train()
    library, (cells, responses) = make_library(network.layout), cells_of(network, make_screen())
    known = (network.lead[:, DRUG_CODE] > 0).nonzero().flatten().tolist()
    with_all, all_gradients = gradients(network, library, responses, cells)
    without, own_gradients = gradients(network, part_of(library, known), responses[:, known], cells)
    assert torch.allclose(with_all[:, known], without, rtol=0, atol=1e-5)
    assert all_gradients.keys() == own_gradients.keys()
    for name, gradient in own_gradients.items():
        assert torch.allclose(all_gradients[name], gradient, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_the_order_of_the_library_does_not_matter(encoder: str) -> None:
    network = fitted(encoder)
    cells, order = some_cells(network), torch.randperm(12)
    before = network(cells)
    network.set_library(part_of(make_library(network.layout), order.tolist()))
    assert torch.allclose(network(cells), before[:, order], rtol=1e-5, atol=1e-5)


def test_weights_of_a_cohort_of_other_genes_and_drugs_load() -> None:
    network, other, large = fitted(), make_network(effects=BOTH), make_screen("cell", drugs=20)
    sizes = large.sizes | {"expression": large.sizes["expression"] - 10}
    smaller = replace(large, values=large.values[:, 10:], sizes=sizes, features=large.features[10:])
    fit_network(other, smaller, drug_library(large.drugs, other.layout))
    assert int((other.known.drug_keys >= 0).sum()) == 20 != int((network.known.drug_keys >= 0).sum())
    assert other.omics.sizes != network.omics.sizes
    other.load_state_dict(network.state_dict())
    other.set_library(make_library(other.layout))
    assert torch.equal(other(some_cells(other)), network(some_cells(network)))


def test_code_dropout_1_makes_the_own_vector_of_a_drug_irrelevant() -> None:
    network = fitted(code_dropout=1.0, effects=()).train()
    cells, responses = cells_of(network, make_screen())
    before, grads = gradients(network, make_library(network.layout), responses, cells)
    assert (grads["own.weight"] == 0).all()
    torch.nn.init.normal_(network.own.weight[1:], std=9)
    assert torch.equal(network(cells), before)
    network.code_dropout = 0.0
    assert not torch.allclose(network(cells), before)


def test_code_dropout_hides_its_share_of_drugs_in_training_alone() -> None:
    network = fitted("embedding", code_dropout=0.4)
    with torch.no_grad():
        network.own.weight[:] = torch.arange(21.0)[:, None]
        drug, vector = torch.zeros(4000, 12), torch.zeros(4000, network.vector_length)
        vector[:, DRUG_CODE] = 5
        assert (network._drug(drug, vector) == network.own.weight[5] + network.drug_head(drug)).all()
        own = (network.train()._drug(drug, vector) - network.drug_head(drug))[:, 0].round()
    assert set(own.tolist()) == {0, 5} and float((own == 0).float().mean()) == pytest.approx(0.4, abs=0.03)


def test_a_fresh_network_has_no_opinion_of_its_own_of_a_drug() -> None:
    assert (DrugResponseNet({"expression": 2}).own.weight == 0).all()


@pytest.mark.parametrize("what", ["drugs", "cells", "values"])
def test_a_cohort_beyond_the_capacity_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=f"raise capacity#{what} in training and"):
        fitted(capacity=ROOM | {what: 5})


@pytest.mark.parametrize("encoder", ["gine", "gat_transformer", "gine_distance"])
def test_the_library_follows_the_weights(encoder: str) -> None:
    network = fitted(encoder)
    cells = some_cells(network)
    before = network(cells)
    assert torch.allclose(network.double()(cells.double()).float(), before, rtol=1e-5, atol=1e-5)
    moved = network.to("meta")
    assert {part.device.type for part in (moved.lead, moved.rows, *moved.packed)} == {"meta"}


def test_every_parameter_is_in_one_group_and_the_drug_tower_has_its_own() -> None:
    network = fitted()
    rest, tower = parameter_groups(network, 0.1, 0.01)
    assert (rest["lr"], tower["lr"]) == (0.1, 0.01)
    assert {id(p) for p in tower["params"]} == {id(p) for p in network.drug_tower.parameters()}
    found = [id(p) for group in (rest, tower) for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())


def test_an_unknown_fusion_and_cells_without_a_library_are_refused() -> None:
    with pytest.raises(ValueError, match="DrugResponseNet: fusion is 'sum', it must be one of"):
        DrugResponseNet({"expression": 2}, fusion="sum")
    network = DrugResponseNet({"expression": 2})
    with pytest.raises(ValueError, match="DrugResponseNet: there is no library of drugs, call set_library first"):
        network(torch.zeros(1, 3))
