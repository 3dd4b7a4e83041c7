"""What all networks of this bundle have: fitted omics, known effects, and a library of drugs."""

from collections.abc import Callable, Collection, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from .drug_library import DrugLibrary
from .known_effects import KnownEffects
from .omics_features import OmicsFeatures
from .pair_layout import OFFSET, SCALE, PairLayout

__all__ = ["CAPACITY", "ResponseNetwork"]

CAPACITY = {"drugs": 1000, "cells": 2000, "values": 8192}


class ResponseNetwork(nn.Module):
    """Base of a network that maps cells (M, 1 + K) to ln IC50 (M, D) of the drugs of its library.

    Args:
        num_components: components of each kind of omics, in order.
        num_genes: genes of the gene graph, 0 without.
        effects: known mean effects, see :class:`~.known_effects.KnownEffects`.
        max_atoms: N, heavy atoms of the largest molecule.
        fingerprint_bits: bits of the fingerprints in the library, 0 without.
        conformer: whether molecules need distances of their atoms.
        capacity: room for training ``drugs`` and ``cells`` and for ``values`` of a kind of omics; weights of every
            cohort have shapes of these sizes.
    """

    def __init__(
        self,
        num_components: Mapping[str, int],
        num_genes: int,
        effects: Collection[str],
        max_atoms: int,
        fingerprint_bits: int,
        conformer: bool,
        capacity: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.omics = OmicsFeatures(num_components, num_genes, capacity["values"])
        self.known = KnownEffects(effects, capacity["drugs"], capacity["cells"])
        self.layout = PairLayout(
            max_atoms=max_atoms,
            cell_features=self.omics.num_features,
            fingerprint_bits=fingerprint_bits,
            conformer=conformer,
        )
        self.lead = torch.zeros(0)

    def set_library(self, library: DrugLibrary) -> None:
        """Take the drugs that cells are held against, on the device of the weights.

        Offset, scale and code of each come from ``known``, so fit or load that first.
        """
        lead = self.known.drug_lead(library.parents)
        self.lead = torch.cat([lead, library.fingerprints], dim=1).to(next(self.parameters()).device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Let the library, which is no buffer as it is no part of the weights, follow them to a device."""
        super()._apply(fn, recurse)
        self.lead = fn(self.lead)
        return self

    @torch.jit.unused
    def in_ln_units(self, out: Tensor, cells: Tensor) -> Tensor:
        """Ln IC50 (M, D) of answers (M, D) in units of the drugs' scales, with offsets of drugs and cells (M, 1 + K)."""
        return self.lead[:, OFFSET] + cells[:, :1] + self.lead[:, SCALE] * out
