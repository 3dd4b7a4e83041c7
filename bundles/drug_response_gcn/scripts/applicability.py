"""How far a molecule is from the drugs that a network was trained on."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .common.data.molecules import parent_molecule, read_molecule
from .fingerprint import morgan_fingerprint

__all__ = ["FINGERPRINT_BITS", "nearest_drug", "tanimoto_similarity"]

FINGERPRINT_BITS = 2048


def tanimoto_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Shared bits over bits of either, of every pair.

    T = |a and b| / |a or b|.

    Args:
        first: fingerprints of 0 and 1, (M, bits).
        second: fingerprints of 0 and 1, (T, bits).

    Returns:
        (M, T) in [0, 1]; 0 where both have no bit.
    """
    shared = first @ second.T
    either = first.sum(1)[:, None] + second.sum(1) - shared
    return shared / either.clamp(min=1)


def nearest_drug(molecule: Any, training: Mapping[str, str]) -> tuple[float, str]:
    """Distance of a molecule to the nearest training drug, and the name of that drug.

    The distance is 1 - the largest Tanimoto similarity of Morgan fingerprints (2,048 bits, radius 2, chirality
    included): 0 for a molecule of the training set, 1 where no neighbourhood is shared. Salts are taken off first.

    Args:
        molecule: SMILES, or an rdkit molecule.
        training: name -> SMILES of the parent of each training drug.

    Returns:
        Distance in [0, 1] and name; of equally near drugs the first.

    Raises:
        ValueError: for no training drugs, or a molecule that cannot be read.
    """
    if not training:
        raise ValueError("nearest_drug: training has no drugs, it must have 1 or more.")
    if isinstance(molecule, str):
        molecule = read_molecule(molecule, "the molecule")
    known = _fingerprints(tuple(training.items()))
    similarity = tanimoto_similarity(_fingerprint(molecule)[None], known)[0]
    best = int((similarity == similarity.max()).nonzero()[0])
    return 1 - float(similarity[best]), list(training)[best]


@lru_cache(maxsize=4)
def _fingerprints(training: tuple[tuple[str, str], ...]) -> Tensor:
    """Fingerprints of the training drugs, (T, bits): the same ones serve every molecule that is asked for."""
    return torch.stack([_fingerprint(read_molecule(parent, name)) for name, parent in training])


def _fingerprint(mol: Any) -> Tensor:
    return morgan_fingerprint(parent_molecule(mol), FINGERPRINT_BITS)
