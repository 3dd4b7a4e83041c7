import math

import pytest
import torch
from scripts.molecule_graph import ATOM_FEATURES
from scripts.pair_layout import DRUG_CODE, LEAD, OFFSET, SCALE, PairLayout, unpack_drug, unpack_vector
from torch import Tensor, nn

F = ATOM_FEATURES


@pytest.mark.parametrize(
    ("layout", "width", "length", "rows"),
    [
        pytest.param(PairLayout(cell_features=256), F + 96, 259, 2, id="graph"),
        pytest.param(PairLayout(max_atoms=10, cell_features=5, conformer=True), F + 20, 8, 1, id="distances"),
        pytest.param(
            PairLayout(max_atoms=8, cell_features=4, fingerprint_bits=2 * F + 9), F + 8, 2 * F + 16, 2, id="full"
        ),
        pytest.param(
            PairLayout(max_atoms=8, cell_features=5, fingerprint_bits=2 * F + 9), F + 8, 2 * F + 17, 3, id="more"
        ),
        pytest.param(PairLayout(max_atoms=1, cell_features=0), F + 1, 3, 1, id="smallest"),
    ],
)
def test_sizes_by_hand(layout: PairLayout, width: int, length: int, rows: int) -> None:
    assert (layout.width, layout.vector_length, layout.vector_rows) == (width, length, rows)
    assert layout.shape == (1, layout.max_atoms + rows, width)


@pytest.mark.parametrize("conformer", [False, True])
@pytest.mark.parametrize("bits", [0, 64, 300])
def test_what_is_packed_comes_back(conformer: bool, bits: int) -> None:
    layout = PairLayout(max_atoms=12, cell_features=50, fingerprint_bits=bits, conformer=conformer)
    drugs, vectors = torch.randn(3, 12, layout.width), torch.randn(3, layout.vector_length)
    images = torch.stack([layout.pack(drug, vector) for drug, vector in zip(drugs, vectors, strict=True)])
    assert images.shape == (3, *layout.shape)
    assert torch.equal(layout.unpack_drug(images), drugs)
    assert torch.equal(layout.unpack_vector(images), vectors)


def test_the_vector_begins_behind_the_atoms_and_is_padded_with_zeros() -> None:
    layout = PairLayout(max_atoms=2, cell_features=3)
    vector = torch.tensor([-1.5, 0.5, 4.0, 7.0, 8.0, 9.0])
    image = layout.pack(torch.ones(2, layout.width), vector)
    assert image[0, 2, :6].tolist() == vector.tolist()
    assert not image[0, 2, 6:].any()
    assert [float(vector[place]) for place in (OFFSET, SCALE, DRUG_CODE, LEAD)] == [-1.5, 0.5, 4, 7]


class Slices(nn.Module):
    """What a network does with an image."""

    def __init__(self, layout: PairLayout) -> None:
        super().__init__()
        self.max_atoms, self.vector_length = layout.max_atoms, layout.vector_length

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return unpack_drug(image, self.max_atoms), unpack_vector(image, self.max_atoms, self.vector_length)


def test_slices_work_in_torchscript_and_export() -> None:
    layout = PairLayout(max_atoms=5, cell_features=60)
    network, images = Slices(layout), torch.randn(3, *layout.shape)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(network, (images,), dynamic_shapes=({0: batch},)).module()
    for variant in (torch.jit.script(network), exported):
        drug, vector = variant(images[:2])
        assert torch.equal(drug, layout.unpack_drug(images[:2])) and torch.equal(
            vector, layout.unpack_vector(images[:2])
        )


def test_positions_are_not_taken_for_names() -> None:
    with pytest.raises(TypeError):
        PairLayout(96, 256)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            {"max_atoms": 0, "cell_features": 1}, "PairLayout: max_atoms is 0, it must be 1 or more", id="atoms"
        ),
        pytest.param({"cell_features": -1}, "cell_features is -1, it must be 0 or more", id="cell"),
        pytest.param({"cell_features": 1, "fingerprint_bits": -2}, "fingerprint_bits is -2, it must be 0", id="bits"),
    ],
)
def test_bad_sizes_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairLayout(**arguments)


@pytest.mark.parametrize(
    ("drug", "vector", "message"),
    [
        pytest.param(
            (4, F + 3), (7,), rf"drug_rows has shape \(4, {F + 3}\), this layout wants \(3, {F + 3}\)", id="drug"
        ),
        pytest.param((3, F + 3), (5,), r"vector has shape \(5,\), this layout wants \(7,\)", id="vector"),
    ],
)
def test_other_shapes_are_not_packed(drug: tuple, vector: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairLayout(max_atoms=3, cell_features=4).pack(torch.zeros(drug), torch.zeros(vector))


def test_rows_of_the_vector_are_the_fewest_that_hold_it() -> None:
    for cells in range(0, 300, 7):
        layout = PairLayout(max_atoms=4, cell_features=cells)
        assert layout.vector_rows == math.ceil(layout.vector_length / layout.width)
        assert 0 <= layout.vector_rows * layout.width - layout.vector_length < layout.width
