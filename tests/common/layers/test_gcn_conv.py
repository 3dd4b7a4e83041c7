import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GCNConv as PygGCNConv

from common.layers.gcn_conv import GCNConv, gcn_norm

from .graphs import KINDS, TOLERANCES, F, N, O, draw, edge_list, make_graph


def conv(in_channels: int = F, out_channels: int = O) -> GCNConv:
    return draw(GCNConv(in_channels, out_channels))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("out_channels", [O, F + 2], ids=["narrows", "widens"])
def test_it_equals_pyg(kind: str, dtype: torch.dtype, tolerance: float, out_channels: int) -> None:
    layer, (x, adjacency) = conv(out_channels=out_channels).to(dtype), make_graph(kind, dtype)
    twin = PygGCNConv(F, out_channels).to(dtype)
    twin.load_state_dict({"bias": layer.bias, "lin.weight": layer.weight.T})
    expected = twin(x, *edge_list(adjacency))
    assert (layer(x, adjacency) - expected).abs().max() <= tolerance
    assert (layer(x, adjacency.to_sparse_csr()) - expected).abs().max() <= tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_every_graph_of_a_dense_batch_equals_its_sparse_graph(kind: str) -> None:
    layer, pairs = conv(), [make_graph(kind) for _ in range(3)]
    x, adjacency = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    out = layer(x, adjacency)
    for b in range(3):
        assert (layer(x[b], adjacency[b].to_sparse_csr()) - out[b]).abs().max() <= 1e-12
        assert (layer(x, adjacency[b])[b] - out[b]).abs().max() <= 1e-12  # one graph shared by the batch


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_a_hand_computed_graph(layout: str) -> None:
    # 0 - 1 by weight 3, 2 alone: degrees with the loop 4, 4, 1; one row is 1/4 itself + 3/4 the neighbour
    adjacency = torch.tensor([[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    layer = GCNConv(1, 1)
    layer.load_state_dict({"weight": torch.tensor([[2.0]]), "bias": torch.tensor([0.5])})
    x = torch.tensor([[4.0], [8.0], [-1.0]])
    out = layer(x, adjacency if layout == "dense" else adjacency.to_sparse_csr())
    assert out.flatten().tolist() == [2 * (1 + 6) + 0.5, 2 * (3 + 2) + 0.5, -2 + 0.5]


def test_a_directed_graph_is_scaled_by_the_in_degree_of_both_ends_and_not_by_column_sums() -> None:
    # edge of weight 3 from 0 into 1: degrees with the loop 1 and 4
    adjacency = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    expected = torch.tensor([[1.0, 0.0], [3 / (1 * 4) ** 0.5, 1 / 4]])
    assert torch.equal(gcn_norm(adjacency), expected)
    assert torch.equal(gcn_norm(adjacency.to_sparse_csr()).to_dense(), expected)
    assert not torch.allclose(gcn_norm(adjacency.T).T, expected)  # the column sums would give 4 and 1


def test_an_existing_self_loop_keeps_its_weight_and_a_stored_zero_is_none() -> None:
    adjacency = torch.tensor([[0.5, 0.0], [0.0, 0.0]])
    stored = torch.sparse_csr_tensor([0, 1, 2], [0, 1], torch.tensor([0.5, 0.0]), (2, 2))
    assert torch.allclose(gcn_norm(adjacency), torch.eye(2))
    assert torch.allclose(gcn_norm(stored).to_dense(), torch.eye(2))
    assert float(gcn_norm(adjacency + 1 - torch.eye(2))[0, 0]) == pytest.approx(0.5 / 1.5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_norm_is_the_same_in_both_layouts_and_done_once_if_wished(kind: str) -> None:
    layer, (x, adjacency) = conv(), make_graph(kind)
    sparse = gcn_norm(adjacency.to_sparse_csr())
    assert sparse.layout == torch.sparse_csr
    assert (sparse.to_dense() - gcn_norm(adjacency)).abs().max() <= 1e-14
    assert torch.equal(layer(x, gcn_norm(adjacency), normalize=False), layer(x, adjacency))
    assert torch.equal(layer(x, sparse, normalize=False), layer(x, adjacency.to_sparse_csr()))


@pytest.mark.parametrize("out_channels", [O, F + 2], ids=["narrows", "widens"])
def test_both_orders_of_the_product_are_equal(out_channels: int) -> None:
    layer, (x, adjacency) = conv(out_channels=out_channels), make_graph("directed")
    norm = gcn_norm(adjacency)
    assert torch.allclose((norm @ x) @ layer.weight, norm @ (x @ layer.weight), rtol=0, atol=1e-12)
    assert torch.allclose(layer(x, adjacency), norm @ x @ layer.weight + layer.bias, rtol=0, atol=1e-12)


def test_it_is_low_pass_and_the_laplacian_in_its_place_would_be_high_pass() -> None:
    # the tutorial names L = I - A^ as the aggregation; A^ shrinks a sign that alternates on a ring, L enlarges it
    ring = torch.eye(8).roll(1, 0) + torch.eye(8).roll(-1, 0)
    x = torch.tensor([1.0, -1.0] * 4)
    norm = gcn_norm(ring)
    assert torch.allclose(norm @ x, -x / 3)
    assert torch.allclose(x - norm @ x, 4 * x / 3)
    assert torch.allclose(norm @ torch.ones(8), torch.ones(8))


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_permuting_the_nodes_permutes_the_output(layout: str) -> None:
    layer, (x, adjacency) = conv(), make_graph("directed")
    order = torch.randperm(N)
    permuted = adjacency[order][:, order]
    out = layer(x[order], permuted if layout == "dense" else permuted.to_sparse_csr())
    assert torch.allclose(out, layer(x, adjacency)[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_an_isolated_node_keeps_its_own_features_with_finite_gradients(layout: str) -> None:
    layer, (x, adjacency) = conv(), make_graph("isolated")
    out = layer(x.requires_grad_(), adjacency if layout == "dense" else adjacency.to_sparse_csr())
    assert torch.allclose(out[0], x[0] @ layer.weight + layer.bias)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all() and layer.weight.grad.isfinite().all()


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_a_node_that_only_receives_changes_no_bit_of_the_others(layout: str) -> None:
    layer, (x, adjacency) = conv(), make_graph("attached")
    other_x, other = x.clone(), adjacency.clone()
    other_x[0], other[0, 1:] = 100.0, torch.rand(N - 1, dtype=x.dtype)
    if layout == "sparse":
        adjacency, other = adjacency.to_sparse_csr(), other.to_sparse_csr()
    before, after = layer(x, adjacency), layer(other_x, other)
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


def test_a_graph_without_nodes_gives_no_rows() -> None:
    assert conv()(torch.zeros(0, F).double(), torch.zeros(0, 0).double()).shape == (0, O)


@pytest.mark.parametrize("out_channels", [2, 4], ids=["narrows", "widens"])
@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_gradients_of_input_and_weights(layout: str, out_channels: int) -> None:
    layer, (x, adjacency) = conv(3, out_channels), make_graph("attached")
    edges = adjacency if layout == "dense" else adjacency.to_sparse_csr()

    def output(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x, edges))

    assert torch.autograd.gradcheck(output, (x[:, :3].clone().requires_grad_(), layer.weight, layer.bias))


def test_gradients_of_the_weights_of_dense_edges() -> None:
    layer, (x, adjacency) = conv(), make_graph("complete")
    present = (adjacency > 0).detach()  # finite differences must not put a weight where a self loop is added
    assert torch.autograd.gradcheck(lambda edges: layer(x, edges * present), adjacency.requires_grad_())


def test_it_scripts_and_exports() -> None:
    layer, (x, adjacency) = conv(), make_graph("directed")
    assert torch.equal(torch.jit.script(layer)(x, adjacency), layer(x, adjacency))
    program = torch.export.export(layer, (x, adjacency)).module()
    assert torch.equal(program(x, adjacency), layer(x, adjacency))


def test_weights_start_as_those_of_pyg() -> None:
    layer, bound = GCNConv(60, 40), (6 / 100) ** 0.5
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert torch.equal(layer.bias, torch.zeros(40))
    assert GCNConv(4, 2, bias=False).bias is None
    assert repr(GCNConv(4, 2)) == "GCNConv(4, 2, bias=True)"


REFUSED = [
    pytest.param((4, 3), (4, 4), r"x has shape \[4, 3\], the last axis must hold 5 features", id="features"),
    pytest.param((4, F), (4, 5), r"adjacency has shape \[4, 5\] for x of shape \[4, 5\], expected", id="nodes"),
    pytest.param((2, 4, F), (3, 4, 4), r".*expected \(N, N\) for \(N, F\), or dense \(B, N, N\)", id="batch"),
    pytest.param((4, F), (2, 4, 4), r"adjacency has shape \[2, 4, 4\] for x of shape \[4, 5\]", id="one x"),
]


@pytest.mark.parametrize(("x_shape", "shape", "message"), REFUSED)
def test_bad_shapes_are_refused(x_shape: tuple, shape: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=f"GCNConv: {message}"):
        GCNConv(F, O)(torch.ones(x_shape), torch.ones(shape))


def test_other_layouts_and_batches_of_sparse_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"GCNConv: adjacency is neither dense nor sparse CSR, .* to_sparse_csr\(\)"):
        GCNConv(F, O)(torch.ones(4, F), torch.eye(4).to_sparse_coo())
    with pytest.raises(ValueError, match=r"GCNConv: adjacency has shape \[4, 4\] for x of shape \[2, 4, 5\]"):
        GCNConv(F, O)(torch.ones(2, 4, F), torch.eye(4).to_sparse_csr())
