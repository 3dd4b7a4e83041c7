from typing import Any

import pytest
import torch
from scripts.network import PopulationGCN
from scripts.population import pack
from scripts.population_inferer import PopulationInferer
from torch import Tensor

F, T = 5, 40


def subjects(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    phenotype = [torch.randint(0, high, (count,), generator=generator) for high in (3, 2, 6)]
    return torch.cat([torch.stack(phenotype, 1).float(), torch.randn(count, F, generator=generator)], 1)


def network(**settings: Any) -> PopulationGCN:
    torch.manual_seed(0)
    net = PopulationGCN(**{"num_regions": 6, "num_features": F, "capacity": 60, "edges": {"site": 0}} | settings).eval()
    net.population.fit(subjects(T))
    return net


def dense(net: PopulationGCN, new: Tensor) -> Tensor:
    return net(pack(*net.population.attached(new)))[0].T[T:]


@torch.no_grad()
def test_a_new_subject_attaches_to_the_nodes() -> None:
    net, new = network(), subjects(7, 1)
    assert torch.equal(PopulationInferer(net)(new, net), dense(net, new))


@torch.no_grad()
@pytest.mark.parametrize("dense_limit", [2000, 0], ids=["dense", "sparse"])
def test_others_of_the_batch_change_nothing(dense_limit: int) -> None:
    net, new = network(), subjects(7, 1)
    inferer = PopulationInferer(net, dense_limit=dense_limit, neighbours=5)
    one_by_one = torch.cat([inferer(subject[None], net) for subject in new])
    assert torch.allclose(inferer(new, net), one_by_one, atol=1e-6)


@torch.no_grad()
def test_training_looks_subjects_up_among_the_nodes() -> None:
    net = network()
    order = torch.tensor([5, 2, 31])
    x, adjacency = net.population.graph()
    expected = net(pack(x, adjacency))[0].T[order]
    assert torch.equal(PopulationInferer(net, training=True)(net.population.nodes[order], net), expected)


@torch.no_grad()
def test_a_training_subject_that_attaches_hears_itself_as_a_node() -> None:
    net = network()
    own = net.population.nodes[:3].clone()
    attached, looked_up = PopulationInferer(net)(own, net), PopulationInferer(net, training=True)(own, net)
    assert not torch.allclose(attached, looked_up, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
def test_transductive_knows_its_own_subjects_only(training: bool) -> None:
    net = network()
    inferer = PopulationInferer(net, "transductive", training)
    assert inferer(net.population.nodes[:2], net).shape == (2, 2)
    with pytest.raises(ValueError, match="a transductive model knows only the subjects of its datalist"):
        inferer(subjects(1, 9), net)


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
def test_all_neighbours_on_the_sparse_path_equal_the_dense_path(training: bool) -> None:
    net = network()
    inputs = net.population.nodes[:6] if training else subjects(6, 1)
    sparse = PopulationInferer(net, training=training, dense_limit=0, neighbours=T)
    packed = PopulationInferer(net, training=training)
    assert torch.allclose(sparse(inputs, net), packed(inputs, net), atol=1e-5)


def test_gradients_reach_every_layer_on_both_paths() -> None:
    for limit in (2000, 0):
        net = network()
        PopulationInferer(net, training=True, dense_limit=limit)(net.population.nodes[:9], net).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.layers.parameters() if p.ndim > 1)


def test_bad_use_is_refused() -> None:
    net = network()
    with pytest.raises(ValueError, match="PopulationInferer: mode is 'both', choose inductive or transductive"):
        PopulationInferer(net, "both")  # type: ignore[arg-type]
    wrapped = torch.nn.Sequential(net)  # as DistributedDataParallel hands it over
    with pytest.raises(ValueError, match="40 nodes exceed dense_limit 0, and sparse graphs train in one process only"):
        PopulationInferer(net, training=True, dense_limit=0)(net.population.nodes[:2], wrapped)
