"""BrainGNN on dense graphs over a fixed atlas."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .common.layers import RaGConv, Readout, ROITopKPool, Selection, gather_edges, gather_regions

__all__ = ["BrainGNN", "BrainGNNEnsemble"]

MODES = ("paper", "official")
READOUTS = ("paper", "region")


class BrainGNN(nn.Module):
    """Two blocks of region-aware convolution and pooling, readouts, and a head.

    Args:
        num_regions: N, regions of the atlas.
        num_classes: C.
        channels: output channels of the two convolutions.
        num_communities: K of each convolution.
        ratio: share of the regions that each pooling layer keeps.
        mode: ``"paper"``: the equations; ``"official"``: the authors' code (edges normalised by a softmax with a
            self loop inside, bias and no ReLU in the convolution, scores not standardised, ``(A + I)^2`` between the
            blocks).
        readout: ``"paper"``: mean and maximum over regions, which forget where a feature came from; ``"region"``:
            beside them each kept region's features at its place in the atlas (0 where it was dropped), batch
            normalised without scale and shift.
        hidden_channels: widths of the hidden layers of the head (linear, ReLU, batch norm, dropout); none is a linear
            head, whose weights start at 0.
        dropout: of the head.
        edges: False cuts all edges, the ablation that a sceptic asks for.
        attention: edge attention in the convolutions.
        xavier: Xavier initialisation of the bases.

    Shapes:
        ``image`` (B, 2, N, N), node features and adjacency (>= 0) -> logits (B, C). A region whose row of features is
        all zero is missing: it sends nothing, is not pooled and does not count in means.
        With ``with_scores=True`` the output is (B, C + 2 N + 2): logits, standardised scores of the first pooling
        layer (NaN for a missing region) and of the second (NaN also for those dropped by the first) in the order of
        the atlas, and the lengths of the two projection vectors.

    Raises:
        ValueError: for an unknown ``mode`` or ``readout``, or an image of another atlas.

    Reference:
        Li et al., BrainGNN, Medical Image Analysis 74:102233 (2021). ``readout="region"`` is not in the paper.
    """

    feature_std: Tensor

    def __init__(
        self,
        num_regions: int,
        num_classes: int = 2,
        channels: Sequence[int] = (32, 32),
        num_communities: int = 8,
        ratio: float = 0.5,
        mode: str = "paper",
        readout: str = "paper",
        hidden_channels: Sequence[int] = (32, 512),
        dropout: float = 0.5,
        edges: bool = True,
        attention: bool = False,
        xavier: bool = False,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"BrainGNN: mode is {mode!r}, choose one of {list(MODES)}.")
        if readout not in READOUTS:
            raise ValueError(f"BrainGNN: readout is {readout!r}, choose one of {list(READOUTS)}.")
        self.num_regions = num_regions
        self.num_classes = num_classes
        self.augment = mode == "official"
        self.by_region = readout == "region"
        self.edges = edges
        first, second = channels
        rules: dict[str, Any] = {
            "num_regions": num_regions,
            "num_communities": num_communities,
            "edge_norm": "softmax" if mode == "official" else "sum",
            "bias": mode == "official",
            "activation": mode == "paper",
            "attention": attention,
            "xavier": xavier,
        }
        self.conv1 = RaGConv(num_regions, first, **rules)
        self.pool1 = ROITopKPool(first, ratio, standardise=mode == "paper")
        self.conv2 = RaGConv(first, second, **rules)
        self.pool2 = ROITopKPool(second, ratio, standardise=mode == "paper")
        self.readout = Readout()
        self.out_channels = (first + second) * (2 + num_regions * self.by_region)
        self.norm = nn.BatchNorm1d(self.out_channels, affine=False) if self.by_region else nn.Identity()
        self.head = _head(self.out_channels, hidden_channels, num_classes, dropout)
        self.register_buffer("feature_std", torch.ones(num_regions, num_regions))

    def forward(self, image: Tensor, with_scores: bool = False) -> Tensor:
        """See the class."""
        z, first, second = self.encode(image)
        logits = self.classify(z)
        if not with_scores:
            return logits
        return torch.cat([logits, self.scores(first, second), self.norms().expand(len(logits), 2)], dim=1)

    def scores(self, first: Selection, second: Selection) -> Tensor:
        """Scores of both pooling layers in the order of the atlas, (B, 2 N)."""
        later = torch.full_like(first.scores, torch.nan).scatter(1, first.index, second.scores)
        return torch.cat([first.scores, later], dim=1)

    def norms(self) -> Tensor:
        """Lengths of the two projection vectors, (2,)."""
        return torch.stack([self.pool1.weight.norm(), self.pool2.weight.norm()])

    def encode(self, image: Tensor) -> tuple[Tensor, Selection, Selection]:
        """Features of the whole graph, z (B, ``out_channels``), and the decisions of both pooling layers."""
        if image.shape[1:] != (2, self.num_regions, self.num_regions):
            raise ValueError(
                f"BrainGNN: image has shape {list(image.shape)}, expected (B, 2, {self.num_regions}, {self.num_regions});"
                " the regions must be those of the atlas that the network was made for."
            )
        x, adjacency = image[:, 0], image[:, 1]
        present = (x.amax(2) != 0) | (x.amin(2) != 0)  # also True for NaN, which must not vanish
        if not self.edges:
            adjacency = torch.zeros_like(adjacency)

        kernels = self.conv1.kernels() / self.feature_std[:, :, None]  # cheaper than to scale every graph
        h1 = self.conv1.aggregate(self.conv1.transform(x, kernels), adjacency) * present[:, :, None]
        first = self.pool1.select(h1, present)
        gated = h1 * first.gate[:, :, None]
        # kernels belong to regions, so they are applied before the regions are gathered: no kernel is copied
        both = gather_regions(torch.cat([gated, self.conv2.transform(gated)], dim=2), first.index)
        kept1, transformed = both[:, :, : h1.shape[2]], both[:, :, h1.shape[2] :]
        present1 = present.gather(1, first.index)
        adjacency = gather_edges(adjacency, first.index)
        if self.augment and self.edges:
            adjacency = _augment(adjacency)

        h2 = self.conv2.aggregate(transformed, adjacency) * present1[:, :, None]
        second = self.pool2.select(h2, present1)
        kept2 = gather_regions(h2 * second.gate[:, :, None], second.index)
        present2 = present1.gather(1, second.index)
        z = torch.cat([self.readout(kept1, present1), self.readout(kept2, present2)], dim=1)  # Eq. (5)
        if self.by_region:
            index2 = first.index.gather(1, second.index)
            z = torch.cat([z, self._place(kept1, first.index), self._place(kept2, index2)], dim=1)
        return z, first, second

    def classify(self, z: Tensor) -> Tensor:
        """Logits (B, C) of features z; several graphs of a subject may be pooled in between."""
        if self.by_region:  # divided by the root of the width: a step of the optimiser means the same for any width
            z = self.norm(z) / self.out_channels**0.5
        return self.head(z)

    def set_feature_scale(self, std: Tensor) -> None:
        """Take the standard deviation (channels, N, N) of each entry of ``image`` over the training cases."""
        self.feature_std.copy_(std[0])

    def _place(self, kept: Tensor, index: Tensor) -> Tensor:
        """(B, k, O) at the positions ``index`` of (B, N, O), flattened."""
        empty = torch.zeros(kept.shape[0], self.num_regions, kept.shape[2], dtype=kept.dtype, device=kept.device)
        return empty.scatter(1, index[:, :, None].expand_as(kept), kept).flatten(1)


class BrainGNNEnsemble(nn.Module):
    """Members of one architecture that differ in their initial weights, trained and stored together.

    Args:
        num_members: M.
        arguments: arguments of :class:`BrainGNN`.

    Shapes:
        ``image`` (B, 2, N, N) -> log of the members' mean probability (B, C); with ``with_scores=True`` the outputs of
        all members side by side (B, M (C + 2 N + 2)), so that a loss can train each as if it were alone.

    Raises:
        ValueError: when ``num_members`` is not positive.
    """

    def __init__(self, num_members: int, **arguments: Any) -> None:
        super().__init__()
        if num_members < 1:
            raise ValueError(f"BrainGNNEnsemble: num_members is {num_members}, it must be at least 1.")
        self.members = nn.ModuleList(BrainGNN(**arguments) for _ in range(num_members))

    def forward(self, image: Tensor, with_scores: bool = False) -> Tensor:
        """See the class."""
        outputs = [member(image, with_scores) for member in self.members]
        if with_scores:
            return torch.cat(outputs, dim=1)
        return torch.stack([logits.softmax(1) for logits in outputs]).mean(0).log()

    def set_feature_scale(self, std: Tensor) -> None:
        """As in :class:`BrainGNN`, for all members."""
        for member in self.members:
            member.set_feature_scale(std)  # type: ignore[operator]


def _augment(adjacency: Tensor) -> Tensor:
    """(A + I)^2 without its diagonal, as the authors' code does between the blocks."""
    loops = adjacency + torch.eye(adjacency.shape[1], dtype=adjacency.dtype, device=adjacency.device)
    return torch.bmm(loops, loops) * (1 - torch.eye(adjacency.shape[1], dtype=adjacency.dtype, device=adjacency.device))


def _head(in_channels: int, hidden_channels: Sequence[int], num_classes: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = in_channels
    for hidden in hidden_channels:
        layers += [nn.Linear(width, hidden), nn.ReLU(), nn.BatchNorm1d(hidden), nn.Dropout(dropout)]
        width = hidden
    last = nn.Linear(width, num_classes)
    if not hidden_channels:
        nn.init.zeros_(last.weight)
        return nn.Sequential(nn.Dropout(dropout), last)
    return nn.Sequential(*layers, last)
