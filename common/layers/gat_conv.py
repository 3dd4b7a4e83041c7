"""Graph attention."""

import math

import torch
from torch import Tensor, nn

from .gcn_conv import check_graph, csr_edges

__all__ = ["GATConv"]


class GATConv(nn.Module):
    r"""Weight every in-neighbour, and the node itself, by a learnt attention.

    .. math::
        h'_i = \sum_{j \in N(i) \cup \{i\}} \alpha_{ij} W h_j, \qquad
        \alpha_{ij} = \mathrm{softmax}_j\big(\mathrm{LeakyReLU}(a_{target} W h_i + a_{source} W h_j)\big)

    An edge is there where the adjacency is not 0; beyond that its weight is not used. The node itself counts once, with
    or without a self loop, so an isolated node keeps its own features.

    Args:
        in_channels: F, features of a node.
        out_channels: O, features of a head.
        heads: K, attentions with weights of their own.
        concat: put the heads side by side, Eq. (5); else average them, Eq. (6).
        negative_slope: of the LeakyReLU.
        dropout: probability in [0, 1) that an attention weight is dropped in training.
        bias: add a vector to the output.

    Shapes:
        ``x`` (N, F) or (B, N, F); ``adjacency`` (N, N) or (B, N, N), row i holding the edges into node i, dense; or for
        one graph sparse CSR (N, N) -> (..., N, K O), or (..., N, O) of averaged heads. Memory: K N^2 numbers a dense
        graph, K O a sparse edge.

    Raises:
        ValueError: for a dropout outside [0, 1), or shapes or a layout that do not fit.

    Reference:
        Velickovic et al., Graph attention networks, ICLR 2018, arXiv:1710.10903, Eq. (3), (5) and (6), without the
        activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"GATConv: dropout is {dropout}, it must be in [0, 1), 0 drops nothing.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.concat = concat
        self.negative_slope = negative_slope
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(in_channels, heads * out_channels))
        self.source = nn.Parameter(torch.empty(heads, out_channels))
        self.target = nn.Parameter(torch.empty(heads, out_channels))
        self.bias = nn.Parameter(torch.empty(heads * out_channels if concat else out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as Glorot and Bengio do; the bias starts at 0."""
        for weight in (self.weight, self.source, self.target):
            nn.init.xavier_uniform_(weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """See the class."""
        check_graph("GATConv", x, adjacency, self.in_channels)
        h = (x @ self.weight).unflatten(-1, (self.heads, self.out_channels))  # (..., N, K, O)
        source, target = (h * self.source).sum(-1), (h * self.target).sum(-1)  # (..., N, K)
        if not torch.jit.is_scripting() and adjacency.is_sparse_csr:
            out = self._attend_csr(h, source, target, adjacency)
        else:
            out = self._attend(h, source, target, adjacency)
        out = out.flatten(-2) if self.concat else out.mean(-2)  # Eq. (5), (6)
        return out if self.bias is None else out + self.bias

    def _attend(self, h: Tensor, source: Tensor, target: Tensor, adjacency: Tensor) -> Tensor:
        logits = target.mT[..., :, None] + source.mT[..., None, :]  # (..., K, N, N)
        logits = nn.functional.leaky_relu(logits, self.negative_slope)
        itself = torch.eye(adjacency.shape[-1], dtype=torch.bool, device=adjacency.device)
        absent = (adjacency == 0) & ~itself
        attention = logits.masked_fill(absent.unsqueeze(-3), -math.inf).softmax(-1)  # Eq. (3)
        attention = nn.functional.dropout(attention, self.dropout, self.training)
        return (attention @ h.transpose(-3, -2)).transpose(-3, -2)

    @torch.jit.unused
    def _attend_csr(self, h: Tensor, source: Tensor, target: Tensor, adjacency: Tensor) -> Tensor:
        row, column, value = csr_edges(adjacency)
        node, kept = torch.arange(len(h), device=h.device), (row != column) & (value != 0)
        row, column = torch.cat([row[kept], node]), torch.cat([column[kept], node])  # with one self loop per node
        logits = target.index_select(0, row) + source.index_select(0, column)  # (E, K)
        logits = nn.functional.leaky_relu(logits, self.negative_slope)
        place = row[:, None].expand_as(logits)
        largest = torch.zeros_like(target).scatter_reduce(0, place, logits.detach(), "amax", include_self=False)
        weight = (logits - largest.index_select(0, row)).exp()
        total = weight.new_zeros(target.shape).index_add(0, row, weight)
        attention = nn.functional.dropout(weight / total.index_select(0, row), self.dropout, self.training)  # Eq. (3)
        messages = attention[:, :, None] * h.index_select(0, column)
        return messages.new_zeros(h.shape).index_add(0, row, messages)

    def extra_repr(self) -> str:
        """Settings in the order of the arguments."""
        return (
            f"{self.in_channels}, {self.out_channels}, heads={self.heads}, concat={self.concat},"
            f" negative_slope={self.negative_slope}, dropout={self.dropout}"
        )
