"""From connectivity matrices to a sparse weighted graph."""

from collections.abc import Hashable, Mapping
from typing import Literal

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from .common.transforms import subject_text

__all__ = ["BrainGraph", "BrainGraphd", "strongest_edges"]


def strongest_edges(weights: torch.Tensor, has: torch.Tensor, density: float) -> torch.Tensor:
    """Keep the given share of the pairs of present regions, those with the largest positive weight.

    Pairs are counted on the upper triangle, so neither the diagonal nor the mirrored half enters the threshold; all
    positive pairs remain where there are fewer.

    Args:
        weights: symmetric (N, N).
        has: regions present, (N,) bool.
        density: share of the pairs, in (0, 1].

    Returns:
        (N, N) symmetric, non-negative, zero diagonal; weights of kept edges are unchanged.
    """
    row, column = torch.triu_indices(len(has), len(has), offset=1, device=weights.device)
    values = torch.where(has[row] & has[column], weights[row, column], 0).clamp(min=0)
    pairs = int(has.sum()) * (int(has.sum()) - 1) // 2
    kept, index = values.topk(round(density * pairs))
    adjacency = torch.zeros_like(weights)
    adjacency[row[index], column[index]] = kept
    return adjacency + adjacency.mT


class BrainGraph(Transform):
    """Turn channel 1 of (C, N, N), partial correlations, into an adjacency: sparse, positive, weighted, symmetric.

    Channel 0, the node features, is unchanged; a region whose row there is all zero is missing. Further channels
    (structural adjacency) are checked and unchanged.

    Args:
        density: share of the pairs of present regions that become edges, from the largest positive partial correlation
            down; None takes channel 1 as a ready adjacency.
        isolated: present regions without an edge: "keep" them so, "raise", or give each its "strongest" positive edge.
        missing: missing regions: "mask" them (rows stay 0) or "raise".

    Raises:
        ValueError: on unusable settings or shapes, NaN, an asymmetric channel, a negative adjacency, and as `isolated`
            and `missing` ask.
    """

    def __init__(
        self,
        density: float | None = 0.1,
        isolated: Literal["keep", "raise", "strongest"] = "keep",
        missing: Literal["mask", "raise"] = "mask",
    ) -> None:
        if density is not None and not 0 < density <= 1:
            raise ValueError(f"BrainGraph: density is {density}, it must lie in (0, 1]; None takes a ready adjacency.")
        if isolated not in ("keep", "raise", "strongest"):
            raise ValueError(f"BrainGraph: isolated is {isolated!r}, it must be 'keep', 'raise' or 'strongest'.")
        if missing not in ("mask", "raise"):
            raise ValueError(f"BrainGraph: missing is {missing!r}, it must be 'mask' or 'raise'.")
        self.density = density
        self.isolated = isolated
        self.missing = missing

    def __call__(self, img: torch.Tensor, subject: str = "") -> torch.Tensor:
        """Apply to (C, N, N), C >= 2; `subject` names the case in errors."""
        self._check(img, subject)
        has = img[0].ne(0).any(-1)
        if self.missing == "raise" and not bool(has.all()):
            raise ValueError(
                f"BrainGraph: {subject_text(subject)} lacks regions {_indices(~has)} (constant series), and missing is 'raise'; "
                "leave the case out or take 'mask'."
            )
        graph = img.clone()
        if self.density is not None:
            graph[1] = strongest_edges(img[1], has, self.density)
        graph[1] = self._treat_isolated(graph[1], img[1], has, subject)
        return graph

    def _treat_isolated(
        self, adjacency: torch.Tensor, weights: torch.Tensor, has: torch.Tensor, subject: str
    ) -> torch.Tensor:
        alone = has & ~adjacency.ne(0).any(-1)
        if self.isolated == "keep" or not bool(alone.any()):
            return adjacency
        if self.isolated == "raise":
            raise ValueError(
                f"BrainGraph: {subject_text(subject)} has regions {_indices(alone)} without an edge, and isolated is 'raise'; "
                "raise density or take 'keep' or 'strongest'."
            )
        allowed = weights.clamp(min=0) * has * has[:, None] * ~torch.eye(len(has), dtype=torch.bool, device=has.device)
        value, neighbour = allowed.max(-1)
        rows = alone.nonzero()[:, 0]
        adjacency = adjacency.clone()
        adjacency[rows, neighbour[rows]] = value[rows]
        return adjacency.maximum(adjacency.mT)

    def _check(self, img: torch.Tensor, subject: str) -> None:
        if img.ndim != 3 or img.shape[0] < 2 or img.shape[1] != img.shape[2]:
            raise ValueError(
                f"BrainGraph: {subject_text(subject)} has shape {tuple(img.shape)}, expected (2 or more, regions, regions); "
                "put Connectivity in front."
            )
        if not bool(torch.isfinite(img).all()):
            raise ValueError(
                f"BrainGraph: {subject_text(subject)} holds NaN or infinite values; repair or leave it out."
            )
        for channel, matrix in enumerate(img):
            if not torch.allclose(matrix, matrix.mT, atol=1e-5):
                raise ValueError(
                    f"BrainGraph: channel {channel} of {subject_text(subject)} is not symmetric; correct it."
                )
        ready = img[1:] if self.density is None else img[2:]
        if bool((ready < 0).any()):
            raise ValueError(
                f"BrainGraph: an adjacency of {subject_text(subject)} has negative weights; set them to 0, or for partial "
                "correlations give a density."
            )
        if bool(ready.diagonal(dim1=-2, dim2=-1).any()):
            raise ValueError(
                f"BrainGraph: an adjacency of {subject_text(subject)} has self loops; set its diagonal to 0."
            )


class BrainGraphd(MapTransform):
    """Dictionary version of :class:`BrainGraph`; errors name the item's `id`."""

    def __init__(
        self,
        keys: KeysCollection,
        density: float | None = 0.1,
        isolated: Literal["keep", "raise", "strongest"] = "keep",
        missing: Literal["mask", "raise"] = "mask",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = BrainGraph(density, isolated, missing)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Make the graph of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], str(result.get("id", "")))
        return result


def _indices(mask: torch.Tensor, most: int = 5) -> str:
    found = mask.nonzero()[:, 0].tolist()
    return f"{found[:most]}{' ...' if len(found) > most else ''}"
