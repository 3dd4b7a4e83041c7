"""Chebyshev graph convolution."""

import torch
from torch import Tensor, nn

from .laplacian import dense_laplacian, sparse_laplacian

__all__ = ["ChebConv", "scaled_laplacian"]


def scaled_laplacian(adjacency: Tensor) -> Tensor:
    r"""Laplacian with its spectrum moved from [0, 2] to [-1, 1], where Chebyshev polynomials are bounded by 1.

    .. math::
        \hat L = 2 L_{sym} / \lambda_{max} - I = L_{sym} - I, \qquad \lambda_{max} = 2

    The bound 2 serves in place of the largest eigenvalue, so no eigenvalue is computed. A node without edges has -1 on
    the diagonal, any other 0. Weights are not checked. Of a directed graph the degrees are the row sums; its spectrum
    may leave [-1, 1], and a source that hears nobody itself (degree 0) sends nothing.

    Shapes:
        ``adjacency`` dense (..., N, N) or sparse_csr (N, N) with weights >= 0 -> the same shape and layout.
    """
    if not torch.jit.is_scripting():
        if adjacency.layout == torch.sparse_csr:
            return sparse_laplacian(adjacency, "symmetric", 1.0)
    return dense_laplacian(adjacency, "symmetric", 1.0)


class ChebConv(nn.Module):
    r"""Filter node features with a polynomial of the Laplacian, which reaches ``degree`` edges far.

    .. math::
        h' = \sum_{k=0}^{K} T_k(\hat L)\,h\,W_k + b, \qquad
        T_0 = I, \quad T_1 = \hat L, \quad T_k = 2 \hat L T_{k-1} - T_{k-2}

    This equals an exact spectral filter with gains :math:`\sum_k \theta_k T_k(\lambda - 1)`, without eigenvectors, so
    weights hold for any graph. With fewer outputs than inputs the sum is taken by Clenshaw's recurrence, whose products
    with the Laplacian are O instead of F columns wide.

    Args:
        in_channels: F, features of a node.
        out_channels: O.
        degree: K >= 0, products with the Laplacian; 0 is a linear layer. PyG's ``K`` is degree + 1.
        bias: add a vector to the output.

    Shapes:
        ``x`` (B, N, F) or (N, F), ``adjacency`` (B, N, N) or (N, N), or sparse_csr (N, N) with ``x`` (N, F); weights
        >= 0, row i holding the edges into node i -> (B, N, O) or (N, O).

    Raises:
        ValueError: for a negative degree or a shape that does not fit.

    Reference:
        Defferrard et al., NeurIPS (2016), arXiv:1606.09375, Eq. (4); :math:`\lambda_{max}` is its bound 2.
    """

    def __init__(self, in_channels: int, out_channels: int, degree: int, bias: bool = True) -> None:
        super().__init__()
        if degree < 0:
            raise ValueError(f"ChebConv: degree is {degree}, it must be >= 0; 0 is a linear layer.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.degree = degree
        self.weight = nn.Parameter(torch.empty(degree + 1, in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw each W_k by Glorot; zero bias."""
        for kernel in self.weight:
            nn.init.xavier_uniform_(kernel)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, adjacency: Tensor, normalize: bool = True) -> Tensor:
        """See the class; ``normalize=False``: the matrix handed in already is :func:`scaled_laplacian` of it."""
        if x.shape[-1] != self.in_channels or adjacency.shape[-1] != x.shape[-2]:
            raise ValueError(
                f"ChebConv: x has shape {list(x.shape)} and adjacency {list(adjacency.shape)},"
                f" expected (..., N, {self.in_channels}) and (..., N, N)."
            )
        scaled = scaled_laplacian(adjacency) if normalize else adjacency
        out = self._clenshaw(x, scaled) if self.out_channels < self.in_channels else self._recurrence(x, scaled)
        return out if self.bias is None else out + self.bias

    def _recurrence(self, x: Tensor, scaled: Tensor) -> Tensor:
        terms = [x]
        for k in range(1, self.degree + 1):
            terms.append(scaled @ x if k == 1 else 2 * (scaled @ terms[-1]) - terms[-2])  # Eq. (4)
        return torch.cat(terms, dim=-1) @ self.weight.flatten(0, 1)

    def _clenshaw(self, x: Tensor, scaled: Tensor) -> Tensor:
        """Same sum from the highest degree down: b_k = x W_k + 2 L b_(k+1) - b_(k+2)."""
        current = x @ self.weight[self.degree]
        following = torch.zeros_like(current)
        for step in range(self.degree):
            k = self.degree - 1 - step
            factor = 1.0 if k == 0 else 2.0
            current, following = x @ self.weight[k] + factor * (scaled @ current) - following, current
        return current

    def extra_repr(self) -> str:
        """Settings in the order of the arguments."""
        return f"{self.in_channels}, {self.out_channels}, degree={self.degree}, bias={self.bias is not None}"
