"""Sparse graph of a large population: each subject with its nearest neighbours only."""

import warnings

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from .phenotype import PHENOTYPE
from .population import Population

__all__ = ["attach_subjects", "attached_neighbour_graph", "nearest_edges", "neighbour_graph"]

_LEAD = len(PHENOTYPE)
_LOW = (1 << 32) - 1


def nearest_edges(
    population: Population,
    targets: Tensor,
    sources: Tensor,
    neighbours: int,
    skip_diagonal: bool,
    chunk: int = 1024,
) -> tuple[Tensor, Tensor]:
    """Heaviest edges into each target; exact, from tiles of ``chunk`` x ``chunk`` weights.

    Of equal weights the source that stands first is taken, whatever the chunk.

    Args:
        population: computes the weights, in float32.
        targets: hearing subjects, (M, 3 + F).
        sources: heard subjects, (N, 3 + F).
        neighbours: k, edges into each target; at most N are returned.
        skip_diagonal: ``targets`` are ``sources`` and no self loops are wanted; each pair is then computed once.
        chunk: side of a tile; memory, not result, depends on it.

    Returns:
        Index (M, k) of the sources and weight (M, k), the heaviest first; a weight of 0 is no edge.

    Raises:
        ValueError: for fewer than one neighbour.
    """
    if neighbours < 1:
        raise ValueError(f"nearest_edges: neighbours is {neighbours}, it must be 1 or more.")
    last = len(sources) - 1
    best = torch.zeros(len(targets), min(neighbours, len(sources)), dtype=torch.long, device=targets.device)
    for row in range(0, len(targets), chunk):
        for column in range(row if skip_diagonal else 0, len(sources), chunk):
            tile = population.weights(targets[row : row + chunk], sources[column : column + chunk]).float()
            if skip_diagonal and row == column:
                tile.fill_diagonal_(0)
            elif skip_diagonal:
                _take(best[column : column + chunk], tile.T, last - row)
            _take(best[row : row + chunk], tile, last - column)
    return last - (best & _LOW), (best >> 32).int().view(torch.float32)


def neighbour_graph(population: Population, neighbours: int) -> tuple[Tensor, Tensor]:
    """Features (N, F) and sparse CSR adjacency (N, N) of the nodes.

    An edge stands where one of two nodes is among the k nearest of the other, so the graph is undirected; k = N - 1
    gives :meth:`~.population.Population.graph`. No self loops.
    """
    heard = population.heard()
    index, weight = nearest_edges(population, heard, heard, neighbours, True)
    first = np.arange(len(heard) + 1) * index.shape[1]
    nearest = csr_array((weight.flatten().cpu().numpy(), index.flatten().cpu().numpy(), first), [len(heard)] * 2)
    nearest.eliminate_zeros()
    both = nearest.maximum(nearest.T)
    parts = (torch.from_numpy(part).to(heard.device) for part in (both.indptr, both.indices, both.data))
    return population.nodes[:, _LEAD:], _csr(*parts)


def attach_subjects(
    graph: tuple[Tensor, Tensor], population: Population, vectors: Tensor, neighbours: int
) -> tuple[Tensor, Tensor]:
    """Put new subjects (M, 3 + F) behind the nodes of a graph from :func:`neighbour_graph`.

    Each hears its k nearest nodes and is not heard, as in :meth:`~.population.Population.attached`.

    Returns:
        Features (N + M, F), sparse CSR adjacency (N + M, N + M).
    """
    x, adjacency = graph
    index, weight = nearest_edges(population, vectors, population.heard(), neighbours, False)
    index, order = index.sort(dim=1)
    weight = weight.gather(1, order)
    present = weight > 0
    crow = adjacency.crow_indices()
    grown = _csr(
        torch.cat([crow, crow[-1] + present.sum(1).cumsum(0)]),
        torch.cat([adjacency.col_indices(), index[present]]),
        torch.cat([adjacency.values(), weight[present]]),
    )
    return torch.cat([x, vectors[:, _LEAD:]]), grown


def attached_neighbour_graph(population: Population, vectors: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """:func:`neighbour_graph` with new subjects (M, 3 + F) behind the nodes: (N + M, F), (N + M, N + M)."""
    return attach_subjects(neighbour_graph(population, neighbours), population, vectors, neighbours)


def _take(best: Tensor, tile: Tensor, offset: int) -> None:
    """Merge a tile (M, C) into the best so far (M, k), in place.

    One whole number holds weight and source: the bits of a float >= 0 grow with it, and below them the source counts
    backwards from ``offset``, so that the first of two equal weights is larger.
    """
    place = torch.arange(offset, offset - tile.shape[1], -1, device=tile.device)
    keys = tile.contiguous().view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(place)
    best.copy_(torch.cat([best, keys], dim=1).topk(best.shape[1]).values)


def _csr(crow: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    size = len(crow) - 1
    with warnings.catch_warnings():  # the first CSR tensor of a process is announced as beta
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        # torch also warns where check_invariants is left open
        return torch.sparse_csr_tensor(crow.long(), column.long(), weight, (size, size), check_invariants=False)
