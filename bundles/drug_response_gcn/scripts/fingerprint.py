"""Morgan fingerprint of a molecule."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["morgan_fingerprint"]


def morgan_fingerprint(mol: Any, bits: int) -> Tensor:
    """Which circular neighbourhoods of radius 0 to 2 a molecule has, chirality included.

    Args:
        mol: rdkit molecule.
        bits: length; neighbourhoods are hashed to it, so different ones may share a bit.

    Returns:
        0 or 1, (bits,) float32.

    Raises:
        ValueError: for fewer than one bit.

    Reference:
        Rogers and Hahn, Extended-connectivity fingerprints, J. Chem. Inf. Model. 50:742-754 (2010),
        doi:10.1021/ci100050t.
    """
    from rdkit.Chem import rdFingerprintGenerator

    if bits < 1:
        raise ValueError(f"morgan_fingerprint: bits is {bits}, it must be 1 or more.")
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=bits, includeChirality=True)
    return torch.from_numpy(generator.GetFingerprintAsNumPy(mol)).float()
