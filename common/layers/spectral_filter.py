"""Exact filter in the eigenbasis of a graph."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["spectral_filter"]


def spectral_filter(x: Tensor, laplacian: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
    r"""Scale each graph frequency of a signal by a function of its eigenvalue.

    .. math::
        g * x = U\,\mathrm{diag}(g(\lambda_1), \dots, g(\lambda_N))\,U^T x, \qquad L = U \Lambda U^T

    As g is a function of the eigenvalue and not a free number per eigenvector, the result depends neither on the signs
    and the order of the eigenvectors nor on the basis of a repeated eigenvalue, and permuting the nodes permutes it.
    The decomposition costs O(N^3) time and O(N^2) memory per graph, and weights learnt for the eigenvectors of one
    graph mean nothing on another; :class:`~common.layers.cheb_conv.ChebConv` gives the same for polynomials without it.

    Args:
        x: signal.
        laplacian: symmetric matrix, ``laplacian(adjacency, "symmetric")`` or ``"combinatorial"``.
        response: g, maps eigenvalues (N,) or (B, N) in ascending order to gains of the same shape.

    Shapes:
        ``x`` (N, F) or (B, N, F), ``laplacian`` (N, N), (B, N, N) or sparse (N, N) -> as ``x``.

    Raises:
        ValueError: for a Laplacian that is not symmetric, shapes that do not fit, or gains of another shape.

    Reference:
        Bruna et al., ICLR (2014), arXiv:1312.6203; Defferrard et al., NeurIPS (2016), arXiv:1606.09375, Eq. (2).
    """
    if laplacian.layout != torch.strided:
        laplacian = laplacian.to_dense()
    if laplacian.shape[-1] != laplacian.shape[-2] or x.shape[-2] != laplacian.shape[-1]:
        raise ValueError(
            f"spectral_filter: x has shape {list(x.shape)} and laplacian {list(laplacian.shape)}, expected (..., N, F)"
            " and (..., N, N)."
        )
    gap = (laplacian - laplacian.transpose(-2, -1)).abs()
    if gap.numel() and gap.max() > 1e-5 * laplacian.abs().max():
        raise ValueError(
            f"spectral_filter: laplacian differs from its transpose by up to {gap.max().item():g}, it must be symmetric"
            ' to have an orthogonal eigenbasis; take kind="symmetric" or "combinatorial".'
        )
    eigenvalues, basis = torch.linalg.eigh(laplacian)
    gain = response(eigenvalues)
    if gain.shape != eigenvalues.shape:
        raise ValueError(
            f"spectral_filter: response gave shape {list(gain.shape)}, expected {list(eigenvalues.shape)}: one gain"
            " per eigenvalue."
        )
    return basis @ (gain[..., None] * (basis.transpose(-2, -1) @ x))  # Eq. (2)
