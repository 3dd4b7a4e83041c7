"""Molecules of the phantom cohort: scaffolds with three places, filled from lists of groups, written as SMILES.

The first place holds a sulfonamide (the planted pharmacophore) or a sulfone with an amine, the second an amide (the
planted potency group) or a ketone with an amine. Each planted group has a decoy that is its isomer: the same atoms in
another arrangement, so that counting elements says nothing and only the neighbourhood of an atom does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count

import numpy as np

__all__ = [
    "AMIDES",
    "DECORATIONS",
    "PHARMACOPHORE_SMARTS",
    "POTENCY_SMARTS",
    "SCAFFOLDS",
    "SULFONAMIDES",
    "PhantomMolecule",
    "phantom_molecules",
]

SCAFFOLDS = (
    "c1({0})cc({1})cc({2})c1",  # benzene
    "c1({0})cnc({1})c({2})c1",  # pyridine
    "c1({0})nc({1})nc({2})c1",  # pyrimidine
    "c1({0})cc({1})c({2})s1",  # thiophene
    "c1({0})cc({1})c({2})o1",  # furan
    "c1({0})ccc2cc({1})cc({2})c2c1",  # naphthalene
    "c1({0})cnc2cc({1})cc({2})c2c1",  # quinoline
    "c1({0})cc({2})c2c(c1)c({1})cn2C",  # N-methylindole
    "c1({0})ccc(cc1)-c1cc({1})cc({2})c1",  # biphenyl
    "c1({0})ccc(cc1)Oc1cc({1})cc({2})c1",  # diphenyl ether
    "c1({0})ccc(cc1)Cc1cc({1})cc({2})c1",  # diphenylmethane
    "C1({0})CCN(CC1)c1cc({1})cc({2})c1",  # phenylpiperidine
)
SULFONAMIDES = {  # planted form: its isomer without the bond from S to N
    "S(=O)(=O)NC": "S(=O)(=O)CN",
    "S(=O)(=O)NCC": "S(=O)(=O)CCN",
    "S(=O)(=O)N(C)C": "S(=O)(=O)CNC",
    "NS(=O)(=O)CC": "NCS(=O)(=O)C",
    "CNS(=O)(=O)C": "C(N)S(=O)(=O)C",
}
AMIDES = {  # planted form: its isomer without the bond from the carbonyl C to N
    "C(=O)NC": "C(=O)CN",
    "C(=O)NCC": "C(=O)CCN",
    "NC(=O)CC": "NCC(C)=O",
    "CNC(C)=O": "C(N)C(C)=O",
}
DECORATIONS = ("F", "Cl", "Br", "C", "CC", "C(C)C", "C#N", "C(F)(F)F", "O", "OC", "CO", "N(C)C", "C1CC1")
PHARMACOPHORE_SMARTS = "[SX4](=O)(=O)[NX3]"
POTENCY_SMARTS = "[CX3](=O)[NX3]"
SHARES = (0.45, 0.5)  # of the molecules with the pharmacophore, with the potency group
STEPS = (5**0.5 / 2 - 0.5, 2**0.5 - 1)  # their multiples fill both shares evenly in any stretch of numbers


@dataclass(frozen=True)
class PhantomMolecule:
    """One molecule.

    Args:
        smiles: valid SMILES of one fragment without stereo centres that are marked.
        pharmacophore: whether it holds a sulfonamide.
        potency: whether it holds an amide.
    """

    smiles: str
    pharmacophore: bool
    potency: bool


@cache
def phantom_molecules(number: int, seed: int) -> tuple[PhantomMolecule, ...]:
    """Draw different molecules; the first ones are the same for every `number`.

    Args:
        number: how many, 0 to 3000.
        seed: which ones.

    Returns:
        The molecules; in every stretch of them near 45 % hold the pharmacophore and half the potency group, one
        regardless of the other.

    Raises:
        ValueError: if `number` is outside its range.
    """
    if not 0 <= number <= 3000:
        raise ValueError(f"phantom_molecules: number is {number}, it must lie in 0 .. 3000; ask for fewer drugs.")
    stream = _stream(seed)
    return tuple(next(stream) for _ in range(number))


def _stream(seed: int) -> Iterator[PhantomMolecule]:
    starts = np.random.default_rng([seed, 0]).random(2)
    seen: set[str] = set()
    for index in count():
        flags = [(start + index * step) % 1 < share for start, step, share in zip(starts, STEPS, SHARES, strict=True)]
        rng = np.random.default_rng([seed, 1, index])
        smiles = _draw(flags, rng)
        while smiles in seen:
            smiles = _draw(flags, rng)
        seen.add(smiles)
        yield PhantomMolecule(smiles, *flags)


def _draw(planted: list[bool], rng: np.random.Generator) -> str:
    """One SMILES; in both lists the planted form stands in column 0 and its isomer in column 1."""
    forms = [list(groups.items())[rng.integers(len(groups))] for groups in (SULFONAMIDES, AMIDES)]
    groups = [form[0] if flag else form[1] for form, flag in zip(forms, planted, strict=True)]
    scaffold = SCAFFOLDS[rng.integers(len(SCAFFOLDS))]
    return scaffold.format(*groups, DECORATIONS[rng.integers(len(DECORATIONS))])
