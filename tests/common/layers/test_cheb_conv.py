import io

import pytest
import torch
import torch_geometric.nn
from torch import Tensor
from torch_geometric.utils import dense_to_sparse

from common.layers.cheb_conv import ChebConv, scaled_laplacian
from common.layers.laplacian import laplacian, rayleigh_quotient

from .graphs import draw, graphs

WIDTHS = [pytest.param(5, 3, id="narrowing"), pytest.param(3, 5, id="widening"), pytest.param(4, 4, id="equal")]


def connected(features: int, nodes: int = 9) -> tuple[Tensor, Tensor]:
    x, adjacency = graphs(3, nodes, features)
    ring = torch.diag(torch.rand(nodes - 1, dtype=torch.float64) + 0.1, 1)
    return x, torch.maximum(adjacency, ring + ring.T)


def pyg_twin(layer: ChebConv) -> torch_geometric.nn.ChebConv:
    twin = torch_geometric.nn.ChebConv(layer.in_channels, layer.out_channels, layer.degree + 1)
    with torch.no_grad():
        for kernel, linear in zip(layer.weight, twin.lins, strict=True):
            linear.weight.copy_(kernel.T)
        twin.bias.copy_(layer.bias)
    return twin


@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_equals_pyg_with_its_weights(
    inputs: int, outputs: int, degree: int, dtype: torch.dtype, tolerance: float
) -> None:
    layer, (x, adjacency) = ChebConv(inputs, outputs, degree), connected(inputs)
    torch.nn.init.normal_(layer.bias)
    twin, layer = pyg_twin(layer).to(dtype), layer.to(dtype)
    x, adjacency = x.to(dtype), adjacency.to(dtype)
    out = layer(x, adjacency)
    for b in range(len(x)):
        index, weight = dense_to_sparse(adjacency[b])
        assert (out[b] - twin(x[b], index, weight)).abs().max() <= tolerance


@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("degree", [0, 1, 2, 5])
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_equation_4_equals_a_sum_over_matrix_polynomials_dense_and_sparse(
    inputs: int, outputs: int, degree: int, density: float
) -> None:
    layer, (x, adjacency) = draw(ChebConv(inputs, outputs, degree)), graphs(features=inputs, density=density)
    out = layer(x, adjacency)
    for b in range(len(x)):
        one = torch.eye(7, dtype=torch.float64)
        scaled = laplacian(adjacency[b]) - one
        terms = [one, scaled]
        while len(terms) <= degree:
            terms.append(2 * scaled @ terms[-1] - terms[-2])
        expected = sum(terms[k] @ x[b] @ layer.weight[k] for k in range(degree + 1)) + layer.bias
        assert (out[b] - expected).abs().max() <= 1e-10
        assert (layer(x[b], adjacency[b]) - expected).abs().max() <= 1e-10
        assert (layer(x[b], adjacency[b].to_sparse_csr()) - expected).abs().max() <= 1e-10


def test_a_hand_computed_pair_and_an_isolated_node() -> None:
    # L^ swaps the pair with a minus sign and turns the isolated node to its negative; T_2 is the identity here
    layer = ChebConv(1, 1, 2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 10.0, 100.0])[:, None, None])
        layer.bias.fill_(0.5)
    adjacency = torch.zeros(3, 3, dtype=torch.float64)
    adjacency[0, 1] = adjacency[1, 0] = 7.0
    x = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    expected = [1 - 20 + 100 + 0.5, 2 - 10 + 200 + 0.5, 3 - 30 + 300 + 0.5]
    for form in (adjacency, adjacency.to_sparse_csr()):
        assert layer(x, form).flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_the_scaled_laplacian_is_the_symmetric_one_less_the_identity_in_both_layouts() -> None:
    _, adjacency = graphs(density=0.2)
    adjacency[0, 2] = adjacency[0, :, 2] = 0
    scaled, one = scaled_laplacian(adjacency), torch.eye(7, dtype=torch.float64)
    assert (scaled - (laplacian(adjacency) - one)).abs().max() <= 1e-15
    assert torch.linalg.eigvalsh(scaled).abs().max() <= 1 + 1e-12
    assert scaled[0, 2, 2] == -1
    sparse = scaled_laplacian(adjacency[0].to_sparse_csr())
    assert sparse.layout == torch.sparse_csr and (sparse.to_dense() - scaled[0]).abs().max() <= 1e-15
    isolated = (adjacency[0].sum(1) == 0).sum()
    assert sparse.values().numel() == (adjacency[0] != 0).sum() + isolated


