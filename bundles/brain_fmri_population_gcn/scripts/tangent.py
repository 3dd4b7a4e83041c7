"""Connectivity seen from the mean of the training subjects."""

import torch
from torch import Tensor

__all__ = ["correlation_matrices", "mean_whitening", "tangent_matrices"]

_FLOOR = 1e-6  # smallest eigenvalue whose logarithm is taken


def correlation_matrices(edges: Tensor, num_regions: int) -> Tensor:
    """Symmetric matrices with unit diagonal: Fisher-z edges (M, E), 0 where missing, -> correlations (M, N, N)."""
    row, column = torch.triu_indices(num_regions, num_regions, 1)
    matrices = edges.new_zeros(len(edges), num_regions, num_regions)
    matrices[:, row, column] = edges.tanh()
    return matrices + matrices.transpose(1, 2) + torch.eye(num_regions, dtype=edges.dtype, device=edges.device)


def mean_whitening(matrices: Tensor) -> Tensor:
    """Inverse square root (N, N) of the mean of positive definite matrices (T, N, N)."""
    values, vectors = torch.linalg.eigh(matrices.mean(0))
    return vectors * values.clamp(min=_FLOOR).rsqrt() @ vectors.T


def tangent_matrices(matrices: Tensor, whitening: Tensor) -> Tensor:
    r"""Project positive definite matrices on the tangent space at a reference: :math:`\log(W C W)`.

    Args:
        matrices: C, (M, N, N).
        whitening: W = reference to the power -1/2, (N, N).

    Returns:
        (M, N, N), zero at the reference.

    Reference:
        Varoquaux et al., MICCAI 2010, doi:10.1007/978-3-642-15705-9_25, Eq. (2). The reference here is the arithmetic
        mean of the correlations, not the geometric mean of the covariances.
    """
    values, vectors = torch.linalg.eigh(whitening @ matrices @ whitening)
    return vectors * values.clamp(min=_FLOOR).log()[:, None, :] @ vectors.transpose(1, 2)  # Eq. (2)
