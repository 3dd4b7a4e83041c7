"""All drugs of a library side by side, without padding."""

import warnings

import torch
from torch import Tensor

from .molecule_graph import ATOM_FEATURES

__all__ = ["pack_library"]


def pack_library(drugs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Join padded molecules to one graph of n atoms.

    Args:
        drugs: rows of the drugs (D, N, W), atom features, bond codes, and what else stands behind (distances). A row of
            zeros is no atom, wherever it stands; a molecule may have none.

    Returns:
        Atom features (n, ``ATOM_FEATURES``), bond codes (n, n) sparse CSR with row v holding the bonds into atom v, and
        the index in the library of every atom's molecule (n,), ascending.

    Raises:
        ValueError: rows that are too short, or a bond to a row that is no atom.
    """
    molecules, max_atoms, width = drugs.shape
    if width < ATOM_FEATURES + max_atoms:
        raise ValueError(
            f"pack_library: drugs has shape {list(drugs.shape)}, a row must hold {ATOM_FEATURES} atom features and "
            f"{max_atoms} bond codes; take the rows that PairLayout unpacks."
        )
    x, codes = drugs[..., :ATOM_FEATURES], drugs[..., ATOM_FEATURES : ATOM_FEATURES + max_atoms]
    present = (x != 0).any(2)
    molecule, target, source = codes.nonzero(as_tuple=True)
    if not (present[molecule, target] & present[molecule, source]).all():
        raise ValueError("pack_library: a bond ends at a row of zeros, which is no atom; set its bond codes to 0.")
    number = (present.flatten().cumsum(0) - 1).view(molecules, max_atoms)  # of the atom in the joined graph
    atoms = int(present.sum())
    index = torch.stack([number[molecule, target], number[molecule, source]])
    # torch warns where check_invariants is left open
    bonds = torch.sparse_coo_tensor(
        index, codes[molecule, target, source], (atoms, atoms), check_invariants=False, is_coalesced=True
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")  # "in beta state", once a process
        return x[present], bonds.to_sparse_csr(), present.nonzero()[:, 0]
