import pytest
import torch
from scripts.neighbour_graph import attach_subjects, attached_neighbour_graph, nearest_edges, neighbour_graph
from scripts.network import PopulationGCN
from scripts.population import Population, pack
from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR")
N, F, K, M = 60, 12, 4, 3
EDGES = {"site": 0, "sex": 0, "age": 2}


def subjects(count: int) -> Tensor:
    """Vectors (count, 3 + F) of 4 sites, 2 sexes, ages 6 to 60."""
    phenotype = [torch.randint(4, (count, 1)), torch.randint(2, (count, 1)), torch.randint(6, 61, (count, 1))]
    return torch.cat([*(column.float() for column in phenotype), torch.randn(count, F)], dim=1)


def make_network(layer: str = "gcn", permuted: bool = False, **edges: float) -> PopulationGCN:
    network = PopulationGCN(4, F, layer=layer, capacity=N + 7, edges=edges or EDGES, permuted=permuted).eval()
    network.population.fit(subjects(N))
    return network


def make_population(permuted: bool = False, **edges: float) -> Population:
    return make_network("gcn", permuted, **edges).population


def largest(weights: Tensor, neighbours: int) -> Tensor:
    """Naive twin: a row's k largest weights, the first of equal ones; the rest 0."""
    kept = torch.zeros_like(weights)
    for row in range(len(weights)):
        for column in sorted(range(weights.shape[1]), key=lambda j: -float(weights[row, j]))[:neighbours]:
            kept[row, column] = weights[row, column]
    return kept


def dense_graph(population: Population, neighbours: int) -> tuple[Tensor, Tensor]:
    x, adjacency = population.graph()
    kept = largest(adjacency, neighbours)
    return x, torch.maximum(kept, kept.T)


