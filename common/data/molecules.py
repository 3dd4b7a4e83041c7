"""Read molecules from SMILES, and strip salts; rdkit is imported only when a molecule is read."""

from importlib.util import find_spec
from typing import Any

__all__ = ["parent_molecule", "parent_smiles", "read_molecule", "require_rdkit"]

RDKIT = "rdkit==2026.9.1"


def require_rdkit(who: str) -> None:
    """Say how to install rdkit where it is missing.

    Args:
        who: what needs it, the first word of the message.

    Raises:
        ValueError: rdkit is not installed.
    """
    if find_spec("rdkit") is None:
        raise ValueError(f"{who}: rdkit is not installed; pip install {RDKIT} (requirements-optional.txt).")


def read_molecule(smiles: str, name: str) -> Any:
    """Read one molecule and check its chemistry (valences, aromaticity); its stereo marks are kept.

    Args:
        smiles: SMILES; fragments may be joined by dots.
        name: drug, for the message.

    Returns:
        rdkit `Mol` with at least one atom.

    Raises:
        ValueError: rdkit is not installed, or the text is empty or no molecule.
    """
    require_rdkit("read_molecule")
    from rdkit import Chem, rdBase

    text = smiles.strip() if isinstance(smiles, str) else ""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ValueError(
            f"read_molecule: SMILES of drug {name!r} is {smiles!r}, which is no valid molecule; "
            "correct it or leave the drug out."
        )
    return molecule


def parent_molecule(mol: Any) -> Any:
    """The largest fragment of a molecule: what is left without salts and solvent.

    Args:
        mol: rdkit `Mol` with at least one atom.

    Returns:
        The fragment with the most heavy atoms; of equals the heaviest, and then the last by canonical SMILES. Charges
        stay as they are. Of several equal fragments one is kept.

    Raises:
        ValueError: rdkit is not installed.
    """
    require_rdkit("parent_molecule")
    from rdkit import Chem
    from rdkit.Chem import rdMolDescriptors

    fragments = Chem.GetMolFrags(mol, asMols=True)
    if len(fragments) == 1:
        return mol
    return max(
        fragments,
        key=lambda part: (
            part.GetNumHeavyAtoms(),
            round(rdMolDescriptors.CalcExactMolWt(part), 3),
            Chem.MolToSmiles(part),
        ),
    )


def parent_smiles(mol: Any) -> str:
    """Canonical isomeric SMILES of :func:`parent_molecule`: equal for two salts of one drug, different for R and S."""
    parent = parent_molecule(mol)
    from rdkit import Chem

    return str(Chem.MolToSmiles(parent))
