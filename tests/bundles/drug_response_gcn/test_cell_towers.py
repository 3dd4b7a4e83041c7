from typing import Any

import pytest
import torch
from scripts.attention_tower import OmicsAttention
from scripts.cell_towers import CELL_ENCODERS, build_cell_tower
from scripts.gene_tower import GeneTower
from scripts.omics_mlp import OmicsMLP
from torch import Tensor, nn

PARTS, OUT = [6, 4, 5], 3


def tower(encoder: str, parts: list[int] = PARTS, dropout: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    return build_cell_tower(encoder, parts, 8, OUT, dropout, num_genes=parts[-1]).eval()


def cells(count: int = 7) -> Tensor:
    return torch.randn(count, sum(PARTS), generator=torch.Generator().manual_seed(1))


every_encoder = pytest.mark.parametrize("encoder", CELL_ENCODERS)


@pytest.mark.parametrize(
    ("encoder", "kind"),
    [
        pytest.param("mlp", OmicsMLP, id="mlp"),
        pytest.param("attention", OmicsAttention, id="attention"),
        pytest.param("gene_graph", GeneTower, id="gene_graph"),
    ],
)
def test_name_stands_for_tower(encoder: str, kind: type) -> None:
    net = tower(encoder)
    assert isinstance(net, kind)
    assert net(cells()).shape == (7, OUT)


@every_encoder
def test_a_cell_does_not_depend_on_others_in_the_batch(encoder: str) -> None:
    net = tower(encoder)
    alone = torch.cat([net(row[None]) for row in cells()])
    assert torch.allclose(alone, net(cells()), atol=1e-5)


@every_encoder
def test_scripted_and_exported_twins_agree(encoder: str) -> None:
    net = tower(encoder)
    expected = net(cells())
    assert torch.allclose(torch.jit.script(net)(cells()), expected, atol=1e-6)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(net, (cells(2),), dynamic_shapes=({0: batch},))
    assert torch.allclose(exported.module()(cells()), expected, atol=1e-6)


@every_encoder
def test_every_weight_and_every_feature_has_a_gradient(encoder: str) -> None:
    net = tower(encoder)
    features = cells().requires_grad_()
    net(features).square().sum().backward()
    assert features.grad is not None and (features.grad.abs().sum(0) > 0).all()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@every_encoder
def test_mean_cell_is_finite_and_dropout_acts_in_training_alone(encoder: str) -> None:
    net = tower(encoder)
    assert net(torch.zeros(1, sum(PARTS))).isfinite().all()
    assert torch.equal(net(cells()), net(cells()))
    net.train()
    assert not torch.equal(net(cells()), net(cells()))
    still = tower(encoder, dropout=0.0)
    assert torch.allclose(still.train()(cells()), still.eval()(cells()), atol=1e-6)


@every_encoder
def test_linear_dependence_is_learnt(encoder: str) -> None:
    net = tower(encoder, dropout=0.0).train()
    features = torch.randn(64, sum(PARTS), generator=torch.Generator().manual_seed(2))
    target = features[:, :OUT] - features[:, 3 : 3 + OUT]
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        loss = (net(features) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * target.square().mean()


def test_mlp_equals_its_formula() -> None:
    net: Any = tower("mlp")
    x = cells()
    first, second = net.network[1], net.network[4]
    hidden = torch.relu(x @ first.weight.T + first.bias)
    expected = hidden @ second.weight.T + second.bias + x @ net.skip.weight.T
    assert torch.allclose(net(x), expected, atol=1e-5)
    assert net.skip.bias is None
    assert net.network[0].p == pytest.approx(0.2) and net.network[3].p == 0.5


def test_genes_are_ordinary_features_without_a_graph_of_them() -> None:
    assert build_cell_tower("mlp", PARTS, 8, OUT, 0.5, 5).network[1].in_features == 15
    assert [layer.in_features for layer in build_cell_tower("attention", PARTS, 8, OUT, 0.5, 5).tokens] == PARTS


@pytest.mark.parametrize(
    ("encoder", "num_genes", "message"),
    [
        pytest.param("cnn", 0, "encoder is 'cnn', choose one of mlp, attention, gene_graph", id="unknown"),
        pytest.param("gene_graph", 4, r"num_genes is 4 and the last of the parts \[6, 4, 5\] holds 5", id="other part"),
        pytest.param("gene_graph", 0, "num_genes is 0, a graph of genes needs 1 or more", id="no genes"),
    ],
)
def test_bad_settings_are_refused(encoder: str, num_genes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_cell_tower(encoder, PARTS, 8, OUT, 0.5, num_genes)
