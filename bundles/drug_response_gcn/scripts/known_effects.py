"""What is known of a drug and a cell line beforehand: their mean effects, under keys that travel with the weights."""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .naive import NaiveMeanEffects

__all__ = ["EFFECTS", "KnownEffects", "key_of"]

EFFECTS = ("drug", "cell")
_NOBODY = -1  # key of a free place; keys of names are 0 or more
_FEWEST = 10  # measured cells that a spread of its own needs


def key_of(name: str) -> int:
    """63-bit checksum of a parent SMILES or a cell's name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


class KnownEffects(nn.Module):
    r"""Offset, scale and code of drugs and cells that training has seen.

    The offset of a pair is :math:`\mu` plus the effects named by ``effects``: only such as are known at test time. A
    model for unseen cells may know the mean of a drug, not that of a cell; with both, training never asks the cell
    tower for the general sensitivity of a cell, and its error on unseen cells rises without a message. The scale of a
    drug is the geometric mean of its own standard deviation around the offset and that of all pairs, so that drugs
    with little spread count too; without the effect of drugs it is that of all pairs. The code is 1 + index among the
    training drugs. An unknown drug or cell has effect 0 and code 0, and the scale of all pairs.

    Args:
        effects: any of ``drug`` and ``cell``.
        num_drugs: most drugs.
        num_cells: most cells; weights of every cohort have these shapes.

    Raises:
        ValueError: another effect.
    """

    mean: Tensor
    spread: Tensor
    drug_keys: Tensor
    drug_effect: Tensor
    drug_scale: Tensor
    cell_keys: Tensor
    cell_effect: Tensor

    def __init__(self, effects: Collection[str], num_drugs: int = 1000, num_cells: int = 2000) -> None:
        super().__init__()
        if unknown := [name for name in effects if name not in EFFECTS]:
            raise ValueError(f"KnownEffects: effects has {unknown[0]!r}, it takes {list(EFFECTS)}.")
        self.effects = tuple(effects)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        for name, count in (("drug", num_drugs), ("cell", num_cells)):
            self.register_buffer(f"{name}_keys", torch.full((count,), _NOBODY))
            self.register_buffer(f"{name}_effect", torch.zeros(count))
        self.register_buffer("drug_scale", torch.ones(num_drugs))

    def fit(self, table: np.ndarray, parents: Sequence[str], cells: Sequence[str]) -> None:
        """Learn from training responses (C, D), ln IC50 with NaN where a pair is not measured.

        Args:
            table: responses of training cells by training drugs.
            parents: parent SMILES of the drugs; drugs of one parent count as one.
            cells: names of the cells.

        Raises:
            ValueError: no measured pair, or more drugs or cells than there is room for.
        """
        cell, drug = np.nonzero(np.isfinite(table))
        if not len(cell):
            raise ValueError("KnownEffects: the training section holds no measured pair; check dataset.json.")
        names = list(dict.fromkeys(parents))
        for what, count, room in (
            ("drugs", len(names), len(self.drug_keys)),
            ("cells", len(cells), len(self.cell_keys)),
        ):
            if count > room:
                raise ValueError(
                    f"KnownEffects: there are {count} {what} and room for {room}; raise capacity#{what} in training and"
                    " inference."
                )
        one = np.array([names.index(parent) for parent in parents])[drug]
        y = table[cell, drug]
        naive = NaiveMeanEffects().fit(y, one, cell, len(names), len(cells))
        effect = {"drug": naive.drug_effect, "cell": naive.cell_effect}
        used = {name: effect[name] if name in self.effects else np.zeros_like(effect[name]) for name in EFFECTS}
        rest = y - naive.mean - used["drug"][one] - used["cell"][cell]
        spread = max(float(rest.std()), 1e-6)
        self.mean.fill_(float(naive.mean))
        self.spread.fill_(spread)
        scales = np.array([self._scale(rest[one == k], spread) for k in range(len(names))])
        _put(self.drug_keys, [key_of(name) for name in names], _NOBODY)
        _put(self.cell_keys, [key_of(name) for name in cells], _NOBODY)
        _put(self.drug_effect, used["drug"], 0)
        _put(self.cell_effect, used["cell"], 0)
        _put(self.drug_scale, scales, 1)

    def _scale(self, rest: np.ndarray, spread: float) -> float:
        if "drug" not in self.effects or len(rest) < _FEWEST or rest.std() == 0:
            return spread
        return float(np.sqrt(rest.std() * spread))

    def drug_lead(self, parents: Sequence[str]) -> Tensor:
        """Offset, scale and code of drugs (D, 3), by their parent SMILES."""
        rows = []
        for parent in parents:
            found = (self.drug_keys == key_of(parent)).nonzero().flatten()
            if len(found):
                k = int(found[0])
                rows.append([float(self.mean + self.drug_effect[k]), float(self.drug_scale[k]), k + 1.0])
            else:
                rows.append([float(self.mean), float(self.spread), 0.0])
        return torch.tensor(rows).reshape(-1, 3)

    def cell_offset(self, cell: str) -> float:
        """Effect of a cell, 0 where unknown."""
        found = (self.cell_keys == key_of(cell)).nonzero().flatten()
        return float(self.cell_effect[found[0]]) if len(found) else 0.0


def _put(buffer: Tensor, values: Sequence[int] | np.ndarray, rest: int) -> None:
    """Write values to the front of a buffer, and ``rest`` behind them."""
    buffer.fill_(rest)
    buffer[: len(values)] = torch.as_tensor(values).to(buffer)
