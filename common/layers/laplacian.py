"""Graph Laplacians and the smoothness of a signal on a graph."""

import math

import torch
from torch import Tensor

__all__ = ["dense_laplacian", "dirichlet_energy", "laplacian", "rayleigh_quotient", "sparse_laplacian"]

KINDS = ("combinatorial", "symmetric", "random_walk")


def laplacian(adjacency: Tensor, kind: str = "symmetric", signed: bool = False) -> Tensor:
    r"""Laplacian of a weighted graph; self loops are dropped.

    .. math::
        L = D - A, \qquad L_{sym} = D^{-1/2} L D^{-1/2}, \qquad L_{rw} = D^{-1} L, \qquad d_i = \sum_{j \ne i} |a_{ij}|

    For an undirected graph with weights >= 0: the spectrum of L lies in [0, 2 max d], that of L_sym and L_rw (equal) in
    [0, 2]; eigenvalue 0 occurs once per component, with null vectors 1 of L and L_rw but D^1/2 1 of L_sym. L_rw is not
    symmetric: use its right eigenvectors. A node without edges is a component of its own, so its diagonal is 0 in
    all three, as in SciPy; PyG puts 1 there, which hides it from the count of components.

    Args:
        adjacency: row i holds the edges into node i.
        kind: ``"combinatorial"``, ``"symmetric"`` or ``"random_walk"``. Only the last takes a directed graph.
        signed: take negative weights (correlations). The Laplacian stays positive semi-definite, but has a null
            vector only where the signs balance.

    Shapes:
        ``adjacency`` dense (..., N, N) or sparse_csr (N, N) -> the same shape and layout.

    Raises:
        ValueError: for an unknown ``kind``, a matrix that is not square, another layout, weights that are not finite,
            negative ones unless ``signed``, and a directed graph unless ``kind`` is ``"random_walk"``.

    Reference:
        Chung, Spectral Graph Theory, AMS (1997), chapter 1; Kunegis et al., SDM (2010), for signed graphs.
    """
    if kind not in KINDS:
        raise ValueError(f"laplacian: kind is {kind!r}, choose one of {', '.join(KINDS)}.")
    if not adjacency.is_floating_point():
        adjacency = adjacency.to(torch.get_default_dtype())
    _check("laplacian", adjacency, signed)
    if kind != "random_walk":
        _check_undirected("laplacian", adjacency, 'take kind="random_walk"')
    return dense_laplacian(adjacency, kind) if adjacency.layout == torch.strided else sparse_laplacian(adjacency, kind)


def dense_laplacian(adjacency: Tensor, kind: str = "symmetric", shift: float = 0.0) -> Tensor:
    """:func:`laplacian` of a dense matrix without any check, minus ``shift`` times the identity; can be scripted."""
    weight = adjacency - torch.diag_embed(torch.diagonal(adjacency, dim1=-2, dim2=-1))
    degree = weight.abs().sum(-1)
    weight = _normalise(weight, degree[..., :, None], degree[..., None, :], kind)
    return torch.diag_embed(_diagonal(degree, kind) - shift) - weight


def sparse_laplacian(adjacency: Tensor, kind: str = "symmetric", shift: float = 0.0) -> Tensor:
    """:func:`dense_laplacian` of a sparse_csr matrix; zeros of the diagonal are not stored."""
    target, source, weight = _edges(adjacency)
    degree = _degree(adjacency)
    diagonal = _diagonal(degree, kind) - shift
    node = diagonal.nonzero()[:, 0]
    values = torch.cat([diagonal[node], -_normalise(weight, degree[target], degree[source], kind)])
    index = torch.stack([torch.cat([node, target]), torch.cat([node, source])])
    shape = [adjacency.shape[0], adjacency.shape[1]]
    return torch.sparse_coo_tensor(index, values, shape, check_invariants=False).coalesce().to_sparse_csr()


def dirichlet_energy(x: Tensor, adjacency: Tensor) -> Tensor:
    r"""How much a signal changes along the edges; falls towards 0 with depth where a network over-smooths.

    .. math::
        E(x) = \tfrac12 \sum_{ij} a_{ij} \|x_i - x_j\|^2 = \mathrm{tr}(x^T L x)

    The second form holds for undirected graphs; the first is computed, as it keeps its digits near 0.

    Shapes:
        ``x`` (..., N, F) with ``adjacency`` (..., N, N) -> (...); ``x`` (N, F) with sparse_csr (N, N) -> ().

    Raises:
        ValueError: for weights < 0 or not finite, or shapes that do not fit.
    """
    _check("dirichlet_energy", adjacency, signed=False)
    _check_rows("dirichlet_energy", x, adjacency)
    return _energy(x, adjacency)


