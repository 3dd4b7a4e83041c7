import math

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GATConv as PygGATConv

from common.layers.gat_conv import GATConv

from .graphs import KINDS, TOLERANCES, F, N, O, draw, edge_list, make_graph

HEADS = [pytest.param(1, True, id="one head"), pytest.param(4, True, id="joined"), pytest.param(4, False, id="mean")]
LAYOUTS = ["dense", "sparse"]


def conv(**settings: object) -> GATConv:
    return draw(GATConv(F, O, **settings))


def lay(adjacency: Tensor, layout: str) -> Tensor:
    return adjacency if layout == "dense" else adjacency.to_sparse_csr()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize(("heads", "concat"), HEADS)
def test_it_equals_pyg(kind: str, dtype: torch.dtype, tolerance: float, heads: int, concat: bool) -> None:
    layer = GATConv(F, O, heads, concat, negative_slope=0.1).to(dtype)
    torch.nn.init.normal_(layer.bias)
    x, adjacency = make_graph(kind, dtype)
    twin = PygGATConv(F, O, heads, concat, negative_slope=0.1).to(dtype)
    own = {"lin.weight": layer.weight.T, "att_src": layer.source[None], "att_dst": layer.target[None]}
    twin.load_state_dict(own | {"bias": layer.bias})
    expected = twin(x, edge_list(adjacency)[0])
    assert (layer(x, adjacency) - expected).abs().max() <= tolerance
    assert (layer(x, adjacency.to_sparse_csr()) - expected).abs().max() <= tolerance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("heads", "concat"), HEADS)