@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
def test_a_laplacian_computed_once_gives_the_same(inputs: int, outputs: int) -> None:
    layer, (x, adjacency) = draw(ChebConv(inputs, outputs, 3)), graphs(features=inputs)
    assert torch.equal(layer(x, scaled_laplacian(adjacency), normalize=False), layer(x, adjacency))
    sparse = adjacency[0].to_sparse_csr()
    assert torch.equal(layer(x[0], scaled_laplacian(sparse), normalize=False), layer(x[0], sparse))


def test_degree_0_is_a_linear_layer_and_degree_k_hears_k_edges_far() -> None:
    layer, (x, adjacency) = draw(ChebConv(5, 3, 0)), graphs()
    assert torch.allclose(layer(x, adjacency), x @ layer.weight[0] + layer.bias)
    path = torch.diag(torch.ones(6, dtype=torch.float64), 1)
    path = path + path.T
    for degree in (1, 2, 4):
        layer, x = draw(ChebConv(1, 1, degree, bias=False)), torch.zeros(7, 1, dtype=torch.float64)
        x[0] = 1
        reached = layer(x, path).flatten() != 0
        assert reached.tolist() == [k <= degree for k in range(7)]


def test_permuting_nodes_permutes_the_result_and_leaves_a_readout() -> None:
    layer, (x, adjacency) = draw(ChebConv(5, 3, 3)), graphs()
    order = torch.randperm(7)
    out, permuted = layer(x, adjacency), layer(x[:, order], adjacency[:, order][:, :, order])
    assert torch.allclose(permuted, out[:, order], atol=1e-10)
    assert torch.allclose(permuted.amax(1), out.amax(1), atol=1e-10)
    assert not torch.allclose(permuted, out, atol=1e-3)


def test_the_scale_of_the_edges_and_self_loops_do_not_matter() -> None:
    layer, (x, adjacency) = draw(ChebConv(5, 3, 3)), graphs()
    assert torch.allclose(layer(x, 1000 * adjacency), layer(x, adjacency))
    assert torch.allclose(layer(x, adjacency + torch.eye(7, dtype=torch.float64)), layer(x, adjacency))


def test_the_sign_of_the_first_term_makes_a_low_or_a_high_pass() -> None:
    # x - L^ x = (2 I - L_sym) x mixes neighbours; x + L^ x = L_sym x sharpens: as an aggregation it has the wrong sign
    x, adjacency = connected(4, nodes=25)
    layer = ChebConv(4, 4, 1, bias=False).double()
    for sign, rises in ((-1.0, False), (1.0, True)):
        with torch.no_grad():
            layer.weight.copy_(torch.stack([torch.eye(4), sign * torch.eye(4)]))
        out = layer(x, adjacency)
        assert ((rayleigh_quotient(out, adjacency) > rayleigh_quotient(x, adjacency)) == rises).all()
    assert torch.allclose(out, laplacian(adjacency) @ x, atol=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
def test_a_node_that_only_receives_changes_no_other_output_bit_for_bit(inputs: int, outputs: int) -> None:
    layer, (x, adjacency) = draw(ChebConv(inputs, outputs, 3)), graphs(1, 9, inputs)
    x, adjacency = x[0], adjacency[0]
    adjacency[8], adjacency[:, 8] = 0, 0  # node 8 stands alone
    alone = layer(x, adjacency)
    sparse = layer(x, adjacency.to_sparse_csr())
    heard, new = adjacency.clone(), x.clone()
    heard[8, :5] = torch.rand(5, dtype=torch.float64)  # row 8: edges INTO node 8
    new[8] = 100
    for form, before in ((heard, alone), (heard.to_sparse_csr(), sparse)):
        out = layer(new, form)
        assert torch.equal(out[:8], before[:8])
        assert not torch.allclose(out[8], before[8])
    assert torch.allclose(layer(x[:8], adjacency[:8, :8]), alone[:8], atol=1e-12)


def test_a_directed_graph_is_normalised_by_what_a_node_hears() -> None:
    adjacency = torch.tensor([[0.0, 4.0, 0.0], [4.0, 0.0, 0.0], [9.0, 0.0, 0.0]], dtype=torch.float64)
    expected = [[0, -1, 0], [-1, 0, 0], [-9 / (9 * 4) ** 0.5, 0, 0]]
    assert torch.allclose(scaled_laplacian(adjacency), torch.tensor(expected, dtype=torch.float64))
    assert torch.allclose(scaled_laplacian(adjacency.to_sparse_csr()).to_dense(), scaled_laplacian(adjacency))
    deaf = torch.tensor([[0.0, 4.0], [0.0, 0.0]], dtype=torch.float64)  # node 1 hears nobody, so it sends nothing
    for form in (scaled_laplacian(deaf), scaled_laplacian(deaf.to_sparse_csr()).to_dense()):
        assert form.tolist() == [[0, 0], [0, -1]]


@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
def test_gradients_in_both_layouts(inputs: int, outputs: int) -> None:
    layer, (x, adjacency) = draw(ChebConv(inputs, outputs, 3)), graphs(2, 5, inputs)
    sparse = adjacency[0].to_sparse_csr()

    def call(x: Tensor, weight: Tensor, bias: Tensor, graph: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x, graph))

    parameters = (layer.weight, layer.bias)
    assert torch.autograd.gradcheck(call, (x.requires_grad_(), *parameters, adjacency))
    alone = x[0].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda *values: call(*values, sparse), (alone, *parameters))


