"""Atom attributions: exact on networks whose answer is known, of the present atoms only, and of nothing else."""

import pytest
import torch
from scripts.attribution import METHODS, atom_attributions, without_atoms
from scripts.molecule_graph import ATOM_FEATURES
from scripts.pair_layout import PairLayout
from torch import Tensor, nn

LAYOUT = PairLayout(max_atoms=6, cell_features=4)
ATOMS = 4


class Additive(nn.Module):
    """Sum over atoms of a weight for each feature, plus the vector; `trained` shows the mode it was called in."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, ATOM_FEATURES))
        self.modes: list[bool] = []

    def forward(self, image: Tensor) -> Tensor:
        self.modes.append(self.training)
        atoms = LAYOUT.unpack_drug(image)[:, :, :ATOM_FEATURES] @ self.weight
        return (atoms.sum(1) + 10 * LAYOUT.unpack_vector(image).sum(1))[:, None]


class Bonds(nn.Module):
    """Number of bonds."""

    def forward(self, image: Tensor) -> Tensor:
        return (LAYOUT.unpack_drug(image)[:, :, ATOM_FEATURES:] > 0).sum((1, 2))[:, None] / 2.0


@pytest.fixture
def image() -> Tensor:
    """A chain of four atoms with random features."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.zeros(LAYOUT.max_atoms, LAYOUT.width)
    rows[:ATOMS, :ATOM_FEATURES] = (torch.rand(ATOMS, ATOM_FEATURES, generator=generator) < 0.3).float()
    rows[:ATOMS, 0] = 1
    for k in range(ATOMS - 1):
        rows[k, ATOM_FEATURES + k + 1] = rows[k + 1, ATOM_FEATURES + k] = 1
    return LAYOUT.pack(rows, torch.rand(LAYOUT.vector_length, generator=generator))


@pytest.mark.parametrize("method", METHODS)
def test_of_a_sum_over_atoms_each_atom_gets_its_term(image: Tensor, method: str) -> None:
    network = Additive()
    expected = image[0, :ATOMS, :ATOM_FEATURES] @ network.weight.detach()
    torch.testing.assert_close(atom_attributions(network, image, LAYOUT, method), expected)


def test_an_atom_is_left_out_with_its_bonds(image: Tensor) -> None:
    torch.testing.assert_close(atom_attributions(Bonds(), image, LAYOUT), torch.tensor([1.0, 2.0, 2.0, 1.0]))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_size_of_a_batch_changes_nothing(image: Tensor, batch_size: int) -> None:
    network = Additive()
    expected = atom_attributions(network, image, LAYOUT)
    torch.testing.assert_close(atom_attributions(network, image, LAYOUT, batch_size=batch_size), expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_used_in_evaluation_mode_and_left_as_it_was(image: Tensor, method: str) -> None:
    network, before = Additive().train(), image.clone()
    values = atom_attributions(network, image, LAYOUT, method)
    assert not any(network.modes) and network.training
    assert network.weight.grad is None and not values.requires_grad
    assert torch.equal(image, before)


def test_without_atoms_clears_features_bonds_and_distances() -> None:
    layout = PairLayout(max_atoms=5, cell_features=2, conformer=True)
    image = torch.ones(layout.shape)
    rest = without_atoms(image, [1, 3], layout)
    drug, kept = layout.unpack_drug(rest[None])[0], torch.tensor([0, 2, 4])
    assert not drug[[1, 3]].any()
    for start in (ATOM_FEATURES, ATOM_FEATURES + 5):
        assert not drug[:, [start + 1, start + 3]].any() and drug[kept][:, start + kept].all()
    assert drug[kept, :ATOM_FEATURES].all()
    assert torch.equal(layout.unpack_vector(rest[None]), layout.unpack_vector(image[None]))
    assert image.all()


@pytest.mark.parametrize(
    ("changed", "method", "message"),
    [
        pytest.param(lambda image: image[None], "occlusion", r"shape \(1, 1, .*its layout \(1, ", id="shape"),
        pytest.param(torch.zeros_like, "occlusion", "holds no atom, it must have 1 or more", id="no-atom"),
        pytest.param(torch.clone, "magic", r"method is 'magic', it must be one of \['occlusion'", id="method"),
    ],
)
def test_bad_input_is_refused(image: Tensor, changed: object, method: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        atom_attributions(Additive(), changed(image), LAYOUT, method)  # type: ignore[operator]
