import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import DenseGINConv
from torch_geometric.nn import GINConv as PygGINConv

from common.layers.gin_conv import GINConv

from .graphs import KINDS, TOLERANCES, F, N, O, draw, edge_list, make_graph


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(F, 8), nn.Tanh(), nn.Linear(8, O)).double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("train_eps", [True, False])
def test_it_equals_pyg_on_edges_of_weight_1(kind: str, dtype: torch.dtype, tolerance: float, train_eps: bool) -> None:
    layer = GINConv(network(), eps=0.3, train_eps=train_eps).to(dtype)
    twin = PygGINConv(layer.network, eps=0.3, train_eps=train_eps).to(dtype)
    x, adjacency = make_graph(kind, dtype)
    edges, (index, _) = (adjacency != 0).to(dtype), edge_list(adjacency)
    assert (layer(x, edges) - twin(x, index)).abs().max() <= tolerance
    assert (layer(x, edges.to_sparse_csr()) - twin(x, index)).abs().max() <= tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_dense_pyg_on_weighted_edges(kind: str) -> None:
    layer, (x, adjacency) = GINConv(network(), eps=0.3), make_graph(kind)
    twin = DenseGINConv(layer.network, eps=0.3)  # draws the shared network anew
    assert (layer(x, adjacency) - twin(x, adjacency)[0]).abs().max() <= 1e-10
    expected = layer.network(
        torch.stack([(1 + layer.eps) * x[i] + (adjacency[i, :, None] * x).sum(0) for i in range(N)])
    )
    assert (layer(x, adjacency) - expected).abs().max() <= 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_every_graph_of_a_dense_batch_equals_its_sparse_graph(kind: str) -> None:
    layer, pairs = GINConv(network()), [make_graph(kind) for _ in range(3)]
    x, adjacency = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    out = layer(x, adjacency)
    for b in range(3):
        assert (layer(x[b], adjacency[b].to_sparse_csr()) - out[b]).abs().max() <= 1e-12
        assert (layer(x, adjacency[b])[b] - out[b]).abs().max() <= 1e-12  # one graph shared by the batch


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_a_hand_computed_graph(layout: str) -> None:
    adjacency = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # 0 hears 1
    layer = GINConv(nn.Identity(), eps=1.0)
    out = layer(torch.tensor([[4.0], [8.0], [-1.0]]), adjacency if layout == "dense" else adjacency.to_sparse_csr())
    assert out.flatten().tolist() == [2 * 4 + 3 * 8, 2 * 8, 2 * -1]


def test_the_sum_tells_one_neighbour_from_two_equal_ones() -> None:
    layer, x = GINConv(nn.Identity()), torch.ones(3, 1)
    adjacency = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert layer(x, adjacency).flatten().tolist() == [3, 2, 2]  # mean and maximum would give 2, 2, 2


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_permuting_the_nodes_permutes_the_output(layout: str) -> None:
    layer, (x, adjacency) = GINConv(network()), make_graph("directed")
    order = torch.randperm(N)
    permuted = adjacency[order][:, order]
    out = layer(x[order], permuted if layout == "dense" else permuted.to_sparse_csr())
    assert torch.allclose(out, layer(x, adjacency)[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_an_isolated_node_sees_itself_and_one_that_only_receives_changes_no_bit_of_the_others(layout: str) -> None:
    layer, (x, adjacency) = GINConv(network(), eps=0.5), make_graph("attached")
    alone = adjacency.clone()
    alone[0] = 0
    if layout == "sparse":
        adjacency, alone = adjacency.to_sparse_csr(), alone.to_sparse_csr()
    before, after = layer(x, alone), layer(x, adjacency)
    assert torch.allclose(before[0], layer.network(1.5 * x[0]))
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_gradients_of_input_eps_and_weights(layout: str) -> None:
    layer, (x, adjacency) = draw(GINConv(network(), train_eps=True)), make_graph("attached")
    names = [name for name, _ in layer.named_parameters()]
    edges = adjacency if layout == "dense" else adjacency.to_sparse_csr()

    def output(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, edges))

    assert torch.autograd.gradcheck(output, (x.requires_grad_(), *layer.parameters()))


def test_eps_is_learnt_only_on_demand_and_always_saved() -> None:
    fixed, learnt = GINConv(nn.Linear(F, O), eps=0.2), GINConv(nn.Linear(F, O), eps=0.2, train_eps=True)
    assert "eps" not in dict(fixed.named_parameters()) and "eps" in dict(learnt.named_parameters())
    assert fixed.state_dict().keys() == learnt.state_dict().keys()
    assert "eps=0.2, train_eps=True" in repr(learnt)


@pytest.mark.parametrize("train_eps", [True, False])
def test_it_scripts_and_exports(train_eps: bool) -> None:
    layer, (x, adjacency) = GINConv(network(), train_eps=train_eps), make_graph("directed")
    assert torch.equal(torch.jit.script(layer)(x, adjacency), layer(x, adjacency))
    assert torch.equal(torch.export.export(layer, (x, adjacency)).module()(x, adjacency), layer(x, adjacency))


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"GINConv: adjacency has shape \[5, 5\] for x of shape \[4, 5\], expected"):
        GINConv(nn.Identity())(torch.ones(4, F), torch.eye(5))
