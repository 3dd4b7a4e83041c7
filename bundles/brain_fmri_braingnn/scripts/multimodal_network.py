"""BrainGNN with structural connectivity beside the functional one."""

from typing import Any

import torch
from torch import Tensor, nn

from .network import BrainGNN

__all__ = ["MultimodalBrainGNN"]

FUSIONS = ("gate", "branch")


class MultimodalBrainGNN(nn.Module):
    r"""Functional and structural (DTI) graphs of the same regions.

    Args:
        fusion: ``"gate"``: one graph with edges :math:`(1 - \lambda) \bar A_{fc} + \lambda \bar A_{sc}`, both scaled to
            a mean degree of 1, :math:`\lambda` learnt; ``"branch"``: a second network on the structural graph (rows
            of streamlines as features), features of both graphs side by side before the head.
        arguments: arguments of :class:`~.network.BrainGNN`.

    Shapes:
        ``image`` (B, 3, N, N): functional features and adjacency, structural adjacency (>= 0, symmetric, log of
        streamline counts; all zero: not measured, then the functional graph stands alone) -> as
        :class:`~.network.BrainGNN`; the scores are those of the functional graph.

    Raises:
        ValueError: for an unknown ``fusion``.
    """

    def __init__(self, fusion: str, **arguments: Any) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"MultimodalBrainGNN: fusion is {fusion!r}, choose one of {list(FUSIONS)}.")
        self.fusion = fusion
        self.functional = BrainGNN(**arguments)
        self.structural = BrainGNN(**arguments) if fusion == "branch" else None
        self.gate = nn.Parameter(torch.zeros(())) if fusion == "gate" else None

    def forward(self, image: Tensor, with_scores: bool = False) -> Tensor:
        """See the class."""
        functional, structure = image[:, :2], image[:, 2]
        measured = (structure != 0).flatten(1).any(1)
        if self.gate is not None:
            share = self.gate.sigmoid() * measured[:, None, None]
            present = (functional[:, 0] != 0).any(2)
            structural = structure * present[:, :, None] * present[:, None]
            edges = (1 - share) * _unit_degree(functional[:, 1]) + share * _unit_degree(structural)
            functional = torch.stack([functional[:, 0], edges], dim=1)
        z, first, second = self.functional.encode(functional)
        logits = self.functional.classify(z)
        if self.structural is not None:
            other, _, _ = self.structural.encode(torch.stack([structure, structure], dim=1))
            # the sum of two linear heads is one linear head on both; a missing modality adds nothing
            logits = logits + self.structural.classify(other) * measured[:, None]
        if not with_scores:
            return logits
        norms = self.functional.norms().expand(len(logits), 2)
        return torch.cat([logits, self.functional.scores(first, second), norms], dim=1)

    def set_feature_scale(self, std: Tensor) -> None:
        """As in :class:`~.network.BrainGNN`; the structural branch takes that of its own channel."""
        self.functional.set_feature_scale(std)
        if self.structural is not None:
            self.structural.set_feature_scale(std[2:])


def _unit_degree(adjacency: Tensor) -> Tensor:
    """Scale each graph (B, N, N) to a mean degree of 1."""
    degree = adjacency.sum(2).mean(1)
    return adjacency / degree.masked_fill(degree == 0, 1)[:, None, None]
