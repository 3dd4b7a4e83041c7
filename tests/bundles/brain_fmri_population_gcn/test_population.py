import math
from typing import Any

import pytest
import torch
from scripts.network import PopulationGCN
from scripts.phenotype import UNKNOWN
from scripts.population import Population, pack, unpack
from torch import Tensor

F, T = 5, 30
EDGES = {"site": 0.0, "sex": 0.0, "age": 2.0}


def subjects(count: int = T, seed: int = 0) -> Tensor:
    """Vectors (count, 3 + F) of subjects of 3 sites, both sexes, and ages 20 .. 25."""
    generator = torch.Generator().manual_seed(seed)
    phenotype = [torch.randint(0, high, (count,), generator=generator) for high in (3, 2, 6)]
    features = torch.randn(count, F, generator=generator)
    return torch.cat([torch.stack(phenotype, 1) + torch.tensor([100.0, 0.0, 20.0]), features], 1)


def population(vectors: Tensor | None = None, **settings: Any) -> Population:
    result = Population(**{"num_features": F, "capacity": 50, "edges": EDGES} | settings)
    result.fit(subjects() if vectors is None else vectors)
    return result


def network(**settings: Any) -> PopulationGCN:
    torch.manual_seed(0)
    net = PopulationGCN(**{"num_regions": 6, "num_features": F, "capacity": 50, "edges": EDGES} | settings).eval()
    net.population.fit(subjects())
    return net


@torch.no_grad()
def predict(net: PopulationGCN, vectors: Tensor) -> Tensor:
    return net(pack(*net.population.attached(vectors)))[0].T[int(net.population.count) :]


# features of the first two point in opposite directions (distance 2), the third is unrelated to both (distance 1)
HAND = torch.tensor(
    [[1.0, 0, 10, 1, 2, 3, 0.3], [1.0, 0, 20, 7, 5, 3, -0.2], [2.0, 0, 11, 1, -2, 1, 0.9]]
)  # site, sex, age, three components, score


def by_hand() -> Population:
    return population(HAND, num_features=4, edges={"site": 0.0, "sex": 0.0})


def test_eq_2_and_3_by_hand() -> None:
    nodes = by_hand()
    assert nodes.width.item() == pytest.approx(4 / 3)
    first, other = 2 * math.exp(-4 / (2 * 16 / 9)), math.exp(-1 / (2 * 16 / 9))  # two and one entries agree
    expected = torch.tensor([[0, first, other], [first, 0, other], [other, other, 0]])
    x, adjacency = nodes.graph()
    assert torch.allclose(adjacency, expected) and torch.equal(x, HAND[:, 3:])


def test_edges_into_a_new_subject_by_hand() -> None:
    # like the first one but for its site: distances 0, 2 and 1; its sex alone agrees
    new = torch.tensor([[5.0, 0.0, 50.0, 10.0, 20.0, 30.0, 0.1]])
    _, adjacency = by_hand().attached(new)
    expected = [1, math.exp(-4 / (2 * 16 / 9)), math.exp(-1 / (2 * 16 / 9)), 0]
    assert adjacency[3].tolist() == pytest.approx(expected, abs=1e-5)


def test_product_wants_all_entries() -> None:
    nodes = population(HAND, num_features=4, edges={"site": 0.0, "sex": 0.0}, combine="product")
    assert (nodes.graph()[1] > 0).tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_the_distance_is_that_of_the_correlation_without_the_score() -> None:
    vectors = subjects()
    nodes = population(vectors)
    expected = 1 - torch.corrcoef(vectors[:, 3:-1])
    assert torch.allclose(nodes.distance(vectors, vectors), expected, atol=1e-5)
    off = expected[~torch.eye(T, dtype=torch.bool)]
    assert nodes.width.item() == pytest.approx(off.mean().item(), rel=1e-4)
    vectors[:, -1] = torch.randn(T)  # the score holds the label
    assert torch.equal(nodes.distance(vectors, vectors), nodes.distance(subjects(), subjects()))


