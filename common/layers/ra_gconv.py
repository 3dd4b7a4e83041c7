"""Region-aware graph convolution of BrainGNN."""

import math

import torch
from torch import Tensor, nn

__all__ = ["RaGConv"]

EDGE_NORMS = ("sum", "softmax")


class RaGConv(nn.Module):
    r"""Convolve graphs over a fixed atlas with a kernel of its own for every region.

    .. math::
        W_i = \sum_u \mathrm{relu}(\alpha_{iu})\,\beta_u + b, \qquad
        h'_i = \mathrm{relu}\Big(W_i h_i + \sum_{j \in N(i)} \tilde e_{ij} W_j h_j\Big), \qquad
        \tilde e_{ij} = e_{ij} \Big/ \sum_{j \in N(i)} e_{ij}

    Region i belongs to community u by :math:`\mathrm{relu}(\alpha_{iu})`; a neighbour is transformed by ITS kernel. The
    N kernels are built once a call and not once per node of the batch, and messages are one dense product.

    Args:
        in_channels: F, features of a node.
        out_channels: O.
        num_regions: N, regions of the atlas.
        num_communities: K, rank of the kernels.
        edge_norm: ``"sum"``: the paper's; ``"softmax"``: of the raw weights of the edges and of a self loop of
            weight 1 inside the normalisation, as in the authors' code.
        bias: add a vector to the output (authors' code).
        activation: ReLU at the end (paper).
        attention: multiply the edge weights by a learnt attention :math:`\mathrm{softmax}_j(a [W_i h_i \| W_j h_j] +
            \gamma e_{ij})` over the neighbours in place of the normalisation; replaces ``edge_norm``.
        xavier: draw the basis by Xavier for each F x O kernel in place of torch's default for the K x FO layer.

    Shapes:
        ``x`` (B, N, F), ``adjacency`` (B, N, N) with weights >= 0, row i holding the edges into region i -> (B, N, O).

    Raises:
        ValueError: for an unknown ``edge_norm`` or a shape that does not fit.

    Reference:
        Li et al., BrainGNN, Medical Image Analysis 74:102233 (2021), Eq. (1)-(3). Edge attention is not in the paper.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_regions: int,
        num_communities: int = 8,
        edge_norm: str = "sum",
        bias: bool = False,
        activation: bool = True,
        attention: bool = False,
        xavier: bool = False,
    ) -> None:
        super().__init__()
        if edge_norm not in EDGE_NORMS:
            raise ValueError(f"RaGConv: edge_norm is {edge_norm!r}, choose one of {list(EDGE_NORMS)}.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_regions = num_regions
        self.num_communities = num_communities
        self.edge_norm = edge_norm
        self.activation = activation
        self.xavier = xavier
        self.alpha = nn.Parameter(torch.empty(num_regions, num_communities))
        self.basis = nn.Parameter(torch.empty(num_communities, in_channels, out_channels))
        self.kernel_bias = nn.Parameter(torch.empty(in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.attention = nn.Parameter(torch.empty(2 * out_channels + 1)) if attention else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw as the authors' two linear layers do, U(-1/sqrt(fan in), 1/sqrt(fan in)); ``xavier`` for the basis."""
        nn.init.uniform_(self.alpha, -(self.num_regions**-0.5), self.num_regions**-0.5)
        bound = self.num_communities**-0.5
        if self.xavier:
            for kernel in self.basis:
                nn.init.xavier_uniform_(kernel)
            bound = (6 / (self.in_channels + self.out_channels)) ** 0.5
        else:
            nn.init.uniform_(self.basis, -bound, bound)
        nn.init.uniform_(self.kernel_bias, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -(self.in_channels**-0.5), self.in_channels**-0.5)
        if self.attention is not None:
            nn.init.zeros_(self.attention)

    def kernels(self) -> Tensor:
        """Kernel W_i of every region, (N, F, O)."""
        mixed = self.alpha.relu() @ self.basis.flatten(1)  # Eq. (2), (3)
        return mixed.view(self.num_regions, self.in_channels, self.out_channels) + self.kernel_bias

    def transform(self, x: Tensor, kernels: Tensor | None = None) -> Tensor:
        """W_i h_i of every region: (B, N, F) -> (B, N, O); ``kernels`` (N, F, O) in place of the layer's own."""
        if x.shape[1] != self.num_regions or x.shape[2] != self.in_channels:
            raise ValueError(
                f"RaGConv: x has shape {list(x.shape)}, expected (B, {self.num_regions}, {self.in_channels}):"
                " every region of the atlas in its order; missing regions are rows of zeros."
            )
        return torch.bmm(x.transpose(0, 1), self.kernels() if kernels is None else kernels).transpose(0, 1)

    def aggregate(self, transformed: Tensor, adjacency: Tensor) -> Tensor:
        """Add the messages of the neighbours: (B, n, O), (B, n, n) -> (B, n, O); any n regions, so also pooled ones."""
        if self.attention is not None:
            out = transformed + torch.bmm(self._attend(transformed, adjacency), transformed)
        elif self.edge_norm == "sum":
            degree = adjacency.sum(2, keepdim=True)
            # Eq. (1): the self term stands outside the normalisation; a region without edges keeps only that
            out = transformed + torch.bmm(adjacency, transformed) / degree.masked_fill(degree == 0, 1)
        else:
            out = self._softmax(transformed, adjacency)
        if self.bias is not None:
            out = out + self.bias
        return out.relu() if self.activation else out

    def _softmax(self, transformed: Tensor, adjacency: Tensor) -> Tensor:
        logits = nn.functional.threshold(adjacency, 0.0, -math.inf)  # exp(-inf) = 0 where there is no edge
        region = torch.arange(adjacency.shape[1], device=adjacency.device)
        logits[:, region, region] = 1.0  # the self loop
        return torch.bmm(logits.softmax(2), transformed)

    def _attend(self, transformed: Tensor, adjacency: Tensor) -> Tensor:
        assert self.attention is not None
        target, source = self.attention[: self.out_channels], self.attention[self.out_channels : -1]
        logits = (transformed @ target)[:, :, None] + (transformed @ source)[:, None, :]
        logits = nn.functional.leaky_relu(logits, 0.2) + self.attention[-1] * adjacency
        absent = adjacency == 0
        attention = logits.masked_fill(absent, -math.inf).softmax(2)
        return attention.masked_fill(absent, 0)  # also the NaN of a region without edges

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """See the class."""
        return self.aggregate(self.transform(x), adjacency)

    def extra_repr(self) -> str:
        """Settings in the order of the arguments."""
        return (
            f"{self.in_channels}, {self.out_channels}, num_regions={self.num_regions},"
            f" num_communities={self.num_communities}, edge_norm={self.edge_norm!r}"
        )
