"""A molecule as a graph of its heavy atoms: one-hot atom features and a code for each bond."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["ATOM_FEATURES", "BOND_CODES", "check_size", "molecule_graph"]

ELEMENTS = ("C", "N", "O", "S", "F", "Cl", "Br", "I", "P", "B", "Si", "Pt", "Se", "As", "Na", "K")
_DEGREES = (0, 1, 2, 3, 4)
_HYDROGENS = (0, 1, 2, 3)
_CHARGES = (-1, 0, 1)
_HYBRIDISATIONS = ("SP", "SP2", "SP3")
_CATEGORIES: tuple[Sequence[Hashable], ...] = (ELEMENTS, _DEGREES, _HYDROGENS, _CHARGES, _HYBRIDISATIONS)
_FLAGS = 6  # aromatic, in a ring, of 5, of 6, R, S

ATOM_FEATURES = sum(len(values) + 1 for values in _CATEGORIES) + _FLAGS
BOND_CODES = 6  # single, double, triple, aromatic, double E, double Z; 0 is no bond
_BOND_CODE = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "AROMATIC": 4}
_STEREO_CODE = {"E": 5, "Z": 6}


def molecule_graph(mol: Any, name: str, max_atoms: int) -> tuple[Tensor, Tensor]:
    """Atom features and bond codes of a molecule, padded with zeros.

    Every number of an atom is 0 or 1: element (C N O S F Cl Br I P B Si Pt Se As Na K, other), bonds to heavy atoms
    (0 .. 4, more), hydrogens (0 .. 3, more), charge (-1, 0, 1, other), hybridisation (sp, sp2, sp3, other), then
    aromatic, in a ring, in a ring of 5, in a ring of 6, stereocentre R (or r), stereocentre S (or s). The first group
    alone makes the row of an atom differ from the padding.

    Stereo descriptors are those of the revised rules, so the cis and trans forms of a ring differ as well.

    Args:
        mol: rdkit molecule, without explicit hydrogens; salts, single atoms and parts without a bond may stand in it.
        name: of the drug, for messages.
        max_atoms: N, rows of the result.

    Returns:
        Features (N, ``ATOM_FEATURES``) and symmetric bond codes (N, N), both float32: 1 single (also dative and any
        other kind), 2 double, 3 triple, 4 aromatic, 5 double E, 6 double Z, 0 none.

    Raises:
        ValueError: a molecule of no atoms, or of more than ``max_atoms``.

    Reference:
        Hanson et al., Algorithmic analysis of Cahn-Ingold-Prelog rules of stereochemistry, J. Chem. Inf. Model.
        58:1755-1765 (2018), doi:10.1021/acs.jcim.8b00324: the descriptors R, S, E, Z.
    """
    from rdkit.Chem import Mol, rdCIPLabeler

    check_size(mol, name, max_atoms)
    mol = Mol(mol)  # the labels would be written into the argument
    rdCIPLabeler.AssignCIPLabels(mol)
    x = torch.zeros(max_atoms, ATOM_FEATURES)
    x[: mol.GetNumAtoms()] = torch.tensor([_atom_features(atom) for atom in mol.GetAtoms()])
    bonds = torch.zeros(max_atoms, max_atoms)
    for bond in mol.GetBonds():
        first, second = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[first, second] = bonds[second, first] = _bond_code(bond)
    return x, bonds


def check_size(mol: Any, name: str, max_atoms: int) -> None:
    """Refuse a molecule that has no atoms, or more than there are rows."""
    atoms = mol.GetNumAtoms()
    if atoms < 1:
        raise ValueError(f"molecule_graph: {name} has no atoms, it must have 1 or more; check its SMILES.")
    if atoms > max_atoms:
        raise ValueError(
            f"molecule_graph: {name} has {atoms} heavy atoms, there is room for {max_atoms}; "
            "raise max_atoms or leave the drug out."
        )


def _atom_features(atom: Any) -> list[float]:
    values: tuple[Hashable, ...] = (
        atom.GetSymbol(),
        atom.GetDegree(),
        atom.GetTotalNumHs(),
        atom.GetFormalCharge(),
        str(atom.GetHybridization()),
    )
    label = _label(atom).upper()  # r and s are the labels of centres that a mirror leaves as they are
    flags = (
        atom.GetIsAromatic(),
        atom.IsInRing(),
        atom.IsInRingSize(5),
        atom.IsInRingSize(6),
        label == "R",
        label == "S",
    )
    groups = [_one_hot(value, known) for value, known in zip(values, _CATEGORIES, strict=True)]
    return [*(number for group in groups for number in group), *map(float, flags)]


def _one_hot(value: Hashable, known: Sequence[Hashable]) -> list[float]:
    """A 1 at the place of ``value``, at the last place for what is not among the known."""
    return [*(float(value == entry) for entry in known), float(value not in known)]


def _bond_code(bond: Any) -> int:
    code = _BOND_CODE.get(str(bond.GetBondType()), 1)
    return _STEREO_CODE.get(_label(bond).upper(), code) if code == 2 else code


def _label(owner: Any) -> str:
    """CIP label of an atom or a bond, empty without one."""
    return owner.GetProp("_CIPCode") if owner.HasProp("_CIPCode") else ""
