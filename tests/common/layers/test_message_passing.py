import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing as PygMessagePassing
from torch_geometric.typing import OptTensor

from common.layers.message_passing import MessagePassing

from .graphs import KINDS, TOLERANCES, F, N, O, draw, edge_list, make_graph

D = 2
AGGREGATIONS = ["sum", "mean", "max"]


class PygTwin(PygMessagePassing):
    """The same networks within PyG; its x_i is the target, x_j the source."""

    def __init__(self, layer: MessagePassing) -> None:
        super().__init__(aggr=layer.aggregation)
        self.layer = layer

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: OptTensor) -> Tensor:
        return self.layer.update(torch.cat([x, self.propagate(edge_index, x=x, edge_attr=edge_attr)], 1))

    def message(self, x_i: Tensor, x_j: Tensor, edge_attr: OptTensor) -> Tensor:
        return self.layer.message(torch.cat([x_i, x_j] if edge_attr is None else [x_i, x_j, edge_attr], 1))


def layer_of(aggregation: str, edge_channels: int = D) -> MessagePassing:
    return draw(MessagePassing(F, O, edge_channels, hidden_channels=6, aggregation=aggregation))


def make_edges(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    x, adjacency = make_graph(kind, dtype)
    index, _ = edge_list(adjacency)
    return x, index, torch.randn(index.shape[1], D, dtype=dtype)


def naive(layer: MessagePassing, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
    """A loop over nodes and edges."""
    pool = {"sum": lambda m: m.sum(0), "mean": lambda m: m.mean(0), "max": lambda m: m.amax(0)}[layer.aggregation]
    rows = []
    for v in range(len(x)):
        edges = [e for e in range(edge_index.shape[1]) if edge_index[1, e] == v]
        messages = [layer.message(torch.cat([x[v], x[edge_index[0, e]], edge_attr[e]])) for e in edges]
        a = pool(torch.stack(messages)) if messages else torch.zeros(layer.hidden_channels, dtype=x.dtype)
        rows.append(layer.update(torch.cat([x[v], a])))
    return torch.stack(rows)


def forwarding(aggregation: str) -> MessagePassing:
    """M passes on the feature h_u >= 0 of the source, U returns a_v: the output is the bare aggregate."""
    layer = MessagePassing(1, 1, hidden_channels=1, aggregation=aggregation)
    for network, first in ((layer.message, [0.0, 1.0]), (layer.update, [0.0, 1.0])):
        network[0].weight.data, network[2].weight.data = torch.tensor([first]), torch.ones(1, 1)
        nn.init.zeros_(network[0].bias)
        nn.init.zeros_(network[2].bias)
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_it_equals_a_loop_over_edges(kind: str, aggregation: str) -> None:
    layer, graph = layer_of(aggregation), make_edges(kind)
    assert (layer(*graph) - naive(layer, *graph)).abs().max() <= 1e-10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("edge_channels", [0, D], ids=["bare edges", "edge features"])
def test_it_equals_pyg(kind: str, aggregation: str, dtype: torch.dtype, tolerance: float, edge_channels: int) -> None:
    layer = MessagePassing(F, O, edge_channels, aggregation=aggregation).to(dtype)
    x, edge_index, edge_attr = make_edges(kind, dtype)
    attr = edge_attr if edge_channels else None
    assert (layer(x, edge_index, attr) - PygTwin(layer)(x, edge_index, attr)).abs().max() <= tolerance


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        pytest.param("sum", [6, 1, 5, 0], id="sum"),
        pytest.param("mean", [3, 1, 2.5, 0], id="mean"),
        pytest.param("max", [4, 1, 4, 0], id="max"),
    ],
)
def test_a_hand_computed_graph_is_aggregated_once(aggregation: str, expected: list[float]) -> None:
    # features 1, 2, 4, 9; edges 1 -> 0, 2 -> 0, 0 -> 1, 0 -> 2, 2 -> 2; nothing comes into 3
    x, edges = torch.tensor([[1.0], [2.0], [4.0], [9.0]]), torch.tensor([[1, 2, 0, 0, 2], [0, 0, 1, 2, 2]])
    assert forwarding(aggregation)(x, edges).flatten().tolist() == expected


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_summing_into_nodes_before_the_aggregation_is_another_thing(aggregation: str) -> None:
    # the tutorial: m_v = sum_u M(h_v, h_u, e_uv), then AGG of the m_u over the neighbours, that is two hops at once
    x, edges = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[1, 2, 0], [0, 0, 1]])  # 1 -> 0, 2 -> 0, 0 -> 1
    summed = forwarding("sum")(x, edges)
    twice = forwarding(aggregation)(summed, edges)
    assert twice.flatten().tolist() == [1 if aggregation != "mean" else 0.5, 6, 0]
    once = forwarding(aggregation)(x, edges)
    assert once.flatten().tolist() == [{"sum": 6, "mean": 3, "max": 4}[aggregation], 1, 0]


