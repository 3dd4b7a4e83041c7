import pytest
import torch
from scripts.network import PopulationGCN
from scripts.sampled_graph import batch_logits, neighbour_loader, sampled_logits
from torch import Tensor
from torch_geometric import typing
from torch_geometric.data import Data

N, F = 40, 6
REACH = {"gcn": 2, "cheb": 6, "gin": 2}  # products with the matrix
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:Using .Neighbor")
needs_sampler = pytest.mark.skipif(
    not (typing.WITH_PYG_LIB or typing.WITH_TORCH_SPARSE), reason="NeighborLoader needs pyg-lib or torch-sparse"
)


def make_graph(directed: bool = False) -> tuple[Tensor, Tensor]:
    """Features (N, F) and a sparse graph (N, N) whose first node has no edges."""
    weights = torch.rand(N, N) * (torch.rand(N, N) < 0.15)
    weights = weights if directed else (weights + weights.T) / 2
    weights[0], weights[:, 0] = 0, 0
    return torch.randn(N, F), weights.fill_diagonal_(0).to_sparse_csr()


def make_network(layer: str = "gcn") -> PopulationGCN:
    return PopulationGCN(4, F, layer=layer, capacity=1).eval()


def draw_batch(x: Tensor, matrix: Tensor, index: Tensor, kept: Tensor) -> Data:
    """What a loader gives for the nodes ``index`` when of each row of the matrix the entries ``kept`` are drawn."""
    dense = matrix.to_dense()
    nodes = torch.tensor([*index.tolist(), *(node for node in range(N) if node not in index.tolist())])
    off = dense - dense.diag().diag()
    target, source = (off * kept)[nodes][:, nodes].nonzero(as_tuple=True)
    weight = dense[nodes][:, nodes][target, source]
    degree = (off != 0).sum(1)[nodes]
    edges = torch.stack([source, target])
    parts = {"edge_index": edges, "edge_attr": weight, "diagonal": dense.diag()[nodes], "degree": degree}
    return Data(x=x[nodes], batch_size=len(index), **parts)


@pytest.mark.parametrize("layer", ["gcn", "cheb", "gin"])
@pytest.mark.parametrize("directed", [False, True])
def test_a_batch_with_all_edges_gives_the_logits_of_the_full_graph(layer: str, directed: bool) -> None:
    network, (x, adjacency) = make_network(layer), make_graph(directed)
    index = torch.tensor([7, 0, 31])
    batch = draw_batch(x, network.propagation(adjacency), index, torch.ones(N, N))
    assert (batch_logits(network, batch) - network.convolve(x, adjacency)[index]).abs().max() <= 1e-5


def test_drawn_edges_are_scaled_so_that_their_sum_is_expected_to_be_that_of_all() -> None:
    network, (x, adjacency) = PopulationGCN(4, F, hidden_channels=(), layer="gcn", capacity=1).eval(), make_graph()
    matrix, index = network.propagation(adjacency), torch.arange(N)
    edges = matrix.to_dense().fill_diagonal_(0) != 0
    draws = []
    for _ in range(600):
        order = torch.where(edges, torch.rand(N, N), 2.0).argsort(1).argsort(1)
        draws.append(batch_logits(network, draw_batch(x, matrix, index, order < 2)).detach())
    mean, spread = torch.stack(draws).mean(0), torch.stack(draws).std(0)
    full = network.convolve(x, adjacency).detach()
    assert ((mean - full).abs() <= 5 * spread / 600**0.5 + 1e-5).all()
    assert float(spread.max()) > 0.01


def test_dropout_is_that_of_the_network() -> None:
    network, (x, adjacency) = make_network().train(), make_graph()
    batch = draw_batch(x, network.propagation(adjacency), torch.arange(N), torch.ones(N, N))
    torch.manual_seed(3)
    expected = network.convolve(x, adjacency)
    torch.manual_seed(3)
    assert torch.allclose(batch_logits(network, batch), expected, atol=1e-5)


@pytest.mark.parametrize("loader", [True, False], ids=["loader", "logits"])
def test_without_a_sampler_both_packages_are_named(loader: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing, "WITH_PYG_LIB", False)
    monkeypatch.setattr(typing, "WITH_TORCH_SPARSE", False)
    network, (x, adjacency) = make_network(), make_graph()
    with pytest.raises(ImportError, match="sampled_graph: .* by pyg-lib or torch-sparse and neither is installed"):
        if loader:
            neighbour_loader(x, adjacency, torch.arange(2), [-1, -1])
        else:
            sampled_logits(network, x, adjacency, torch.arange(2), [-1, -1])


@needs_sampler
@pytest.mark.parametrize("layer", ["gcn", "cheb", "gin"])
@pytest.mark.parametrize("index", [[3], [7, 0, 31], [5, 2, 5]], ids=["one", "some", "twice"])
def test_all_neighbours_give_the_logits_of_the_full_graph(layer: str, index: list[int]) -> None:
    network, (x, adjacency) = make_network(layer), make_graph(directed=True)
    matrix = network.propagation(adjacency)
    logits = sampled_logits(network, x, matrix, torch.tensor(index), [-1] * REACH[layer])
    assert (logits - network.convolve(x, adjacency)[index]).abs().max() <= 1e-5


@needs_sampler
def test_no_more_edges_are_drawn_than_asked_for() -> None:
    x, adjacency = make_graph()
    matrix, index = make_network().propagation(adjacency), torch.arange(4)
    batch = next(iter(neighbour_loader(x, matrix, index, [2, 3], batch_size=4)))
    drawn = batch.edge_index[1].bincount(minlength=len(batch.x))
    assert drawn[:4].tolist() == [0, 2, 2, 2] and int(drawn.max()) <= 3 and len(batch.x) < N


@needs_sampler
def test_training_on_samples_lowers_the_loss_on_the_full_graph() -> None:
    network, (x, adjacency) = make_network(), make_graph()
    matrix = network.propagation(adjacency)
    label = ((matrix @ x)[:, 0] > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    loader = neighbour_loader(x, matrix, torch.arange(N), [3, 3], batch_size=10, shuffle=True)

    def loss() -> float:
        return torch.nn.functional.cross_entropy(network.eval().convolve(x, adjacency), label).item()

    before = loss()
    for _ in range(40):
        network.train()
        for batch in loader:
            optimizer.zero_grad()
            target = label[batch.n_id[: batch.batch_size]]
            torch.nn.functional.cross_entropy(batch_logits(network, batch), target).backward()
            optimizer.step()
    assert loss() < 0.8 * before
