"""Pooling of BrainGNN that keeps the regions with the highest scores."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ROITopKPool", "Selection", "gather_edges", "gather_regions"]


class Selection(NamedTuple):
    """What a pooling layer decided.

    Attributes:
        scores: (B, n) standardised score of every region, NaN where it is missing.
        gate: (B, n) sigmoid of the scores, 0 where missing.
        index: (B, k) positions of the kept regions, highest score first.
    """

    scores: Tensor
    gate: Tensor
    index: Tensor  # type: ignore[assignment]


def gather_regions(x: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (B, k) of ``x`` (B, n, ...) -> (B, k, ...)."""
    graph = torch.arange(index.shape[0], device=index.device)[:, None]
    return x[graph, index]


def gather_edges(adjacency: Tensor, index: Tensor) -> Tensor:
    """Edges among the regions ``index`` (B, k): (B, n, n) -> (B, k, k)."""
    place = index[:, :, None] * adjacency.shape[2] + index[:, None, :]  # (B, k, k) in the flattened matrix
    return adjacency.flatten(1).gather(1, place.flatten(1)).view_as(place)


class ROITopKPool(nn.Module):
    r"""Score every region, keep the best k and gate them by their score.

    .. math::
        s = H w / \|w\|_2, \qquad \tilde s = (s - \mathrm{mean}(s)) / \mathrm{std}(s), \qquad
        i = \mathrm{topk}(\tilde s, k), \qquad H' = (H \odot \sigma(\tilde s))_i, \qquad E' = E_{i,i}

    The scores of ALL regions are returned beside the index, so each one belongs to a region of the atlas.

    Args:
        in_channels: F.
        ratio: k = ceil(ratio n), in (0, 1].
        standardise: False leaves the scores as they are (authors' code).

    Shapes:
        ``x`` (B, n, F), ``adjacency`` (B, n, n), ``present`` (B, n) bool or None ->
        ``x'`` (B, k, F), ``adjacency'`` (B, k, k), :class:`Selection`. Mean and standard deviation (of the
        population) are over the present regions of a graph; a missing one is kept only when fewer than k are present,
        and its gate is 0.

    Raises:
        ValueError: for a ratio outside (0, 1].

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), Eq. (4).
    """

    def __init__(self, in_channels: int, ratio: float = 0.5, standardise: bool = True) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise ValueError(f"ROITopKPool: ratio is {ratio}, it must be in (0, 1].")
        self.in_channels = in_channels
        self.ratio = ratio
        self.standardise = standardise
        self.weight = nn.Parameter(torch.empty(in_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw w from U(-1/sqrt(F), 1/sqrt(F))."""
        nn.init.uniform_(self.weight, -(self.in_channels**-0.5), self.in_channels**-0.5)

    def num_kept(self, num_regions: int) -> int:
        """Number k of kept regions among n."""
        return math.ceil(self.ratio * num_regions)

    def select(self, x: Tensor, present: Tensor | None = None) -> Selection:
        """Score the regions of ``x`` (B, n, F) and choose."""
        scores = x @ (self.weight / self.weight.norm())
        if present is None:
            present = torch.ones_like(scores, dtype=torch.bool)
        if self.standardise:
            count = present.sum(1, keepdim=True).clamp(min=1)
            centred = (scores - (scores * present).sum(1, keepdim=True) / count) * present
            variance = centred.square().sum(1, keepdim=True) / count
            scores = centred / (variance + 1e-12).sqrt()
        index = scores.masked_fill(~present, -torch.inf).topk(self.num_kept(x.shape[1]), dim=1).indices
        gate = scores.sigmoid() * present  # Eq. (4)
        return Selection(scores.masked_fill(~present, torch.nan), gate, index)

    def forward(self, x: Tensor, adjacency: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor, Selection]:
        """See the class."""
        selection = self.select(x, present)
        kept = gather_regions(x * selection.gate[:, :, None], selection.index)
        return kept, gather_edges(adjacency, selection.index), selection

    def extra_repr(self) -> str:
        """Settings in the order of the arguments."""
        return f"{self.in_channels}, ratio={self.ratio}, standardise={self.standardise}"
