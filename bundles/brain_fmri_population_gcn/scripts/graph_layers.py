"""Layers of the network by name, of this project or of PyTorch Geometric."""

import torch
from torch import Tensor, nn

from .common.layers import ChebConv, GATConv, GCNConv, GINConv, MessagePassing

__all__ = ["BACKENDS", "LAYERS", "EdgeMessages", "OnPropagation", "PyGLayer", "make_layer"]

LAYERS = ("gcn", "cheb", "gat", "gin", "message_passing")
BACKENDS = ("native", "pyg")


class OnPropagation(nn.Module):
    """GCNConv or ChebConv that is handed the normalised matrix, which all layers share.

    Shapes:
        ``x`` (..., N, F), ``propagation`` (..., N, N) -> (..., N, O).
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, propagation: Tensor) -> Tensor:
        """See the class."""
        return self.layer(x, propagation, False)


class EdgeMessages(nn.Module):
    """Message passing whose message also sees the weight of its edge, on the graphs of a batch.

    Shapes:
        ``x`` (B, N, F), ``adjacency`` (B, N, N) -> (B, N, O).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = MessagePassing(in_channels, out_channels, edge_channels=1, aggregation="mean")

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """See the class."""
        index, weight = edge_list(adjacency)
        return self.layer(x.flatten(0, 1), index, weight[:, None]).view(x.shape[0], x.shape[1], -1)


class PyGLayer(nn.Module):
    """A convolution of PyTorch Geometric on dense graphs of a batch.

    Args:
        layer: convolution that takes (x, edge_index) or (x, edge_index, edge_weight).
        weighted: whether it takes weights.

    Shapes:
        ``x`` (B, N, F), ``adjacency`` (B, N, N) -> (B, N, O).
    """

    def __init__(self, layer: nn.Module, weighted: bool) -> None:
        super().__init__()
        self.layer = layer
        self.weighted = weighted

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """See the class."""
        index, weight = edge_list(adjacency)
        if self.layer.flow == "target_to_source":
            index = index.flip(0)
        nodes = x.flatten(0, 1)
        out = self.layer(nodes, index, weight) if self.weighted else self.layer(nodes, index)
        return out.view(x.shape[0], x.shape[1], -1)


def edge_list(adjacency: Tensor) -> tuple[Tensor, Tensor]:
    """Edges of dense graphs (B, N, N) side by side: index (2, E) as [source, target], and weight (E,)."""
    graph, target, source = adjacency.nonzero(as_tuple=True)
    first = graph * adjacency.shape[1]
    return torch.stack([first + source, first + target]), adjacency[graph, target, source]


def make_layer(name: str, backend: str, in_channels: int, out_channels: int, degree: int) -> nn.Module:
    """Make a convolution that maps (x, adjacency) to the new features.

    Args:
        name: ``gcn``, ``cheb``, ``gat``, ``gin`` or ``message_passing``.
        backend: ``native`` (this project, dense) or ``pyg`` (edge list).
        in_channels: F.
        out_channels: O.
        degree: of the Chebyshev polynomial.

    Raises:
        ValueError: for a name or backend that does not exist.
    """
    if name not in LAYERS or backend not in BACKENDS:
        raise ValueError(
            f"PopulationGCN: layer is {name!r} and backend {backend!r}; choose a layer of {', '.join(LAYERS)} and a "
            f"backend of {', '.join(BACKENDS)}."
        )
    if backend == "pyg":
        return _pyg(name, in_channels, out_channels, degree)
    if name == "gcn":
        return OnPropagation(GCNConv(in_channels, out_channels))
    if name == "cheb":
        return OnPropagation(ChebConv(in_channels, out_channels, degree))
    if name == "gat":
        return GATConv(in_channels, out_channels)
    if name == "gin":
        return GINConv(_mlp(in_channels, out_channels))
    return EdgeMessages(in_channels, out_channels)


def _pyg(name: str, in_channels: int, out_channels: int, degree: int) -> PyGLayer:
    from torch_geometric import nn as pyg  # takes two seconds

    if name == "gcn":
        return PyGLayer(pyg.GCNConv(in_channels, out_channels), weighted=True)
    if name == "cheb":
        # its degrees are sums over edge_index[0]; those of the other flow are over the edges into a node
        layer = pyg.ChebConv(in_channels, out_channels, degree + 1, flow="target_to_source")
        return PyGLayer(layer, weighted=True)
    if name == "gat":
        return PyGLayer(pyg.GATConv(in_channels, out_channels), weighted=False)
    if name == "gin":
        return PyGLayer(pyg.GINConv(_mlp(in_channels, out_channels)), weighted=False)
    raise ValueError("PopulationGCN: message_passing has no twin of backend pyg; take backend native.")


def _mlp(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_channels, out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels))