def test_sum_mean_and_max_differ_and_agree_on_single_edges() -> None:
    layers = [layer_of(aggregation) for aggregation in AGGREGATIONS]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
    x, edge_index, edge_attr = make_edges("complete")
    many = [layer(x, edge_index, edge_attr) for layer in layers]
    assert not torch.allclose(many[0], many[1])
    assert not torch.allclose(many[0], many[2])
    assert not torch.allclose(many[1], many[2])
    ring = torch.stack([torch.arange(N), torch.arange(N).roll(1)])
    one = [layer(x, ring, edge_attr[:N]) for layer in layers]
    assert torch.allclose(one[0], one[1]) and torch.allclose(one[0], one[2])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_messages_below_0_have_a_maximum_below_0_and_an_empty_neighbourhood_gives_0(aggregation: str) -> None:
    layer = layer_of(aggregation)
    out = layer.aggregate(torch.tensor([[-3.0], [-1.0]]), torch.tensor([1, 1]), 3)
    assert out.flatten().tolist() == [0, {"sum": -4, "mean": -2, "max": -1}[aggregation], 0]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kind", ["isolated", "empty"])
def test_a_node_without_edges_is_updated_from_itself_with_finite_gradients(kind: str, aggregation: str) -> None:
    layer, (x, edge_index, edge_attr) = layer_of(aggregation), make_edges(kind)
    out = layer(x.requires_grad_(), edge_index, edge_attr)
    alone = torch.cat([x[0], torch.zeros(layer.hidden_channels, dtype=x.dtype)])
    assert torch.allclose(out[0], layer.update(alone))
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_message_knows_target_source_and_edge(aggregation: str) -> None:
    layer, (x, edge_index, edge_attr) = layer_of(aggregation), make_edges("directed")
    messages = layer.messages(x, edge_index, edge_attr)
    source, target = edge_index[:, 0]
    assert torch.allclose(messages[0], layer.message(torch.cat([x[target], x[source], edge_attr[0]])))
    assert not torch.allclose(layer.messages(x, edge_index.flip(0), edge_attr), messages)
    assert not torch.allclose(layer(x, edge_index, edge_attr.flip(0)), layer(x, edge_index, edge_attr))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_permuting_nodes_permutes_the_output_and_the_order_of_edges_does_not_matter(aggregation: str) -> None:
    layer, (x, edge_index, edge_attr) = layer_of(aggregation), make_edges("directed")
    expected, order, shuffled = layer(x, edge_index, edge_attr), torch.randperm(N), torch.randperm(edge_index.shape[1])
    renamed = order.argsort()[edge_index]
    assert torch.allclose(layer(x[order], renamed, edge_attr), expected[order], rtol=0, atol=1e-10)
    again = layer(x, edge_index[:, shuffled], edge_attr[shuffled])
    assert torch.allclose(again, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_node_that_only_receives_changes_no_bit_of_the_others(aggregation: str) -> None:
    layer, (x, edge_index, edge_attr) = layer_of(aggregation), make_edges("attached")
    other = x.clone()
    other[0] = 5.0
    before, after = layer(x, edge_index, edge_attr), layer(other, edge_index, edge_attr)
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_gradients_of_input_edges_and_weights(aggregation: str) -> None:
    layer = draw(MessagePassing(2, 2, D, hidden_channels=3, aggregation=aggregation))
    x, edge_index, edge_attr = make_edges("attached")
    names = [name for name, _ in layer.named_parameters()]

    def output(x: Tensor, edge_attr: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, edge_index, edge_attr))

    inputs = (x[:, :2].clone().requires_grad_(), edge_attr.requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(output, inputs)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_it_scripts_and_exports(aggregation: str) -> None:
    layer, graph = layer_of(aggregation), make_edges("directed")
    assert torch.equal(torch.jit.script(layer)(*graph), layer(*graph))
    assert torch.equal(torch.export.export(layer, graph).module()(*graph), layer(*graph))
    assert f"edge_channels=2, hidden_channels=6, aggregation='{aggregation}'" in repr(layer)


EDGES = torch.tensor([[0, 1], [1, 2]])
REFUSED = [
    pytest.param(torch.ones(4, 3), EDGES, torch.ones(2, D), r"x has shape \[4, 3\], expected \(N, 5\); join", id="x"),
    pytest.param(torch.ones(1, 4, F), EDGES, torch.ones(2, D), r"x has shape \[1, 4, 5\]", id="batch"),
    pytest.param(torch.ones(4, F), EDGES.T[:1], torch.ones(2, D), r"edge_index has shape \[1, 2\]", id="index"),
    pytest.param(torch.ones(4, F), EDGES.float(), torch.ones(2, D), r"edge_index has .* torch.float32", id="type"),
    pytest.param(torch.ones(4, F), EDGES, None, r"edge_attr is None, expected \(2, 2\), one row per edge", id="none"),
    pytest.param(torch.ones(4, F), EDGES, torch.ones(2, 3), r"edge_attr is of shape \[2, 3\]", id="edge features"),
    pytest.param(torch.ones(4, F), EDGES, torch.ones(3, D), r"edge_attr is of shape \[3, 2\]", id="edges"),
]


@pytest.mark.parametrize(("x", "edge_index", "edge_attr", "message"), REFUSED)
def test_bad_shapes_are_refused(x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"MessagePassing: {message}"):
        MessagePassing(F, O, D)(x, edge_index, edge_attr)


def test_unused_edge_features_and_an_unknown_aggregation_are_refused() -> None:
    with pytest.raises(ValueError, match=r"edge_attr is of shape \[2, 2\], expected \(2, 0\), .* edge_channels is 0"):
        MessagePassing(F, O)(torch.ones(4, F), EDGES, torch.ones(2, D))
    with pytest.raises(ValueError, match=r"MessagePassing: aggregation is 'median', choose one of \['sum', 'mean'"):
        MessagePassing(F, O, aggregation="median")