def test_graph_has_no_self_loops_and_is_symmetric() -> None:
    _, adjacency = population().graph()
    assert not adjacency.diagonal().any() and torch.allclose(adjacency, adjacency.T, atol=1e-6)
    assert (adjacency >= 0).all() and adjacency.any()


def test_width_depends_on_training_subjects_only() -> None:
    nodes = population()
    before = {name: value.clone() for name, value in nodes.state_dict().items()}
    edges = nodes.graph()[1]
    grown = nodes.attached(100 * subjects(9, seed=1))[1]
    for name, value in nodes.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(grown[:T, :T], edges)
    nodes.set_nodes(torch.cat([subjects(), subjects(9, seed=1)]))  # transductive: more nodes, same width
    assert torch.equal(nodes.width, before["width"])
    assert torch.allclose(nodes.graph()[1][:T, :T], edges, atol=1e-6)


def test_new_subjects_hear_and_are_not_heard() -> None:
    new = subjects(4, seed=1)
    x, adjacency = population().attached(new)
    assert x.shape == (T + 4, F) and adjacency.shape == (T + 4, T + 4)
    assert torch.equal(x[T:], new[:, 3:])
    assert (adjacency[T:, :T].sum(1) > 0).all() and not adjacency[:, T:].any()


@pytest.mark.parametrize("layer", ["gcn", "cheb", "gat", "gin", "message_passing"])
def test_a_prediction_is_the_same_alone_and_in_a_batch(layer: str) -> None:
    net, new = network(layer=layer), subjects(6, seed=1)
    together = predict(net, new)
    alone = torch.cat([predict(net, subject[None]) for subject in new])
    assert torch.allclose(together, alone, rtol=1e-5, atol=1e-6)
    assert together.std(0).min() > 1e-3


@pytest.mark.parametrize("layer", ["gcn", "cheb", "gat", "gin", "message_passing"])
def test_order_of_nodes_does_not_matter(layer: str) -> None:
    net, new = network(layer=layer), subjects(6, seed=1)
    before = predict(net, new)
    net.population.set_nodes(subjects()[torch.randperm(T)])
    assert torch.allclose(predict(net, new), before, rtol=1e-4, atol=1e-5)


def test_a_new_subject_is_heard_through_its_neighbours_only() -> None:
    net = network(edges={"site": 0.0})
    new = subjects(1, seed=1)
    before = predict(net, new)
    vectors = subjects()
    same = vectors[:, 0] == new[0, 0]
    changed = vectors.clone()
    changed[~same, 3:] += 1
    net.population.set_nodes(changed)
    assert torch.allclose(predict(net, new), before, atol=1e-6)
    changed[same, 3:] += torch.randn(int(same.sum()), F)
    net.population.set_nodes(changed)
    assert not torch.allclose(predict(net, new), before, atol=1e-3)


def test_a_subject_of_unknown_phenotype_stays_finite() -> None:
    net, new = network(), subjects(1, seed=1)
    new[:, :3] = UNKNOWN
    assert not net.population.attached(new)[1][T:].any() and predict(net, new).isfinite().all()


def test_permuted_keeps_the_graph_but_not_the_neighbours() -> None:
    own, permuted = population().graph(), population(permuted=True).graph()
    assert torch.equal(own[0], permuted[0])
    assert torch.allclose(own[1].flatten().sort().values, permuted[1].flatten().sort().values, atol=1e-6)
    assert torch.allclose(own[1].sum(1).sort().values, permuted[1].sum(1).sort().values, atol=1e-4)
    assert not torch.allclose(own[1], permuted[1], atol=0.1)
    assert not permuted[1].diagonal().any() and torch.allclose(permuted[1], permuted[1].T, atol=1e-6)


def test_permuted_is_the_same_in_every_call_and_another_by_seed() -> None:
    nodes = population(permuted=True)
    assert torch.equal(nodes.graph()[1], nodes.graph()[1])
    assert not torch.allclose(nodes.graph()[1], population(permuted=True, seed=1).graph()[1], atol=0.1)