def test_every_graph_of_a_dense_batch_equals_its_sparse_graph(kind: str, heads: int, concat: bool) -> None:
    layer, pairs = conv(heads=heads, concat=concat), [make_graph(kind) for _ in range(3)]
    x, adjacency = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    out = layer(x, adjacency)
    for b in range(3):
        assert (layer(x[b], adjacency[b].to_sparse_csr()) - out[b]).abs().max() <= 1e-12
        assert (layer(x, adjacency[b])[b] - out[b]).abs().max() <= 1e-12  # one graph shared by the batch


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_hand_computed_graph(layout: str) -> None:
    # 0 hears 1; logits of node 0: leaky(-2 + 1) = -0.2 for itself, leaky(-2 + 3) = 1 for node 1; 1 and 2 hear nobody
    layer = GATConv(1, 1, bias=False).double()
    one = torch.tensor([[1.0]])
    layer.load_state_dict({"weight": one, "source": one, "target": -2 * one})
    x = torch.tensor([[1.0], [3.0], [7.0]], dtype=torch.float64)
    adjacency = torch.zeros(3, 3, dtype=torch.float64)
    adjacency[0, 1] = 0.01
    share = math.exp(1) / (math.exp(1) + math.exp(-0.2))
    assert layer(x, lay(adjacency, layout)).flatten().tolist() == pytest.approx([1 + 2 * share, 3, 7])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_of_edges_and_own_self_loops_do_not_matter_and_a_stored_zero_is_no_edge(layout: str) -> None:
    layer, (x, adjacency) = conv(heads=2), make_graph("directed")
    expected = layer(x, lay(adjacency, layout))
    assert torch.equal(layer(x, lay(7 * adjacency, layout)), expected)
    assert torch.allclose(layer(x, lay(adjacency + torch.eye(N), layout)), expected, rtol=0, atol=1e-12)
    stored = torch.ones(N, N, dtype=x.dtype).to_sparse_csr()
    stored.values().copy_(adjacency.flatten())
    assert torch.allclose(layer(x, stored), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_equal_attention_is_the_mean_over_the_neighbours_and_itself(layout: str) -> None:
    layer, (x, adjacency) = conv(bias=False), make_graph("directed")
    torch.nn.init.zeros_(layer.source)
    edges = ((adjacency != 0) | torch.eye(N, dtype=torch.bool)).double()
    mean = edges @ (x @ layer.weight) / edges.sum(1, keepdim=True)
    assert torch.allclose(layer(x, lay(adjacency, layout)), mean)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_permuting_the_nodes_permutes_the_output(layout: str) -> None:
    layer, (x, adjacency) = conv(heads=2), make_graph("directed")
    order = torch.randperm(N)
    out = layer(x[order], lay(adjacency[order][:, order], layout))
    assert torch.allclose(out, layer(x, adjacency)[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_isolated_node_keeps_its_own_features_with_finite_gradients(layout: str) -> None:
    layer, (x, adjacency) = conv(), make_graph("isolated")
    out = layer(x.requires_grad_(), lay(adjacency, layout))
    assert torch.allclose(out[0], x[0] @ layer.weight + layer.bias)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all() and layer.source.grad.isfinite().all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_logits_stay_finite(layout: str) -> None:
    layer, (x, adjacency) = conv(), make_graph("complete")
    assert layer(1e6 * x, lay(adjacency, layout)).isfinite().all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_node_that_only_receives_changes_no_bit_of_the_others(layout: str) -> None:
    layer, (x, adjacency) = conv(heads=2), make_graph("attached")
    other_x, other = x.clone(), adjacency.clone()
    other_x[0], other[0, 1:4] = 2.0, 0.0
    before, after = layer(x, lay(adjacency, layout)), layer(other_x, lay(other, layout))
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dropout_acts_on_the_attention_in_training_only_and_keeps_the_mean(layout: str) -> None:
    layer, (x, adjacency) = conv(dropout=0.5), make_graph("complete")
    adjacency = lay(adjacency, layout)
    drawn = torch.stack([layer(x, adjacency) for _ in range(400)])
    layer.eval()
    assert torch.equal(layer(x, adjacency), layer(x, adjacency))
    assert not torch.equal(drawn[0], drawn[1])
    error = drawn.std(0) / len(drawn) ** 0.5
    assert ((drawn.mean(0) - layer(x, adjacency)).abs() <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("heads", "concat"), HEADS)
def test_gradients_of_input_and_weights(layout: str, heads: int, concat: bool) -> None:
    layer, (x, adjacency) = draw(GATConv(2, 2, heads, concat)), make_graph("attached")
    names, edges = [name for name, _ in layer.named_parameters()], lay(adjacency, layout)

    def output(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, edges))

    assert torch.autograd.gradcheck(output, (x[:, :2].clone().requires_grad_(), *layer.parameters()))


@pytest.mark.parametrize(("heads", "concat"), HEADS)
def test_it_scripts_and_exports(heads: int, concat: bool) -> None:
    layer, (x, adjacency) = conv(heads=heads, concat=concat), make_graph("directed")
    assert torch.equal(torch.jit.script(layer)(x, adjacency), layer(x, adjacency))
    assert torch.equal(torch.export.export(layer, (x, adjacency)).module()(x, adjacency), layer(x, adjacency))


def test_weights_start_as_those_of_pyg() -> None:
    layer = GATConv(60, 10, heads=4)
    for weight, bound in ((layer.weight, (6 / 100) ** 0.5), (layer.source, (6 / 14) ** 0.5)):
        assert 0.8 * bound < weight.abs().max() <= bound
    assert torch.equal(layer.bias, torch.zeros(40))
    assert GATConv(4, 2, heads=3, concat=False).bias.shape == (2,)
    assert repr(GATConv(4, 2)) == "GATConv(4, 2, heads=1, concat=True, negative_slope=0.2, dropout=0.0)"


def test_bad_input_is_refused() -> None:
    for dropout in (-0.1, 1.0):
        with pytest.raises(
            ValueError, match=rf"GATConv: dropout is {dropout}, it must be in \[0, 1\), 0 drops nothing"
        ):
            GATConv(F, O, dropout=dropout)
    with pytest.raises(ValueError, match=r"GATConv: x has shape \[4, 3\], the last axis must hold 5 features"):
        GATConv(F, O)(torch.ones(4, 3), torch.eye(4))
    with pytest.raises(ValueError, match=r"GATConv: adjacency has shape \[5, 5\] for x of shape \[4, 5\]"):
        GATConv(F, O)(torch.ones(4, F), torch.eye(5))
