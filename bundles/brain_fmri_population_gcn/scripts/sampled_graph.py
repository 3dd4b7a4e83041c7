"""Training on sampled neighbourhoods, where the full graph does not fit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .network import PopulationGCN

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.loader import NeighborLoader

__all__ = ["batch_logits", "neighbour_loader", "sampled_logits"]


def neighbour_loader(
    x: Tensor, matrix: Tensor, index: Tensor, num_neighbors: Sequence[int], **settings: Any
) -> "NeighborLoader":
    """Loader of the neighbourhoods of nodes, for :func:`batch_logits`.

    The matrix is normalised on the FULL graph before edges are drawn, so that degrees are right. What a node keeps of
    itself is never drawn away.

    Args:
        x: features (N, F).
        matrix: ``network.propagation(adjacency)`` (N, N), sparse CSR, computed once.
        index: nodes (B,) to predict, each once.
        num_neighbors: edges to draw into each node, nearest step first; -1 takes all. One entry per product with the
            matrix: the number of layers, times the degree for Chebyshev layers.
        settings: ``batch_size``, ``shuffle`` and others of ``torch_geometric.loader.NeighborLoader``.

    Raises:
        ImportError: without pyg-lib and torch-sparse.

    Reference:
        Hamilton et al., GraphSAGE, NeurIPS 2017, arXiv:1706.02216, Algorithm 2.
    """
    from torch_geometric import typing  # takes two seconds
    from torch_geometric.data import Data
    from torch_geometric.loader import NeighborLoader

    if not (typing.WITH_PYG_LIB or typing.WITH_TORCH_SPARSE):
        raise ImportError(
            "sampled_graph: NeighborLoader of torch_geometric draws neighbours by pyg-lib or torch-sparse and neither "
            "is installed; install one of them, or train on the full sparse graph."
        )
    nodes = torch.arange(len(x))
    target = nodes.repeat_interleave(matrix.crow_indices().diff())
    source, weight = matrix.col_indices(), matrix.values()
    loop = target == source
    data = Data(
        x=x,
        edge_index=torch.stack([source, target])[:, ~loop],
        edge_attr=weight[~loop],
        diagonal=weight.new_zeros(len(x)).index_put((target[loop],), weight[loop]),
        degree=torch.bincount(target[~loop], minlength=len(x)),
    )
    return NeighborLoader(data, list(num_neighbors), input_nodes=index, **settings)


def batch_logits(network: PopulationGCN, batch: "Data") -> Tensor:
    r"""Logits (B, C) of the B nodes that a batch of :func:`neighbour_loader` was drawn for.

    Of :math:`n_i` edges into node i, :math:`m_i` were drawn; their weights are multiplied by :math:`n_i / m_i`, so that
    the expected sum is that over all edges.
    """
    source, target = batch.edge_index
    size = len(batch.x)
    drawn = torch.bincount(target, minlength=size)
    scale = batch.degree / drawn.clamp(min=1)
    node = batch.diagonal.nonzero().flatten()
    weight = torch.cat([batch.edge_attr * scale[target], batch.diagonal[node]])
    place = torch.stack([torch.cat([target, node]), torch.cat([source, node])])
    # torch warns where check_invariants is left open
    coo = torch.sparse_coo_tensor(place, weight, (size, size), check_invariants=False)
    matrix = coo.coalesce().to_sparse_csr()
    return network.propagate(batch.x, matrix)[-1][: batch.batch_size]


def sampled_logits(
    network: PopulationGCN, x: Tensor, matrix: Tensor, index: Tensor, num_neighbors: Sequence[int]
) -> Tensor:
    """Logits (B, C) of nodes ``index`` (B,), from a sample of the edges that lead to them.

    For more than a batch keep a :func:`neighbour_loader`, whose arguments these are, and call :func:`batch_logits`.
    """
    nodes, back = index.unique(return_inverse=True)
    loader = neighbour_loader(x, matrix, nodes, num_neighbors, batch_size=len(nodes))
    return batch_logits(network, next(iter(loader)))[back]
