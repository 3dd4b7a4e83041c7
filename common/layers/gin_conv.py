"""Convolution of the graph isomorphism network."""

import torch
from torch import Tensor, nn

from .gcn_conv import check_graph

__all__ = ["GINConv"]


class GINConv(nn.Module):
    r"""Add the neighbours to a node, then apply a network.

    .. math::
        h'_v = \mathrm{MLP}\Big((1 + \epsilon)\, h_v + \sum_u a_{vu} h_u\Big)

    The sum, unlike a mean or a maximum, tells multisets of neighbours apart.

    Args:
        network: acts on the last axis, F -> O, for example ``nn.Sequential(nn.Linear(F, O), nn.ReLU(), ...)``.
        eps: weight of the node itself less 1, and the start of it where it is learnt.
        train_eps: learn ``eps``.

    Shapes:
        ``x`` (N, F) or (B, N, F); ``adjacency`` (N, N) or (B, N, N), row i holding the edges into node i, dense; or for
        one graph sparse CSR (N, N) -> (N, O) or (B, N, O). Weights multiply the neighbours; the paper's are all 1.

    Raises:
        ValueError: for shapes or a layout that do not fit.

    Reference:
        Xu et al., How powerful are graph neural networks?, ICLR 2019, arXiv:1810.00826, Eq. (4.1).
    """

    def __init__(self, network: nn.Module, eps: float = 0.0, train_eps: bool = False) -> None:
        super().__init__()
        self.network = network
        self.train_eps = train_eps
        self.eps: Tensor
        if train_eps:
            self.eps = nn.Parameter(torch.tensor(float(eps)))
        else:
            self.register_buffer("eps", torch.tensor(float(eps)))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """See the class."""
        check_graph("GINConv", x, adjacency)
        return self.network((1 + self.eps) * x + adjacency @ x)  # Eq. (4.1)

    def extra_repr(self) -> str:
        """Settings beside the network."""
        return f"eps={self.eps.item():g}, train_eps={self.train_eps}"
