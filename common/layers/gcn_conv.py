"""Graph convolution of Kipf and Welling."""

import torch
from torch import Tensor, nn

__all__ = ["GCNConv", "check_graph", "csr_edges", "gcn_norm"]


def check_graph(layer: str, x: Tensor, adjacency: Tensor, in_channels: int | None = None) -> None:
    """Raise ValueError unless ``x`` (..., N, F) and ``adjacency``, (..., N, N) or (N, N), dense or CSR, fit."""
    if in_channels is not None and x.shape[-1] != in_channels:
        raise ValueError(f"{layer}: x has shape {list(x.shape)}, the last axis must hold {in_channels} features.")
    if not (adjacency.layout == torch.strided or adjacency.is_sparse_csr):
        raise ValueError(
            f"{layer}: adjacency is neither dense nor sparse CSR, turn it by to_dense() or to_sparse_csr()."
        )
    nodes = x.shape[-2:-1]
    shared = adjacency.dim() == 2 and adjacency.shape == nodes + nodes and not adjacency.is_sparse_csr
    if not (shared or adjacency.shape == x.shape[:-1] + nodes):
        raise ValueError(
            f"{layer}: adjacency has shape {list(adjacency.shape)} for x of shape {list(x.shape)}, expected (N, N) for"
            " (N, F), or dense (B, N, N) or (N, N) for (B, N, F): one row and one column per node."
        )


def csr_edges(adjacency: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Target, source and weight of the stored edges of a CSR matrix, (E,) each."""
    crow = adjacency.crow_indices()
    node = torch.arange(len(crow) - 1, device=crow.device)
    return node.repeat_interleave(crow.diff()), adjacency.col_indices(), adjacency.values()


def gcn_norm(adjacency: Tensor) -> Tensor:
    r"""Adjacency with self loops, scaled by the degrees of both ends of an edge.

    .. math::
        \hat A = \tilde D^{-1/2} \tilde A \tilde D^{-1/2}, \qquad \tilde A = A + I, \qquad
        \tilde D_{ii} = \sum_j \tilde A_{ij}

    A self loop of weight 1 is added only where the diagonal is 0. The degree is the row sum, the weight that comes INTO
    a node, also in a directed graph. An isolated node keeps itself with weight 1.

    Args:
        adjacency: (..., N, N) dense or (N, N) sparse CSR, weights >= 0 (not checked), row i holding the edges into i.

    Returns:
        The same shape and layout.

    Reference:
        Kipf and Welling, ICLR 2017, arXiv:1609.02907, Eq. (2).
    """
    if not torch.jit.is_scripting():
        if adjacency.layout == torch.sparse_csr:
            return _gcn_norm_csr(adjacency)
    loops = (adjacency.diagonal(dim1=-2, dim2=-1) == 0).to(adjacency.dtype)
    adjacency = adjacency + torch.diag_embed(loops)
    scale = adjacency.sum(-1).rsqrt()  # a degree is never 0 behind the self loop
    return scale[..., :, None] * adjacency * scale[..., None, :]  # Eq. (2)


def _gcn_norm_csr(adjacency: Tensor) -> Tensor:
    row, column, weight = csr_edges(adjacency)
    present = torch.zeros(len(adjacency), dtype=torch.bool, device=row.device)
    present[row[(row == column) & (weight != 0)]] = True
    loop = (~present).nonzero().flatten()
    index = torch.stack([torch.cat([row, loop]), torch.cat([column, loop])])
    weight = torch.cat([weight, weight.new_ones(len(loop))])
    scale = weight.new_zeros(len(adjacency)).index_add(0, index[0], weight).rsqrt()
    weight = scale[index[0]] * weight * scale[index[1]]
    # torch warns where check_invariants is left open
    coo = torch.sparse_coo_tensor(index, weight, adjacency.shape, check_invariants=False)
    return coo.coalesce().to_sparse_csr()


class GCNConv(nn.Module):
    r"""Mix every node with its neighbours by the normalised adjacency, then by a linear layer.

    .. math::
        H' = \hat A H W + b, \qquad \hat A = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}

    :math:`\hat A = I - \tilde L_{sym}` averages (low pass); the Laplacian itself would amplify differences. Of
    :math:`(\hat A H) W` and :math:`\hat A (H W)`, which are equal, the one with fewer features in the large product is
    computed.

    Args:
        in_channels: F, features of a node.
        out_channels: O.
        bias: add a vector to the output.

    Shapes:
        ``x`` (N, F) or (B, N, F); ``adjacency`` (N, N) or (B, N, N) with weights >= 0, row i holding the edges into
        node i, dense; or for one graph sparse CSR (N, N) -> (N, O) or (B, N, O). ``normalize=False``: ``adjacency``
        already comes from :func:`gcn_norm`, so that layers and epochs share the work.

    Raises:
        ValueError: for shapes or a layout that do not fit.

    Reference:
        Kipf and Welling, ICLR 2017, arXiv:1609.02907, Eq. (2), without its activation.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight as Glorot and Bengio do; the bias starts at 0."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, adjacency: Tensor, normalize: bool = True) -> Tensor:
        """See the class."""
        check_graph("GCNConv", x, adjacency, self.in_channels)
        if normalize:
            adjacency = gcn_norm(adjacency)
        if self.in_channels < self.out_channels:
            out = (adjacency @ x) @ self.weight  # Eq. (2)
        else:
            out = adjacency @ (x @ self.weight)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Settings in the order of the arguments."""
        return f"{self.in_channels}, {self.out_channels}, bias={self.bias is not None}"
