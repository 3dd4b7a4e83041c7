import warnings

import pytest
import torch
from scripts.molecule_graph import ATOM_FEATURES as F
from scripts.packed_library import pack_library
from torch import Tensor


def drugs() -> Tensor:
    """Three drugs of 2, 0 and 1 atoms, with room for 3 and distances behind the bonds."""
    rows = torch.zeros(3, 3, F + 6)
    rows[0, 0, 0] = rows[0, 1, 1] = rows[2, 0, 2] = 1
    rows[0, 0, F + 1] = rows[0, 1, F] = 5
    rows[0, 0, F + 4] = rows[0, 1, F + 3] = 1.4
    return rows


def test_atoms_and_bonds_of_a_small_library() -> None:
    x, bonds, molecule = pack_library(drugs())
    assert x.shape == (3, F) and x.argmax(1).tolist() == [0, 1, 2]
    assert bonds.layout == torch.sparse_csr
    assert bonds.to_dense().tolist() == [[0, 5, 0], [5, 0, 0], [0, 0, 0]]
    assert molecule.tolist() == [0, 0, 2]


def test_every_block_is_the_molecule_of_the_library() -> None:
    torch.manual_seed(0)
    rows, sizes = torch.zeros(5, 7, F + 7), [7, 1, 4, 0, 6]
    for drug, size in enumerate(sizes):
        rows[drug, :size, 0] = torch.rand(size) + 0.1
        rows[drug, :size, F : F + size] = torch.randint(0, 3, (size, size)).float()
    x, bonds, molecule = pack_library(rows)
    assert molecule.bincount(minlength=5).tolist() == sizes
    blocks = [rows[drug, :size, F : F + size] for drug, size in enumerate(sizes)]
    assert torch.equal(bonds.to_dense(), torch.block_diag(*(block for block in blocks if len(block))))
    assert torch.equal(x, torch.cat([rows[drug, :size, :F] for drug, size in enumerate(sizes)]))


def test_a_row_of_zeros_between_atoms_is_no_atom() -> None:
    rows = drugs()
    order = [0, 2, 1]
    moved = torch.cat([rows[:, order, :F], rows[:, order, F : F + 3][:, :, order]], 2)
    for one, other in zip(pack_library(moved), pack_library(rows), strict=True):
        assert torch.equal(one.to_dense(), other.to_dense())


def test_nothing_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pack_library(drugs())


def test_a_library_without_atoms_is_empty() -> None:
    x, bonds, molecule = pack_library(torch.zeros(2, 4, F + 4))
    assert x.shape == (0, F) and bonds.shape == (0, 0) and len(molecule) == 0


def test_a_bond_to_nothing_and_short_rows_are_refused() -> None:
    rows = drugs()
    rows[1, 0, F + 1] = 1
    with pytest.raises(ValueError, match="pack_library: a bond ends at a row of zeros"):
        pack_library(rows)
    with pytest.raises(ValueError, match=r"pack_library: drugs has shape \[3, 3, 5\], a row must hold"):
        pack_library(rows[:, :, :5])
