"""What the bundle knows about the drugs of a data folder, computed once per drug."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from .common.data.atomic import atomic_path
from .common.data.molecules import read_molecule, require_rdkit
from .conformer import molecule_distances
from .fingerprint import morgan_fingerprint
from .molecule_graph import molecule_graph
from .pair_layout import PairLayout

__all__ = ["DrugLibrary", "drug_library", "drug_rows"]

_COLUMNS = ("drug", "smiles", "parent")
_RECIPE = "ETKDGv3 MMFF94 2"  # change it with the way the distances are made: old cache entries are then unused
_MANY = 20  # drugs from which a progress bar is shown


@dataclass(frozen=True)
class DrugLibrary:
    """The drugs of a table, in its order.

    Args:
        names: D drugs.
        parents: SMILES of each without its salt.
        rows: rows of the image, (D, N, width) float32, see :class:`~.pair_layout.PairLayout`.
        fingerprints: (D, bits) float32, bits may be 0.
    """

    names: list[str]
    parents: list[str]
    rows: Tensor
    fingerprints: Tensor


def drug_library(drugs: pd.DataFrame, layout: PairLayout, seed: int = 0, cache_dir: str | None = None) -> DrugLibrary:
    """Compute the library of a table of drugs.

    Args:
        drugs: columns ``drug``, ``smiles`` and ``parent``; the parent is what is computed on, once for all its names.
        layout: sizes; distances are computed for a layout with ``conformer`` only, they cost about a third of a second a
            drug.
        seed: of the conformers, 0 or more.
        cache_dir: folder that keeps the distances for the next time; None computes them each time.

    Raises:
        ValueError: a missing column, no drugs, a name that stands twice, or a molecule that cannot be read, is too
            large or has no conformer.
    """
    require_rdkit("drug_library")
    for column in _COLUMNS:
        if column not in drugs.columns:
            raise ValueError(f"drug_library: column {column!r} is missing, the table needs {', '.join(_COLUMNS)}.")
    names, parents = drugs["drug"].astype(str).tolist(), drugs["parent"].astype(str).tolist()
    if not names:
        raise ValueError("drug_library: the table has no drugs, it must have 1 or more rows.")
    if twice := drugs["drug"].astype(str)[drugs["drug"].duplicated()].tolist():
        raise ValueError(f"drug_library: {twice[0]} stands twice in the table, keep one row for each drug.")
    known: dict[str, tuple[Tensor, Tensor]] = {}
    pairs = list(zip(names, parents, strict=True))
    for name, parent in tqdm(pairs, "drugs", unit="drug", disable=not layout.conformer or len(names) < _MANY):
        if parent not in known:
            known[parent] = _computed(parent, name, layout, seed, cache_dir)
    rows, fingerprints = zip(*(known[parent] for parent in parents), strict=True)
    return DrugLibrary(names, parents, torch.stack(rows), torch.stack(fingerprints))


def drug_rows(mol: Any, name: str, layout: PairLayout, seed: int = 0, cache_dir: str | None = None) -> Tensor:
    """Rows of one molecule, (N, width): features, bond codes and, where the layout has them, distances."""
    parts = list(molecule_graph(mol, name, layout.max_atoms))
    if layout.conformer:
        spare = layout.max_atoms - mol.GetNumAtoms()
        parts.append(pad(_distances(mol, name, seed, cache_dir), (0, spare, 0, spare)))
    return torch.cat(parts, dim=1)


def _computed(parent: str, name: str, layout: PairLayout, seed: int, cache_dir: str | None) -> tuple[Tensor, Tensor]:
    """Rows and fingerprint of a drug."""
    mol = read_molecule(parent, name)
    bits = layout.fingerprint_bits
    return drug_rows(mol, name, layout, seed, cache_dir), morgan_fingerprint(mol, bits) if bits else torch.zeros(0)


def _distances(mol: Any, name: str, seed: int, cache_dir: str | None) -> Tensor:
    """Distances of a molecule without padding, (n, n), from the cache where it has them."""
    from rdkit import Chem, rdBase

    size = mol.GetNumAtoms()
    if cache_dir is None:
        return molecule_distances(mol, seed, name, size)
    smiles = Chem.MolToSmiles(mol)
    order = mol.GetProp("_smilesAtomOutputOrder")  # the matrix stands in the order of the molecule's atoms
    text = "\n".join([smiles, order, str(seed), rdBase.rdkitVersion, _RECIPE])
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = Path(cache_dir) / f"{key}.npz"
    if not path.exists():
        distances = molecule_distances(mol, seed, name, size)
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, distances=distances.numpy())
    with np.load(path, allow_pickle=False) as stored:
        return torch.from_numpy(stored["distances"])
