"""Pretraining on properties: items, standardised targets, and a tower that learns."""

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("rdkit")
from scripts.common.data.molecules import read_molecule
from scripts.drug_library import DrugLibrary, drug_library
from scripts.molecule_graph import ATOM_FEATURES
from scripts.pair_layout import PairLayout
from scripts.phantom_molecules import phantom_molecules
from scripts.pretraining import PropertyPretraining, pretrain, property_items
from scripts.properties import PROPERTIES, molecular_properties

LAYOUT = PairLayout(max_atoms=30, cell_features=3, fingerprint_bits=8)


class Sums(nn.Module):
    """Sums of atom features through a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(ATOM_FEATURES, 16)
        self.dropout = nn.Dropout(0.1)

    def forward(self, drug: Tensor, vector: Tensor) -> Tensor:
        assert vector.shape[1] == LAYOUT.vector_length
        return self.dropout(self.linear(drug[:, :, :ATOM_FEATURES].sum(1) / 10))


def network(seed: int = 0) -> PropertyPretraining:
    torch.manual_seed(seed)
    return PropertyPretraining(Sums(), LAYOUT, 16)


@pytest.fixture(scope="module")
def library() -> DrugLibrary:
    smiles = [one.smiles for one in phantom_molecules(80, 0)]
    table = pd.DataFrame({"drug": [f"drug {k}" for k in range(80)], "smiles": smiles, "parent": smiles})
    return drug_library(pd.concat([table, table[:1].assign(drug="twin")]), LAYOUT)


def test_an_item_is_a_molecule_without_a_cell(library: DrugLibrary) -> None:
    items = property_items(library, LAYOUT)
    assert [item["id"] for item in items] == [f"drug {k}" for k in range(80)]  # the twin counts once
    image = items[5]["image"]
    assert image.shape == LAYOUT.shape
    assert torch.equal(LAYOUT.unpack_drug(image[None])[0], library.rows[5])
    vector = LAYOUT.unpack_vector(image[None])[0]
    assert torch.equal(vector[3:11], library.fingerprints[5]) and not vector[:3].any() and not vector[11:].any()
    assert torch.equal(items[5]["label"], molecular_properties(read_molecule(library.parents[5], "")))


def test_properties_are_standardised_by_the_molecules_of_training() -> None:
    properties = torch.randn(50, len(PROPERTIES)) * 7 + 3
    properties[:, 2] = 5.0
    model = network()
    model.fit(properties)
    scaled = model.standardise(properties)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(len(PROPERTIES)), atol=1e-5, rtol=0)
    spread = torch.ones(len(PROPERTIES))
    spread[2] = 0  # a property that is the same in all stays in its unit
    torch.testing.assert_close(scaled.std(0, correction=0), spread)
    assert {"mean", "scale"} <= set(model.state_dict())


def test_a_tower_learns_the_properties(library: DrugLibrary) -> None:
    model, items = network(), property_items(library, LAYOUT)
    before = model.tower.linear.weight.detach().clone()
    history = pretrain(model, items, num_epochs=150, learning_rate=0.03)
    assert len(history) == 150 and history[0] > 0.5 > 0.3 > history[-1]
    assert not torch.equal(model.tower.linear.weight, before) and not model.training
    labels = torch.stack([item["label"] for item in items])
    error = model(torch.stack([item["image"] for item in items])) - model.standardise(labels)
    assert error.square().mean() < 0.15


def test_one_seed_gives_one_result_and_the_callers_generator_is_left(library: DrugLibrary) -> None:
    items = property_items(library, LAYOUT)[:20]
    models = [network() for _ in range(3)]
    state = torch.get_rng_state()
    histories = [pretrain(model, items, 3, seed=seed) for model, seed in zip(models, (0, 0, 1), strict=True)]
    assert torch.equal(torch.get_rng_state(), state)
    assert histories[0] == histories[1] != histories[2]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_no_molecules_are_refused() -> None:
    with pytest.raises(ValueError, match="pretrain: there is no molecule, items must hold 1 or more"):
        pretrain(network(), [])


@pytest.mark.parametrize("shape", [(0, 9), (4, 8), (9,)], ids=["none", "columns", "vector"])
def test_properties_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"PropertyPretraining: properties have the shape"):
        network().fit(torch.zeros(shape))
