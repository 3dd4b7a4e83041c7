import math

import pytest
import torch
from torch import Tensor

from common.layers import RaGConv, gather_edges, gather_regions
from tests.bundles.brain_fmri_braingnn import naive_braingnn as naive

from .graphs import draw, graphs, remove

N, F, O, K = 7, 5, 3, 4  # noqa: E741


def conv(**settings: object) -> RaGConv:
    return draw(RaGConv(F, O, N, K, **settings))


def naive_twin(layer: RaGConv, x: Tensor, adjacency: Tensor) -> Tensor:
    state = {f"conv.{name}": value for name, value in layer.state_dict().items()}
    rows = [torch.stack(naive.convolve([*x[b]], [*range(N)], adjacency[b], state, "conv")) for b in range(len(x))]
    return torch.stack(rows)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.4, 1.0])
def test_equation_1_equals_a_loop_over_regions_and_edges(density: float) -> None:
    layer, (x, adjacency) = conv(), graphs(density=density)
    assert (layer(x, adjacency) - naive_twin(layer, x, adjacency)).abs().max() <= 1e-10


def test_equation_1_with_missing_regions_and_edges_of_one_direction() -> None:
    layer, (x, adjacency) = conv(), graphs()
    adjacency = adjacency.tril()  # row i holds the edges INTO i
    remove(x, adjacency, 0, 2)
    out = layer(x, adjacency)
    assert (out - naive_twin(layer, x, adjacency)).abs().max() <= 1e-10
    assert torch.equal(out[0, 2], torch.zeros(O, dtype=torch.float64))


