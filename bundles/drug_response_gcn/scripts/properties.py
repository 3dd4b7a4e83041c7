"""Properties of a molecule that rdkit computes from its graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .common.data.molecules import require_rdkit

__all__ = ["PROPERTIES", "molecular_properties"]

_RDKIT_NAMES = {  # ours: rdkit's
    "logp": "CrippenClogP",
    "polar_surface": "tpsa",
    "rings": "NumRings",
    "aromatic_rings": "NumAromaticRings",
    "hydrogen_donors": "NumHBD",
    "hydrogen_acceptors": "NumHBA",
    "rotatable_bonds": "NumRotatableBonds",
    "weight": "amw",
    "fraction_sp3": "FractionCSP3",
}
PROPERTIES = tuple(_RDKIT_NAMES)


def molecular_properties(mol: Any) -> Tensor:
    """Nine properties of a molecule, float32, in the order of `PROPERTIES`.

    These are logP (Crippen), polar surface area in square angstrom, rings, aromatic rings, hydrogen donors, hydrogen
    acceptors, rotatable bonds, molecular weight in g/mol, and share of the carbons that are sp3 (0 without carbon).

    Args:
        mol: rdkit molecule, without explicit hydrogens.

    Raises:
        ValueError: rdkit is not installed.

    Reference:
        Wildman and Crippen, J. Chem. Inf. Comput. Sci. 39:868-873 (1999), doi:10.1021/ci990307l (logP); Ertl et al.,
        J. Med. Chem. 43:3714-3717 (2000), doi:10.1021/jm000942e (polar surface).
    """
    require_rdkit("molecular_properties")
    from rdkit.Chem.rdMolDescriptors import Properties

    return torch.tensor(list(Properties(list(_RDKIT_NAMES.values())).ComputeProperties(mol)), dtype=torch.float32)
