from typing import Any

import pytest
import torch
from scripts.graph_layers import LAYERS, PyGLayer, edge_list, make_layer
from torch import Tensor, nn

N, IN, OUT, DEGREE = 8, 5, 3, 3

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def graphs(weighted: bool = True, batch: int = 2) -> Tensor:
    """Undirected connected graphs (B, N, N): a ring and chords."""
    chords = torch.rand(batch, N, N).triu(1) * (torch.rand(batch, N, N) < 0.4)
    ring = torch.rand(batch, N, N) * torch.eye(N).roll(1, 1) + 0.1 * torch.eye(N).roll(1, 1)
    both = chords + ring
    both = both + both.mT
    return both if weighted else (both > 0).float()


def attached(adjacency: Tensor) -> Tensor:
    """Let the last node hear without being heard, as a new subject."""
    adjacency = adjacency.clone()
    adjacency[:, :, -1] = 0
    adjacency[:, -1, 0] = 0.7 if adjacency.max() != 1 else 1
    return adjacency


def twins(name: str) -> tuple[nn.Module, nn.Module]:
    """Native layer and that of PyG with its weights, in float64."""
    native: Any = make_layer(name, "native", IN, OUT, DEGREE).double()
    pyg: Any = make_layer(name, "pyg", IN, OUT, DEGREE).double()
    for parameter in native.parameters():
        nn.init.normal_(parameter)
    with torch.no_grad():
        if name == "gcn":
            pyg.layer.lin.weight.copy_(native.layer.weight.T)
            pyg.layer.bias.copy_(native.layer.bias)
        elif name == "cheb":
            for line, weight in zip(pyg.layer.lins, native.layer.weight, strict=True):
                line.weight.copy_(weight.T)
            pyg.layer.bias.copy_(native.layer.bias)
        elif name == "gat":
            pyg.layer.lin.weight.copy_(native.weight.T)
            pyg.layer.att_src.copy_(native.source[None])
            pyg.layer.att_dst.copy_(native.target[None])
            pyg.layer.bias.copy_(native.bias)
        else:
            pyg.layer.nn.load_state_dict(native.network.state_dict())
    return native, pyg


def native_out(layer: nn.Module, name: str, x: Tensor, adjacency: Tensor) -> Tensor:
    """GCN and Chebyshev layers are handed the normalised matrix by the network."""
    if name not in ("gcn", "cheb"):
        return layer(x, adjacency)
    from scripts.common.layers import gcn_norm, scaled_laplacian

    return layer(x, gcn_norm(adjacency) if name == "gcn" else scaled_laplacian(adjacency))


@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "new subject attached"])
@pytest.mark.parametrize("name", ["gcn", "cheb", "gat", "gin"])
def test_pyg_equals_native(name: str, directed: bool) -> None:
    native, pyg = twins(name)
    adjacency = graphs(weighted=name in ("gcn", "cheb")).double()
    if directed:
        adjacency = attached(adjacency)
    x = torch.randn(2, N, IN, dtype=torch.float64)
    found, expected = native_out(native, name, x, adjacency), pyg(x, adjacency)
    assert found.shape == (2, N, OUT)
    assert (found - expected).abs().max() <= 1e-10 * (1 + expected.abs().max())


@pytest.mark.parametrize("backend", ["native", "pyg"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_new_subject_hears_and_is_not_heard(name: str, backend: str) -> None:
    # the fault: PyG's ChebConv counts the edges out of a node, of which a new subject has none, and so hears nothing
    if (name, backend) == ("message_passing", "pyg"):
        return
    layer = make_layer(name, backend, IN, OUT, DEGREE)
    adjacency, x = attached(graphs(batch=1)), torch.randn(1, N, IN)
    moved, heard = x.clone(), x.clone()
    moved[:, -1] += 1
    heard[:, 0] += 1  # the one neighbour of the last node
    call = native_out if backend == "native" else lambda layer, name, x, adjacency: layer(x, adjacency)
    before = call(layer, name, x, adjacency)
    assert torch.equal(call(layer, name, moved, adjacency)[:, :-1], before[:, :-1])
    assert (call(layer, name, heard, adjacency)[:, -1] - before[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("backend", ["native", "pyg"])
@pytest.mark.parametrize("name", LAYERS)
def test_graphs_of_a_batch_stay_apart(name: str, backend: str) -> None:
    if (name, backend) == ("message_passing", "pyg"):
        return
    layer, adjacency, x = make_layer(name, backend, IN, OUT, DEGREE), graphs(), torch.randn(2, N, IN)
    together = layer(x, adjacency)
    for number in range(2):
        alone = layer(x[number : number + 1], adjacency[number : number + 1])
        assert torch.allclose(together[number : number + 1], alone, atol=1e-5)


def test_edges_go_from_column_to_row() -> None:
    adjacency = torch.zeros(2, 3, 3)
    adjacency[0, 2, 1], adjacency[1, 0, 2] = 0.5, 2.0
    index, weight = edge_list(adjacency)
    assert index.tolist() == [[1, 5], [2, 3]] and weight.tolist() == [0.5, 2.0]


def test_messages_depend_on_the_weight_of_the_edge() -> None:
    layer, adjacency, x = make_layer("message_passing", "native", IN, OUT, 1), graphs(), torch.randn(2, N, IN)
    assert not torch.allclose(layer(x, adjacency), layer(x, (adjacency > 0).float()), atol=1e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_a_graph_without_edges_stays_finite(name: str) -> None:
    x, nothing = torch.randn(2, N, IN), torch.zeros(2, N, N)
    assert native_out(make_layer(name, "native", IN, OUT, DEGREE), name, x, nothing).isfinite().all()
    if name != "message_passing":
        assert make_layer(name, "pyg", IN, OUT, DEGREE)(x, nothing).isfinite().all()


def test_message_passing_has_no_twin() -> None:
    with pytest.raises(ValueError, match="message_passing has no twin of backend pyg; take backend native"):
        make_layer("message_passing", "pyg", IN, OUT, DEGREE)


@pytest.mark.parametrize(("name", "backend"), [("sage", "native"), ("gcn", "dgl")])
def test_unknown_names_are_refused(name: str, backend: str) -> None:
    with pytest.raises(ValueError, match=f"layer is '{name}' and backend '{backend}'; choose a layer of gcn, cheb"):
        make_layer(name, backend, IN, OUT, DEGREE)


def test_backends_are_what_they_say() -> None:
    assert isinstance(make_layer("gcn", "pyg", IN, OUT, DEGREE), PyGLayer)
    assert not any(
        "torch_geometric" in type(part).__module__ for part in make_layer("gcn", "native", 2, 2, 1).modules()
    )