def test_permuted_new_subjects_hear_others_with_the_same_weights() -> None:
    new = subjects(4, seed=1)
    own, permuted = (population(permuted=flag).attached(new)[1][T:, :T] for flag in (False, True))
    assert torch.allclose(own.sort(1).values, permuted.sort(1).values, atol=1e-6)
    assert not torch.allclose(own, permuted, atol=0.1)


@pytest.mark.parametrize("edges", [None, {}])
def test_nobody_and_everybody(edges: dict | None) -> None:
    _, adjacency = population(edges=edges).attached(subjects(2, seed=1))
    expected = torch.zeros(T + 2, T + 2)
    if edges is not None:
        expected[:, :T] = 1
        expected.fill_diagonal_(0)
    assert torch.equal(adjacency > 0, expected > 0)


def test_weights_predict_the_same_in_a_fresh_network() -> None:
    net, new = network(), subjects(6, seed=1)
    torch.manual_seed(1)
    fresh = PopulationGCN(num_regions=6, num_features=F, capacity=50, edges=EDGES).eval()
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(predict(fresh, new), predict(net, new))


def test_unused_room_changes_nothing() -> None:
    new = subjects(3, seed=1)
    small, large = (population(capacity=capacity).attached(new) for capacity in (T, 90))
    assert torch.equal(small[0], large[0]) and torch.equal(small[1], large[1])


def test_fewer_nodes_leave_nothing_of_earlier_ones() -> None:
    nodes = population()
    nodes.set_nodes(subjects(4))
    assert torch.equal(nodes.nodes, subjects(4)) and not nodes.stored[4:].any()


def test_index_finds_nodes_also_behind_rounding() -> None:
    nodes, wanted = population(), torch.tensor([4, 0, 29, 4])
    assert torch.equal(nodes.index_of(subjects()[wanted]), wanted)
    assert torch.equal(nodes.index_of(subjects()[wanted] * (1 + 1e-6)), wanted)


def test_an_image_is_packed_and_unpacked() -> None:
    x, adjacency = population().graph()
    image = pack(x, adjacency)
    assert image.shape == (1, 1, T, F + T)
    assert torch.equal(unpack(image, F)[0][0], x) and torch.equal(unpack(image, F)[1][0], adjacency)


def test_strangers_are_no_nodes() -> None:
    mixed = torch.cat([subjects(), subjects(1, seed=1)])
    with pytest.raises(ValueError, match="Population: a subject is no node of the graph; a transductive model knows"):
        population().index_of(mixed)
    broken = subjects(1)
    broken[0, 4] = torch.nan
    with pytest.raises(ValueError, match="a subject is no node"):
        population().index_of(broken)


def test_more_nodes_than_room() -> None:
    with pytest.raises(ValueError, match="Population: 30 nodes, and capacity is 29; raise capacity"):
        population(capacity=29)


@pytest.mark.parametrize("act", [Population.graph, lambda nodes: nodes.attached(subjects(1))])
def test_a_population_without_nodes(act: Any) -> None:
    with pytest.raises(ValueError, match="Population: it has no nodes; load weights or fit"):
        act(Population(F, 50, EDGES))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"combine": "mean"}, "Population: combine is 'mean', choose sum or product", id="combine"),
        pytest.param({"edges": {"weight": 1.0}}, "edge_tolerance: 'weight' is no entry", id="edges"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Population(**{"num_features": F, "capacity": 50, "edges": EDGES} | settings)


def test_phenotype_that_connects_nobody_is_not_stored() -> None:
    nodes = population(edges={"sex": 0.0})
    assert (nodes.nodes[:, [0, 2]] == UNKNOWN).all()
    assert torch.equal(nodes.nodes[:, 1], subjects()[:, 1])
    assert nodes.index_of(subjects()[[4, 2]]).tolist() == [4, 2]