def test_an_empty_graph_and_isolated_nodes_give_finite_values_and_gradients_also_of_the_edges() -> None:
    layer, (x, adjacency) = draw(ChebConv(5, 3, 3)), graphs(density=0.1)
    adjacency[0] = 0
    layer(x.requires_grad_(), adjacency.requires_grad_()).sum().backward()
    assert x.grad.isfinite().all() and adjacency.grad.isfinite().all() and layer.weight.grad.isfinite().all()
    nothing = torch.zeros(0, 0, dtype=torch.float64)
    assert layer(torch.zeros(0, 5, dtype=torch.float64), nothing).shape == (0, 3)
    assert layer(torch.zeros(0, 5, dtype=torch.float64), nothing.to_sparse_csr()).shape == (0, 3)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_scripted_and_exported_layers_give_the_same(inputs: int, outputs: int, degree: int) -> None:
    layer, (x, adjacency) = draw(ChebConv(inputs, outputs, degree)).eval(), graphs(features=inputs)
    expected = layer(x, adjacency)
    stored = io.BytesIO()
    torch.jit.save(torch.jit.script(layer), stored)
    stored.seek(0)
    scripted = torch.jit.load(stored)
    assert torch.allclose(scripted(x, adjacency), expected, atol=1e-12)
    assert torch.allclose(scripted(x, scaled_laplacian(adjacency), False), expected, atol=1e-12)
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(layer, (x, adjacency), dynamic_shapes=(batch, batch)).module()
    assert torch.allclose(exported(x[:2], adjacency[:2]), expected[:2], atol=1e-12)


def test_the_weights_start_by_glorot_and_the_bias_at_0() -> None:
    layer = ChebConv(200, 100, 2)
    bound = (6 / 300) ** 0.5
    assert layer.weight.abs().max() <= bound
    assert layer.weight.std(dim=(1, 2)).tolist() == pytest.approx([bound / 3**0.5] * 3, rel=0.02)
    assert torch.equal(layer.bias, torch.zeros(100))
    assert ChebConv(2, 3, 1, bias=False).bias is None
    assert repr(ChebConv(2, 3, 1)) == "ChebConv(2, 3, degree=1, bias=True)"


def test_a_negative_degree_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="ChebConv: degree is -1, it must be >= 0; 0 is a linear layer"):
        ChebConv(2, 3, -1)
    layer = ChebConv(2, 3, 1)
    for x, adjacency in ((torch.ones(4, 3), torch.ones(4, 4)), (torch.ones(5, 2), torch.ones(4, 4))):
        with pytest.raises(ValueError, match=r"ChebConv: x has shape \[.*\] and adjacency \[4, 4\], expected .*N, 2\)"):
            layer(x, adjacency)
