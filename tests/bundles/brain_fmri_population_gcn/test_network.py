from typing import Any

import pytest
import torch
from scripts.common.layers import dirichlet_energy
from scripts.graph_layers import LAYERS
from scripts.network import PopulationGCN
from scripts.population import pack
from torch import Tensor, nn

N, F, C = 12, 5, 2

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def network(**settings: Any) -> PopulationGCN:
    defaults: dict[str, Any] = {"num_regions": 6, "num_features": F, "capacity": 20, "edges": {"site": 0}}
    return PopulationGCN(**defaults | settings).eval()


def graph(batch: int = 2) -> tuple[Tensor, Tensor]:
    """Features (B, N, F) and symmetric adjacency (B, N, N)."""
    adjacency = torch.rand(batch, N, N).triu(1) * (torch.rand(batch, N, N) < 0.5)
    adjacency = adjacency + torch.eye(N).roll(1, 1)  # a ring keeps it connected
    return torch.randn(batch, N, F), adjacency + adjacency.mT


def image(batch: int = 2) -> Tensor:
    return torch.cat(graph(batch), 2)[:, None]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("hidden", [(), (16,), (7, 6)])
def test_logits_are_classes_by_nodes(layer: str, hidden: tuple[int, ...]) -> None:
    net = network(layer=layer, hidden_channels=hidden, num_classes=3)
    assert net(image()).shape == (2, 3, N) and len(net.layers) == len(hidden) + 1
    assert net(image()).isfinite().all()


@pytest.mark.parametrize("layer", LAYERS)
def test_nodes_may_stand_in_any_order(layer: str) -> None:
    net, (x, adjacency), order = network(layer=layer), graph(1), torch.randperm(N)
    moved = pack(x[0][order], adjacency[0][order][:, order])
    assert torch.allclose(net(moved), net(pack(x[0], adjacency[0]))[:, :, order], atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_edges_each_node_is_alone(layer: str) -> None:
    net = network(layer=layer, edges=None)
    vectors = torch.cat([torch.zeros(N, 3), torch.randn(N, F)], 1)
    net.population.fit(vectors)
    x, adjacency = net.population.graph()
    assert not adjacency.any()
    together = net(pack(x, adjacency))
    alone = torch.cat([net(pack(node[None], torch.zeros(1, 1))) for node in x], 2)
    assert torch.allclose(together, alone, atol=1e-6)


def test_without_edges_a_gcn_is_an_mlp() -> None:
    net = network(layer="gcn")
    x = torch.randn(N, F)
    first, last = (layer.layer for layer in net.layers)
    expected = (x @ first.weight + first.bias).relu() @ last.weight + last.bias
    assert torch.allclose(net(pack(x, torch.zeros(N, N)))[0].T, expected, atol=1e-6)


@pytest.mark.parametrize("layer", ["gcn", "cheb"])
def test_the_matrix_is_normalised_once_for_all_layers(layer: str) -> None:
    net, (x, adjacency) = network(layer=layer, hidden_channels=(8, 7)), graph()
    expected = x
    for number, one in enumerate(net.layers):
        expected = one.layer(expected, adjacency)  # type: ignore[operator]
        expected = expected.relu() if number < 2 else expected
    assert torch.allclose(net.convolve(x, adjacency), expected, atol=1e-5)


@pytest.mark.parametrize("layer", ["gcn", "cheb"])
def test_backends_agree_on_a_population(layer: str) -> None:
    native, pyg = network(layer=layer), network(layer=layer, backend="pyg")
    with torch.no_grad():
        for one, other in zip(native.layers, pyg.layers, strict=True):
            weight, twin = one.layer.weight, other.layer  # type: ignore[union-attr]
            lines = [twin.lin] if layer == "gcn" else list(twin.lins)
            for line, part in zip(lines, weight if layer == "cheb" else [weight], strict=True):
                line.weight.copy_(part.T)
    # everybody is connected, so that no node is isolated, and new subjects are heard by nobody
    vectors = torch.cat([torch.ones(N, 3), torch.randn(N, F)], 1)
    native.population.fit(vectors)
    new = torch.cat([torch.ones(3, 3), torch.randn(3, F)], 1)
    packed = pack(*native.population.attached(new))
    assert torch.allclose(native(packed), pyg(packed), atol=1e-5)


@pytest.mark.parametrize("layer", ["gcn", "cheb", "gat", "gin"])
def test_sparse_path_equals_the_dense_one(layer: str) -> None:
    net, (x, adjacency) = network(layer=layer), graph(1)
    found = net.convolve(x[0], adjacency[0].to_sparse_csr())
    assert torch.allclose(found, net.convolve(x, adjacency)[0], atol=1e-5)


def test_fresh_and_fitted_networks_can_be_scripted() -> None:
    for fitted in (False, True):
        net, packed = network(), image()
        if fitted:
            net.population.fit(torch.randn(N, 3 + F))
        assert torch.allclose(torch.jit.script(net)(packed), net(packed), atol=1e-6)


def test_the_default_network_can_be_exported() -> None:
    net, packed = network(), image()
    assert torch.allclose(torch.export.export(net, (packed,)).module()(packed), net(packed), atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_weight_gets_a_gradient(layer: str) -> None:
    net = network(layer=layer)
    net(image()).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_dropout_acts_in_training_only() -> None:
    net, packed = network(), image()
    assert torch.equal(net(packed), net(packed))
    net.train()
    assert not torch.equal(net(packed), net(packed))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((2, 2, N, F + N), id="two channels"),
        pytest.param((2, 1, N, N), id="no features"),
        pytest.param((2, 1, N, F + N + 1), id="not square"),
    ],
)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"PopulationGCN: image has shape .* expected \(B, 1, N, 5 \+ N\)"):
        network()(torch.zeros(shape))


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="PopulationGCN: layer is 'mlp' and backend 'native'"):
        network(layer="mlp")


def identity(net: PopulationGCN) -> PopulationGCN:
    """GCN layers that only mix the nodes."""
    with torch.no_grad():
        for layer in net.layers:
            nn.init.eye_(layer.layer.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(layer.layer.bias)  # type: ignore[union-attr, arg-type]
    return net


@pytest.mark.parametrize("hidden", [(), (16,), (7, 6, 5)])
def test_one_energy_per_state(hidden: tuple[int, ...]) -> None:
    net, (x, adjacency) = network(hidden_channels=hidden), graph(1)
    energies = net.energies(x, adjacency)
    assert energies.shape == (len(hidden) + 2,) and ((energies >= 0) & (energies <= 2 + 1e-5)).all()
    degree = adjacency[0].sum(1).rsqrt()[:, None]
    expected = dirichlet_energy(x[0] * degree, adjacency[0]) / x.square().sum()
    assert energies[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_many_gcn_layers_make_neighbours_alike() -> None:
    net = identity(network(layer="gcn", hidden_channels=(F,) * 7, num_classes=F))
    x, adjacency = graph(1)
    energies = net.energies(x.abs(), adjacency)
    assert (energies.diff()[:4] < 0).all() and energies[-1] < 0.1 * energies[0]