def dense_attached(population: Population, vectors: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    x, grown = population.attached(vectors)
    nodes = dense_graph(population, neighbours)[1]
    new = largest(grown[N:, :N], neighbours)
    return x, torch.cat([torch.cat([nodes, new]), grown[:, N:]], dim=1)


GRAPHS = [
    pytest.param(False, EDGES, id="phenotype"),
    pytest.param(True, EDGES, id="permuted"),
    pytest.param(False, {"site": 0}, id="separate sites"),
]


@pytest.mark.parametrize(("permuted", "edges"), GRAPHS)
def test_the_graph_is_the_dense_one_cut_to_the_nearest_and_symmetrised_by_maximum(permuted: bool, edges: dict) -> None:
    population = make_population(permuted, **edges)
    (x, csr), (dense_x, dense) = neighbour_graph(population, K), dense_graph(population, K)
    assert csr.layout == torch.sparse_csr and csr.dtype == torch.float32
    assert torch.equal(x, dense_x) and torch.allclose(csr.to_dense(), dense, rtol=1e-6, atol=0)
    assert torch.equal(csr.to_dense(), csr.to_dense().T)
    assert (csr.values() > 0).all() and (csr.crow_indices().diff() >= K).all()
    assert not csr.to_dense().diagonal().any()


@pytest.mark.parametrize("neighbours", [N - 1, N, 10 * N])
@pytest.mark.parametrize("permuted", [False, True])
def test_all_neighbours_give_the_graph_of_the_population(neighbours: int, permuted: bool) -> None:
    population = make_population(permuted)
    vectors, nodes = subjects(M), population.graph()[1]
    dense = population.attached(vectors)[1]
    dense[:N, :N] = torch.maximum(nodes, nodes.T)  # products of matrices may differ from their transposes in a bit
    assert torch.equal(neighbour_graph(population, neighbours)[1].to_dense(), dense[:N, :N])
    assert torch.equal(attached_neighbour_graph(population, vectors, neighbours)[1].to_dense(), dense)


@pytest.mark.parametrize(("permuted", "edges"), GRAPHS)
def test_new_subjects_hear_their_nearest_nodes_and_are_not_heard(permuted: bool, edges: dict) -> None:
    population, vectors = make_population(permuted, **edges), subjects(M)
    x, csr = attached_neighbour_graph(population, vectors, K)
    dense_x, dense = dense_attached(population, vectors, K)
    assert torch.equal(x, dense_x) and torch.allclose(csr.to_dense(), dense, rtol=1e-6, atol=0)
    assert csr.crow_indices().diff()[N:].tolist() == [K] * M and not csr.to_dense()[:, N:].any()


@pytest.mark.parametrize("layer", ["gcn", "cheb", "gat", "gin"])
@pytest.mark.parametrize("new", [0, M], ids=["nodes", "attached"])
@pytest.mark.parametrize("neighbours", [K, N - 1])
def test_the_network_gives_the_same_logits_on_sparse_and_packed_graphs(layer: str, new: int, neighbours: int) -> None:
    network, vectors = make_network(layer), subjects(new)
    dense = network(pack(*dense_attached(network.population, vectors, neighbours)))[0].T
    sparse = network.convolve(*attached_neighbour_graph(network.population, vectors, neighbours))
    assert sparse.shape == (N + new, 2) and (sparse - dense).abs().max() <= 1e-5
    sparse.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("chunk", [1, 7, 59, 61])
@pytest.mark.parametrize("skip_diagonal", [True, False])
def test_the_chunk_changes_nothing(chunk: int, skip_diagonal: bool) -> None:
    population = make_population()
    sources = population.nodes
    targets = sources if skip_diagonal else subjects(23)
    index, weight = nearest_edges(population, targets, sources, K, skip_diagonal)
    other_index, other_weight = nearest_edges(population, targets, sources, K, skip_diagonal, chunk)
    assert torch.equal(index, other_index) and torch.allclose(weight, other_weight, rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_of_equal_weights_the_first_source_is_taken(chunk: int) -> None:
    population = make_population()
    twins = population.nodes[:1].repeat(9, 1)
    index, weight = nearest_edges(population, twins[:2], twins, 3, False, chunk)
    assert index.tolist() == [[0, 1, 2]] * 2 and torch.allclose(weight, torch.full((2, 3), 3.0))
    assert nearest_edges(population, twins, twins, 2, True, chunk)[0].tolist() == [[1, 2], [0, 2]] + [[0, 1]] * 7


def test_no_tile_is_larger_than_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    population, sizes = make_population(), []
    weights = population.weights

    def record(targets: Tensor, sources: Tensor) -> Tensor:
        sizes.append((len(targets), len(sources)))
        return weights(targets, sources)

    monkeypatch.setattr(population, "weights", record)
    nearest_edges(population, population.nodes, population.nodes, K, True, chunk=25)
    assert sizes == [(25, 25), (25, 25), (25, 10), (25, 25), (25, 10), (10, 10)]  # each pair of tiles once


@pytest.mark.parametrize("layer", ["gcn", "cheb"])
def test_subjects_who_agree_with_nobody_have_no_edges_and_finite_logits(layer: str) -> None:
    network = make_network(layer, site=0)
    population = network.population
    vectors = population.nodes.clone()
    vectors[:5, 0] = torch.arange(100.0, 105)
    population.set_nodes(vectors)
    alone = subjects(2)
    alone[:, 0] = 200.0
    x, csr = attached_neighbour_graph(population, alone, K)
    degree = csr.crow_indices().diff()
    assert not degree[:5].any() and not degree[N:].any() and degree[5:N].all()
    logits = network.convolve(x, csr)
    dense = network(pack(*dense_attached(population, alone, K)))[0].T
    assert logits.isfinite().all() and (logits - dense).abs().max() <= 1e-5


@pytest.mark.parametrize("layer", ["gcn", "cheb"])
def test_nobody_agrees_at_all(layer: str) -> None:
    network = make_network(layer, site=0)
    vectors = network.population.nodes.clone()
    vectors[:, 0] = torch.arange(float(N))
    network.population.set_nodes(vectors)
    x, csr = neighbour_graph(network.population, K)
    assert not len(csr.values()) and network.convolve(x, csr).isfinite().all()


@pytest.mark.parametrize("layer", ["gcn", "cheb"])
def test_a_new_subject_changes_no_bit_of_the_others(layer: str) -> None:
    network, vectors = make_network(layer), subjects(M)
    graph = neighbour_graph(network.population, K)
    before = network.convolve(*attach_subjects(graph, network.population, vectors, K))
    other = torch.cat([subjects(1), vectors[1:]])
    after = network.convolve(*attach_subjects(graph, network.population, other, K))
    assert torch.equal(before[:N], after[:N]) and torch.equal(before[N + 1 :], after[N + 1 :])
    assert not torch.equal(before[N], after[N])
    assert (before[:N] - network.convolve(*graph)).abs().max() <= 1e-6


def test_a_single_node_and_no_new_subject() -> None:
    population = make_population()
    population.set_nodes(subjects(1))
    assert neighbour_graph(population, 10)[1].to_dense().tolist() == [[0.0]]
    x, csr = attached_neighbour_graph(population, subjects(0), 10)
    assert x.shape == (1, F) and csr.shape == (1, 1)


def test_fewer_than_one_neighbour_is_refused() -> None:
    with pytest.raises(ValueError, match="nearest_edges: neighbours is 0, it must be 1 or more"):
        neighbour_graph(make_population(), 0)
