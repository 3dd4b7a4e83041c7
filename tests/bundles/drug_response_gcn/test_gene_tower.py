import pytest
import torch
from scripts.gene_tower import GeneTower
from torch import Tensor
from torch_geometric import nn as pyg

K, M, OUT = 4, 6, 3


def tower() -> GeneTower:
    torch.manual_seed(0)
    return GeneTower(K, M, 8, OUT, 0.5, gene_channels=5).eval()


def cells(count: int = 4) -> Tensor:
    return torch.randn(count, K + M, generator=torch.Generator().manual_seed(1))


def graph() -> Tensor:
    weight = torch.rand(M, M, generator=torch.Generator().manual_seed(2)).triu(1)
    weight[weight < 0.5] = 0
    return weight + weight.T


def test_forward_equals_pyg_cell_by_cell() -> None:
    net = tower()
    net.set_graph(graph())
    target, source = graph().nonzero(as_tuple=True)
    rows = []
    for cell in cells():
        h = cell[K:, None] * net.gene_weight + net.gene_bias
        for layer, norm in zip(net.layers, net.norms, strict=True):
            oracle = pyg.GCNConv(5, 5)
            oracle.lin.weight.data, oracle.bias.data = layer.weight.data.T, layer.bias.data
            h = h + torch.relu(norm(oracle(h, torch.stack([source, target]), graph()[target, source])))
        rows.append(net.out(torch.cat([h.mean(0), h.max(0).values])) + net.components(cell[:K]))
    assert torch.allclose(net(cells()), torch.stack(rows), atol=1e-5)


def test_order_of_genes_does_not_matter() -> None:
    net, other = tower(), tower()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    net.set_graph(graph())
    other.set_graph(graph()[order][:, order])
    other.gene_weight.data, other.gene_bias.data = net.gene_weight[order].data, net.gene_bias[order].data
    x = cells()
    turned = torch.cat([x[:, :K], x[:, K:][:, order]], dim=1)
    assert torch.allclose(net(x), other(turned), atol=1e-5)


def test_genes_are_told_apart() -> None:
    # the fault: with weights that all genes share, mean and maximum do not know which gene is high
    net = tower()
    swapped = cells()
    swapped[:, [K, K + 1]] = swapped[:, [K + 1, K]]
    assert (net(cells()) - net(swapped)).abs().max() > 1e-3


def test_without_a_graph_a_gene_hears_itself_alone() -> None:
    net, alone = tower(), tower()
    alone.set_graph(torch.zeros(M, M))
    assert torch.equal(net.propagation, torch.eye(M))
    assert torch.equal(net(cells()), alone(cells()))
    net.set_graph(graph())
    assert (net(cells()) - alone(cells())).abs().max() > 1e-3


def test_state_dict_carries_the_graph() -> None:
    net, fresh = tower(), tower()
    net.set_graph(graph())
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(net(cells()), fresh(cells()))


@pytest.mark.parametrize(
    ("adjacency", "message"),
    [
        pytest.param(torch.zeros(5, 5), r"shape \[5, 5\], expected \[6, 6\]", id="shape"),
        pytest.param(-graph(), "symmetric with finite weights >= 0", id="negative"),
        pytest.param(graph() * torch.nan, "symmetric with finite weights >= 0", id="NaN"),
        pytest.param(graph().triu(), "symmetric with finite weights >= 0", id="directed"),
    ],
)
def test_bad_graphs_are_refused(adjacency: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tower().set_graph(adjacency)