def rayleigh_quotient(x: Tensor, adjacency: Tensor) -> Tensor:
    r"""Mean frequency of a signal, in [0, 2]: 0 is as smooth as the graph allows; 0 for a signal of zeros.

    .. math::
        R(x) = \mathrm{tr}(x^T L_{sym} x) / \mathrm{tr}(x^T x)

    Shapes:
        As :func:`dirichlet_energy`.

    Raises:
        ValueError: for weights < 0 or not finite, a directed graph, or shapes that do not fit.
    """
    _check("rayleigh_quotient", adjacency, signed=False)
    _check_undirected("rayleigh_quotient", adjacency, "pass (A + A^T) / 2")
    _check_rows("rayleigh_quotient", x, adjacency)
    norm = x.square().sum((-2, -1))
    energy = _energy(x * _inverse_root(_degree(adjacency))[..., None], adjacency)
    return energy / norm.masked_fill(norm == 0, 1.0)


def _energy(x: Tensor, adjacency: Tensor) -> Tensor:
    if adjacency.layout == torch.strided:
        distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
        return (adjacency * distance.square()).sum((-2, -1)) / 2
    target, source, weight = _edges(adjacency)
    return (weight * (x[target] - x[source]).square().sum(1)).sum() / 2


def _edges(adjacency: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Target, source and weight (E,) of the entries of a sparse_csr matrix beside its diagonal."""
    nodes = torch.arange(adjacency.shape[0], device=adjacency.device)
    target, source = nodes.repeat_interleave(adjacency.crow_indices().diff()), adjacency.col_indices().long()
    kept = target != source
    return target[kept], source[kept], adjacency.values()[kept]


def _degree(adjacency: Tensor) -> Tensor:
    if adjacency.layout == torch.strided:
        return (adjacency - torch.diag_embed(torch.diagonal(adjacency, dim1=-2, dim2=-1))).abs().sum(-1)
    target, _, weight = _edges(adjacency)
    return weight.new_zeros(adjacency.shape[0]).index_add(0, target, weight.abs())


def _diagonal(degree: Tensor, kind: str) -> Tensor:
    return degree if kind == "combinatorial" else (degree > 0).to(degree.dtype)


def _inverse_root(degree: Tensor) -> Tensor:
    return degree.masked_fill(degree == 0, math.inf).rsqrt()  # 0 without edges


def _normalise(weight: Tensor, target: Tensor, source: Tensor, kind: str) -> Tensor:
    """Divide weights by the degrees of their target and source."""
    if kind == "combinatorial":
        return weight
    if kind == "random_walk":
        return weight / target.masked_fill(target == 0, 1.0)
    return weight * _inverse_root(target) * _inverse_root(source)


def _check(name: str, adjacency: Tensor, signed: bool) -> None:
    if adjacency.layout not in (torch.strided, torch.sparse_csr):
        raise ValueError(
            f"{name}: adjacency has layout {adjacency.layout}, expected a dense or a sparse_csr tensor; convert it"
            " by .to_sparse_csr()."
        )
    if adjacency.ndim < 2 or adjacency.shape[-1] != adjacency.shape[-2]:
        raise ValueError(f"{name}: adjacency has shape {list(adjacency.shape)}, expected (..., N, N), a square matrix.")
    weight = adjacency if adjacency.layout == torch.strided else adjacency.values()
    if not weight.isfinite().all():
        raise ValueError(f"{name}: adjacency holds NaN or infinite weights; set them to 0 where there is no edge.")
    if not signed and (weight < 0).any():
        way_out = "clip them or pass signed=True" if name == "laplacian" else "clip them"
        raise ValueError(f"{name}: adjacency holds {weight.min().item():g}, weights must be >= 0; {way_out}.")


def _check_undirected(name: str, adjacency: Tensor, way_out: str) -> None:
    if adjacency.layout == torch.strided:
        gap, weight = (adjacency - adjacency.transpose(-2, -1)).abs(), adjacency
    else:
        coo = adjacency.to_sparse_coo()
        gap, weight = (coo - coo.transpose(0, 1)).coalesce().values().abs(), adjacency.values()
    if weight.numel() and gap.max() > 1e-5 * weight.abs().max():
        raise ValueError(
            f"{name}: adjacency differs from its transpose by up to {gap.max().item():g}, the graph must be undirected"
            f" (directed ones have no such Laplacian); {way_out}."
        )


def _check_rows(name: str, x: Tensor, adjacency: Tensor) -> None:
    if x.ndim < 2 or x.shape[-2] != adjacency.shape[-1]:
        raise ValueError(
            f"{name}: x has shape {list(x.shape)}, expected (..., {adjacency.shape[-1]}, F): a row for every node"
            " of adjacency."
        )