def test_a_hand_computed_graph() -> None:
    # kernels are the numbers relu(1) * 2 + 1 = 3 and relu(-1) * 2 + 1 = 1; region 2 stands alone
    layer = RaGConv(1, 1, 3, 1).double()
    layer.load_state_dict(
        {
            "alpha": torch.tensor([[1.0], [-1.0], [0.5]]),
            "basis": torch.tensor([[[2.0]]]),
            "kernel_bias": torch.tensor([[1.0]]),
        }
    )
    adjacency = torch.tensor([[[0.0, 0.2, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
    x = torch.tensor([[[1.0], [10.0], [-1.0]]], dtype=torch.float64)
    assert layer(x, adjacency).flatten().tolist() == [3 + 10, 10 + 3, 0]


def test_equations_2_and_3_mix_the_bases_by_positive_memberships_only() -> None:
    layer = conv()
    expected = torch.stack([naive.kernel(layer.alpha[i], layer.basis, layer.kernel_bias) for i in range(N)])
    assert (layer.kernels() - expected).abs().max() <= 1e-12
    with torch.no_grad():
        layer.alpha.copy_(-layer.alpha.abs())
    assert torch.equal(layer.kernels(), layer.kernel_bias.expand(N, F, O))


def test_full_rank_memberships_give_every_region_a_free_kernel() -> None:
    layer, free = draw(RaGConv(F, O, N, N)), torch.randn(N, F, O, dtype=torch.float64)
    with torch.no_grad():
        layer.alpha.copy_(torch.eye(N))
        layer.basis.copy_(free - layer.kernel_bias)
    assert (layer.kernels() - free).abs().max() <= 1e-12


def test_one_shared_kernel_is_a_linear_layer_before_the_average() -> None:
    layer, (x, adjacency) = conv(activation=False), graphs(density=1.0)
    with torch.no_grad():
        layer.alpha.zero_()
    messages = adjacency / adjacency.sum(2, keepdim=True) @ x
    assert torch.allclose(layer(x, adjacency), (x + messages) @ layer.kernel_bias)


def test_a_neighbour_uses_its_own_kernel_and_not_an_average() -> None:
    layer, (x, adjacency) = conv(activation=False), graphs(density=0.0)
    adjacency[:, 0, 1] = 0.3  # region 0 hears region 1 only
    added = layer(x, adjacency)[:, 0] - x[:, 0] @ layer.kernels()[0]
    assert torch.allclose(added, x[:, 1] @ layer.kernels()[1])


def test_the_self_term_stands_outside_the_normalisation() -> None:
    layer, (x, adjacency) = conv(activation=False), graphs()
    x[:, 1:] = 0
    assert torch.allclose(layer(x, adjacency)[:, 0], layer.transform(x)[:, 0])


def test_the_sum_rule_does_not_see_the_scale_of_the_edges_but_softmax_does() -> None:
    layer, (x, adjacency) = conv(), graphs(density=1.0)
    assert torch.allclose(layer(x, adjacency), layer(x, 3 * adjacency))
    layer = conv(edge_norm="softmax")
    assert not torch.allclose(layer(x, adjacency), layer(x, 3 * adjacency))


def test_softmax_equals_a_loop_with_a_self_loop_of_weight_1() -> None:
    layer, (x, adjacency) = conv(edge_norm="softmax", bias=True, activation=False), graphs()
    assert layer.bias is not None
    h = layer.transform(x)
    for b in range(len(x)):
        for i in range(N):
            weights = {j: math.exp(adjacency[b, i, j]) for j in range(N) if adjacency[b, i, j] > 0} | {i: math.e}
            expected = sum(w * h[b, j] for j, w in weights.items()) / sum(weights.values()) + layer.bias
            assert (layer(x, adjacency)[b, i] - expected).abs().max() <= 1e-10


def test_softmax_of_equal_edges_of_weight_1_is_the_mean_with_itself() -> None:
    layer, (x, _) = conv(edge_norm="softmax", activation=False), graphs()
    everything = 1 - torch.eye(N, dtype=torch.float64).expand(len(x), N, N)
    assert torch.allclose(layer(x, everything), layer.transform(x).mean(1, keepdim=True).expand(-1, N, -1))


def test_softmax_survives_large_weights_and_regions_without_edges() -> None:
    layer, (x, adjacency) = conv(edge_norm="softmax", activation=False), graphs()
    assert layer(x, 1e4 * adjacency).isfinite().all()
    assert torch.equal(layer(x, 0 * adjacency), layer.transform(x))


def test_attention_of_zero_averages_the_neighbours() -> None:
    layer, (x, adjacency) = conv(attention=True, activation=False), graphs()
    torch.nn.init.zeros_(layer.attention)
    edges = (adjacency > 0).double()
    mean = edges / edges.sum(2, keepdim=True).clamp(min=1) @ layer.transform(x)
    assert torch.allclose(layer(x, adjacency), layer.transform(x) + mean)


def test_attention_equals_a_loop_over_edges() -> None:
    layer, (x, adjacency) = conv(attention=True, activation=False), graphs()
    h, a = layer.transform(x), layer.attention
    for b in range(len(x)):
        for i in range(N):
            near = [j for j in range(N) if adjacency[b, i, j] > 0]
            logits = [torch.cat([h[b, i], h[b, j]]) @ a[:-1] for j in near]
            logits = [
                torch.where(v > 0, v, 0.2 * v) + a[-1] * adjacency[b, i, j] for v, j in zip(logits, near, strict=True)
            ]
            total = sum(v.exp() for v in logits)
            expected = h[b, i] + sum(v.exp() / total * h[b, j] for v, j in zip(logits, near, strict=True))
            assert (layer(x, adjacency)[b, i] - expected).abs().max() <= 1e-10


RULES = [
    pytest.param({}, id="sum"),
    pytest.param({"edge_norm": "softmax", "bias": True, "activation": False}, id="softmax"),
    pytest.param({"attention": True}, id="attention"),
]


@pytest.mark.parametrize("rules", RULES)
def test_gradients_of_input_edges_and_weights(rules: dict) -> None:
    layer, (x, adjacency) = draw(RaGConv(2, 2, 4, 2, **rules)), graphs(2, 4, 2, density=0.6)
    inputs = [x.requires_grad_(), adjacency.requires_grad_(), *layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]
    present = (adjacency > 0).detach()

    def output(x: Tensor, adjacency: Tensor, *weights: Tensor) -> Tensor:
        own = dict(zip(names, weights, strict=True))
        # finite differences must not create edges: whether an edge exists is not differentiable
        return torch.func.functional_call(layer, own, (x, adjacency * present))

    assert torch.autograd.gradcheck(output, inputs)


@pytest.mark.parametrize("rules", RULES)
def test_permuting_regions_with_their_memberships_permutes_the_output(rules: dict) -> None:
    layer, (x, adjacency) = conv(**rules), graphs()
    expected, order = layer(x, adjacency), torch.randperm(N)
    with torch.no_grad():
        layer.alpha.copy_(layer.alpha[order])
    assert torch.allclose(layer(x[:, order], adjacency[:, order][:, :, order]), expected[:, order])


@pytest.mark.parametrize("rules", RULES)
def test_transforming_before_gathering_equals_gathering_kernels(rules: dict) -> None:
    layer, (x, adjacency) = conv(**rules), graphs()
    index = torch.rand(len(x), N).argsort(1)[:, :4]
    pooled = gather_edges(adjacency, index)
    slow = torch.einsum("bnf,bnfo->bno", gather_regions(x, index), layer.kernels()[index])
    fast = gather_regions(layer.transform(x), index)
    assert torch.allclose(layer.aggregate(fast, pooled), layer.aggregate(slow, pooled))


def test_parameters_are_those_of_the_paper() -> None:
    # N K + K F O + F O, section 3.1.1; a free kernel for each of 200 regions would take 1,280,000
    assert sum(p.numel() for p in RaGConv(200, 32, 200, 8).parameters()) == 200 * 8 + 8 * 6400 + 6400


def test_xavier_draws_each_kernel_by_its_own_fans() -> None:
    bound = math.sqrt(6 / (200 + 32))
    layer = RaGConv(200, 32, 200, 8, xavier=True)
    assert bound * 0.99 < layer.basis.abs().max() <= bound
    assert RaGConv(200, 32, 200, 8).basis.abs().max() <= 8**-0.5
    assert torch.equal(RaGConv(4, 4, 4, attention=True).attention, torch.zeros(9))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"RaGConv: edge_norm is 'mean', choose one of \['sum', 'softmax'\]"):
        RaGConv(F, O, N, edge_norm="mean")
    with pytest.raises(ValueError, match=r"RaGConv: x has shape \[4, 6, 5\], expected \(B, 7, 5\)"):
        conv()(*graphs(regions=6))
    assert "edge_norm='sum'" in repr(conv())
