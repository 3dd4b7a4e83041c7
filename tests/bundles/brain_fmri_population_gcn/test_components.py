import copy
from typing import Any

import pytest
import torch
from scripts.components import Componentsd, subject_vectors
from scripts.fitted_network import fit_population
from scripts.network import PopulationGCN
from scripts.subject_row import upper_triangle

N, F, T, M = 7, 4, 40, 12
E = N * (N - 1) // 2


def case(number: int) -> dict[str, Any]:
    label = int(number % 5 < 2)
    series = torch.randn(N, 50, generator=torch.Generator().manual_seed(number))
    series[0] += (0.3 + 0.5 * label) * series[1]
    edges = upper_triangle(torch.corrcoef(series)).atanh()
    phenotype = torch.tensor([100.0 + number % 3, float(number % 2), 20.0 + number % 7])
    return {"image": torch.cat([phenotype, edges]), "label": label, "id": f"subject {number}"}


TRAINING = [case(number) for number in range(T)]
OTHERS = [case(number) for number in range(T, T + M)]


def network(**settings: Any) -> PopulationGCN:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {
        "num_regions": N,
        "num_features": F,
        "capacity": 60,
        "edges": {"site": 0, "sex": 0, "age": 2},
    }
    return PopulationGCN(**defaults | settings).eval()


def rows(cases: list[dict[str, Any]]) -> torch.Tensor:
    return torch.stack([item["image"] for item in cases])


def test_training_subjects_get_what_the_fit_gave_them() -> None:
    net = fit_population(network(), TRAINING)
    found = torch.stack([Componentsd("image", net)(item)["image"] for item in TRAINING])
    assert torch.equal(found, net.population.nodes)
    fresh = net.features.fit(rows(TRAINING)[:, 3:], [item["label"] for item in TRAINING])
    assert torch.equal(found[:, 3:], fresh) and torch.equal(found[:, :3], rows(TRAINING)[:, :3])
    # the fault: the score of the full regression, which knows the subject's own label
    assert (found - subject_vectors(net, rows(TRAINING)))[:, -1].abs().max() > 0.05


@pytest.mark.parametrize("name", ["a stranger", None])
def test_others_are_computed(name: str | None) -> None:
    net = fit_population(network(), TRAINING)
    items = [{"image": item["image"]} | ({} if name is None else {"id": name}) for item in OTHERS]
    found = torch.stack([Componentsd("image", net)(item)["image"] for item in items])
    assert found.shape == (M, 3 + F) and not found.requires_grad
    assert torch.allclose(found, subject_vectors(net, rows(OTHERS)), atol=1e-5)


def test_the_input_and_other_entries_stay() -> None:
    net = fit_population(network(), TRAINING)
    item = dict(OTHERS[0])
    result = Componentsd("image", net)(item)
    assert item["image"] is OTHERS[0]["image"] and result["label"] == OTHERS[0]["label"]
    assert Componentsd("image", net, allow_missing_keys=True)({"label": 1}) == {"label": 1}


def test_another_process_knows_no_training_subject_by_id() -> None:
    net = fit_population(network(), TRAINING)
    fresh = network()
    fresh.load_state_dict(net.state_dict())
    assert not any("subject" in name for name in net.state_dict()) and not fresh.training_vectors
    found = Componentsd("image", fresh)(OTHERS[0])["image"]
    assert torch.equal(found, Componentsd("image", net)(OTHERS[0])["image"])


@pytest.mark.parametrize("length", [3 + E - 1, 3 + E + 6])
def test_a_row_of_another_length_is_refused(length: int) -> None:
    net = fit_population(network(), TRAINING)
    with pytest.raises(ValueError, match=rf"Componentsd: the row has shape \[{length}\], expected \({3 + E},\): site"):
        Componentsd("image", net)({"image": torch.ones(length)})


def test_nodes_are_the_training_subjects() -> None:
    net = fit_population(network(), TRAINING)
    assert int(net.population.count) == T and set(net.training_vectors) == {item["id"] for item in TRAINING}


def test_transductive_has_all_subjects_as_nodes() -> None:
    net = fit_population(network(), TRAINING, TRAINING + OTHERS)  # a training subject is one node, not two
    assert int(net.population.count) == T + M
    pipeline = Componentsd("image", net)
    vectors = torch.stack([pipeline(item)["image"] for item in TRAINING + OTHERS])
    assert net.population.index_of(vectors).tolist() == list(range(T + M))


def test_others_that_are_all_training_subjects_add_no_node() -> None:
    assert int(fit_population(network(), TRAINING, TRAINING[:3]).population.count) == T


@pytest.mark.parametrize("mode", ["inductive", "transductive"])
def test_labels_of_others_change_no_number(mode: str) -> None:
    def fitted(others: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return fit_population(network(), TRAINING, others if mode == "transductive" else None).state_dict()

    own, turned = fitted(OTHERS), fitted([item | {"label": 1 - item["label"]} for item in OTHERS])
    for name, value in own.items():
        assert torch.equal(value, turned[name]), name


def test_other_subjects_change_neither_features_nor_width() -> None:
    alone, changed = fit_population(network(), TRAINING), copy.deepcopy(OTHERS)
    for item in changed:
        item["image"] = item["image"] * 1.7
    own, other = (fit_population(network(), TRAINING, cases) for cases in (OTHERS, changed))
    assert not torch.equal(own.population.stored, other.population.stored)
    for name, value in alone.state_dict().items():
        if name not in ("population.stored", "population.count"):
            assert torch.equal(value, own.state_dict()[name]) and torch.equal(value, other.state_dict()[name]), name


def test_training_labels_do_change_the_fit() -> None:
    turned = [item | {"label": 1 - item["label"]} for item in TRAINING[:8]] + TRAINING[8:]
    own, other = fit_population(network(), TRAINING), fit_population(network(), turned)
    assert not torch.equal(own.features.projection, other.features.projection)


def test_more_nodes_than_room() -> None:
    with pytest.raises(ValueError, match=f"Population: {T + M} nodes, and capacity is {T}; raise capacity"):
        fit_population(network(capacity=T), TRAINING, OTHERS)


def test_too_few_training_subjects() -> None:
    with pytest.raises(ValueError, match="SubjectFeatures: 4 training subjects .* do not suffice for 4 features"):
        fit_population(network(), TRAINING[:4])
