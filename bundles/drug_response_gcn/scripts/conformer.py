"""Distances of the atoms of a molecule in one computed conformer."""

from typing import Any

import torch
from torch import Tensor

from .molecule_graph import check_size

__all__ = ["APART", "molecule_distances"]

APART = 100.0  # angstrom, beyond every cutoff: parts without a bond have no place relative to each other

_ATTEMPTS: tuple[dict[str, bool], ...] = (
    {},
    {"useRandomCoords": True},
    # strained rings: bounds of the distances alone, without what is known of torsions and flat rings
    {"useExpTorsionAnglePrefs": False, "useBasicKnowledge": False, "ignoreSmoothingFailures": True},
)


def molecule_distances(mol: Any, seed: int, name: str, max_atoms: int) -> Tensor:
    """Distances of the heavy atoms in a conformer, padded with zeros.

    The molecule is embedded with its hydrogens, which leave afterwards; a strained one that the rules of torsions and
    rings refuse is embedded by the bounds of its distances alone. MMFF94 relaxes it where it has parameters for
    every atom. Distances know no handedness: mirror images get equal ones up to the conformer that is found. The same
    atom order, seed and rdkit version give the same distances.

    Args:
        mol: rdkit molecule, without explicit hydrogens.
        seed: of the embedding, 0 or more.
        name: of the drug, for messages.
        max_atoms: N, rows of the result.

    Returns:
        Angstrom, (N, N), symmetric, float32, 0 on the diagonal and beyond the last atom; ``APART`` between the parts
        of a molecule in several.

    Raises:
        ValueError: more atoms than ``max_atoms``, a negative seed, or a molecule that cannot be embedded.

    Reference:
        Wang et al., Improving conformer generation for small rings and macrocycles (ETKDGv3), J. Chem. Inf. Model.
        60:2044-2058 (2020), doi:10.1021/acs.jcim.0c00025.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    check_size(mol, name, max_atoms)
    if seed < 0:
        raise ValueError(f"molecule_distances: seed is {seed}, it must be 0 or more; rdkit takes less for any seed.")
    full = Chem.AddHs(mol)
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed = seed + 1  # rdkit takes 0 for 1
    with rdBase.BlockLogs():  # atoms without parameters are announced
        for attempt in _ATTEMPTS:
            for key, value in attempt.items():
                setattr(settings, key, value)
            if rdDistGeom.EmbedMolecule(full, settings) >= 0:
                break
        else:
            raise ValueError(
                f"molecule_distances: {name} has no conformer that can be embedded, its SMILES is "
                f"{Chem.MolToSmiles(mol)!r}; leave the drug out or use an encoder without distances."
            )
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(full):
            rdForceFieldHelpers.MMFFOptimizeMolecule(full)
    distances = torch.zeros(max_atoms, max_atoms)
    size = mol.GetNumAtoms()  # hydrogens were added behind the heavy atoms
    distances[:size, :size] = torch.from_numpy(Chem.Get3DDistanceMatrix(full)[:size, :size])
    part = torch.zeros(max_atoms)
    for index, atoms in enumerate(Chem.GetMolFrags(mol)):
        part[list(atoms)] = index
    apart = part[:size, None] != part[:size]
    distances[:size, :size][apart] = APART
    return distances
