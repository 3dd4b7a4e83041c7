"""Functional connectivity of region series, batched in torch: correlation and shrinkage partial correlation.

Series are (B, T, N): subjects, frames, regions. A region that is constant over time is missing: its rows and columns
are 0 and it has no part in the shrinkage. Sums run in float64, because with T < N only the shrinkage makes the
covariance invertible.
"""

from collections.abc import Hashable, Mapping
from typing import Literal

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

__all__ = [
    "Connectivity",
    "Connectivityd",
    "correlation",
    "fisher_z",
    "ledoit_wolf",
    "partial_correlation",
    "present",
    "subject_text",
]

_CHUNK = 8  # subjects at a time: matrices of more leave the caches and take 1.5 times as long


def present(series: torch.Tensor) -> torch.Tensor:
    """Which regions of (..., T, N) vary over time, (..., N) bool."""
    return series.amax(-2) > series.amin(-2)


def ledoit_wolf(series: torch.Tensor) -> torch.Tensor:
    """Covariance shrunk towards a multiple of the identity, (1 - s) S + s mu I.

    Args:
        series: (B, T, N).

    Returns:
        (B, N, N) float64, equal to :class:`sklearn.covariance.LedoitWolf` on the regions present; rows and columns of
        missing regions are 0.

    Reference:
        Ledoit and Wolf, 2004, doi:10.1016/S0047-259X(03)00096-4, section 3.
    """
    return _shrink(*_moments(series))


def correlation(series: torch.Tensor, shrink: bool = True) -> torch.Tensor:
    """Correlation of regions, (B, T, N) -> (B, N, N) with the dtype of the series.

    Args:
        series: (B, T, N).
        shrink: of the Ledoit-Wolf covariance of z-scored series, as nilearn's ConnectivityMeasure("correlation") does;
            False gives Pearson's.

    Returns:
        Diagonal 1 for regions present, rows and columns of missing regions 0.
    """
    parts = [_correlation(*_moments(part), shrink) for part in series.split(_CHUNK)]
    return torch.cat(parts).to(series.dtype)


def partial_correlation(series: torch.Tensor, standardise: bool = False) -> torch.Tensor:
    """Partial correlation from the inverse of the Ledoit-Wolf covariance, (B, T, N) -> (B, N, N).

    Off the diagonal it is - P_ij / sqrt(P_ii P_jj), the sign of nilearn's ConnectivityMeasure("partial correlation").

    Args:
        series: (B, T, N).
        standardise: z-score the series first. Without it, as in nilearn, the shrinkage takes away the edges of regions
            whose signal is weak, as a mean over many voxels is.

    Returns:
        Diagonal 1 for regions present, rows and columns of missing regions 0.
    """
    parts = []
    for part in series.split(_CHUNK):
        moments = _moments(part, standardise)
        parts.append(_partial(_shrink(*moments), moments[2]))
    return torch.cat(parts).to(series.dtype)


def fisher_z(values: torch.Tensor, clip: float = 0.9999) -> torch.Tensor:
    """Take arctanh of correlations after clipping them to +-clip, so that +-1 stays finite."""
    return values.clamp(-clip, clip).arctanh()


class Connectivity(Transform):
    """Region series (T, N) to two matrices (2, N, N): Fisher-z correlation and shrinkage partial correlation.

    Both are symmetric, finite, with zero diagonal; rows and columns of missing regions are 0.

    Args:
        source: "series", or "matrix" for a ready correlation (N, N) with unit or zero diagonal, whose missing regions
            are rows of zeros.
        fisher_clip: correlations are clipped to +- this before arctanh.
        shrink: shrink the correlation as nilearn does (:func:`correlation`).
        matrix_shrinkage: a ready correlation does not tell its number of frames, so the share of the identity mixed
            into it before it is inverted is given here.
        standardise: z-score the series before the partial correlation (:func:`partial_correlation`).

    Raises:
        ValueError: on unusable settings or shapes, NaN, fewer than two regions present, an asymmetric matrix, or
            regions without any correlation, which would pass for missing.
    """

    def __init__(
        self,
        source: Literal["series", "matrix"] = "series",
        fisher_clip: float = 0.9999,
        shrink: bool = True,
        matrix_shrinkage: float = 0.1,
        standardise: bool = True,
    ) -> None:
        if source not in ("series", "matrix"):
            raise ValueError(f"Connectivity: source is {source!r}, it must be 'series' or 'matrix'.")
        if not 0 < fisher_clip < 1:
            raise ValueError(f"Connectivity: fisher_clip is {fisher_clip}, it must lie between 0 and 1.")
        if not 0 < matrix_shrinkage <= 1:
            raise ValueError(f"Connectivity: matrix_shrinkage is {matrix_shrinkage}, it must lie in (0, 1].")
        self.source = source
        self.fisher_clip = fisher_clip
        self.shrink = shrink
        self.matrix_shrinkage = matrix_shrinkage
        self.standardise = standardise

    def __call__(self, img: torch.Tensor, subject: str = "") -> torch.Tensor:
        """Compute both matrices; `subject` names the case in errors."""
        return self.batch(img[None], subject)[0]

    def batch(self, img: torch.Tensor, subject: str = "") -> torch.Tensor:
        """Compute (B, 2, N, N) float32 of series (B, T, N) or matrices (B, N, N)."""
        self._check(img, subject)
        return torch.cat([self._compute(part, subject) for part in img.split(_CHUNK)])

    def _compute(self, img: torch.Tensor, subject: str) -> torch.Tensor:
        if self.source == "series":
            covariance, power, has = _moments(img, self.standardise)
            full = _correlation(covariance, power, has, self.shrink)
            partial = _partial(_shrink(covariance, power, has), has)
        else:
            full, partial, has = self._from_matrix(img)
        if bool((has.sum(-1) < 2).any()):
            raise ValueError(
                f"Connectivity: {subject_text(subject)} has fewer than 2 regions that vary; leave the case out."
            )
        both = torch.stack([fisher_z(full.float(), self.fisher_clip), partial.float()], dim=1)
        both = (both + both.mT) / 2  # products and inverses are symmetric but for the last bit on some processors
        both.diagonal(dim1=-2, dim2=-1).zero_()
        if bool((has & ~both[:, 0].ne(0).any(-1)).any()):
            raise ValueError(
                f"Connectivity: {subject_text(subject)} has regions whose correlations all shrink to 0 (noise, or too "
                "few frames); lengthen the series or take shrink=False."
            )
        return both

    def _from_matrix(self, matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        full = matrix.double().clone()
        full.diagonal(dim1=-2, dim2=-1).zero_()
        has = (full != 0).any(-1)
        covariance = (1 - self.matrix_shrinkage) * full + torch.diag_embed(has.double())
        if bool((torch.linalg.cholesky_ex(covariance + torch.diag_embed((~has).double()))[1] > 0).any()):
            raise ValueError(
                f"Connectivity: matrix_shrinkage is {self.matrix_shrinkage}, and the matrix has eigenvalues too far "
                "below 0 for it; raise it."
            )
        return full, _partial(covariance, has), has

    def _check(self, img: torch.Tensor, subject: str) -> None:
        if img.ndim != 3 or not img.is_floating_point() or (self.source == "series" and img.shape[1] < 3):
            raise ValueError(
                f"Connectivity: {subject_text(subject)} has shape {tuple(img.shape[1:])} {img.dtype}, expected float "
                f"{'series (frames >= 3, regions)' if self.source == 'series' else 'matrix (regions, regions)'}."
            )
        if not bool(torch.isfinite(img).all()):
            raise ValueError(
                f"Connectivity: {subject_text(subject)} holds NaN or infinite values; repair or leave it out."
            )
        if self.source == "matrix" and (img.shape[1] != img.shape[2] or not torch.allclose(img, img.mT, atol=1e-5)):
            raise ValueError(f"Connectivity: the matrix of {subject_text(subject)} is not symmetric; correct it.")


class Connectivityd(MapTransform):
    """Dictionary version of :class:`Connectivity`; errors name the item's `id`."""

    def __init__(
        self,
        keys: KeysCollection,
        source: Literal["series", "matrix"] = "series",
        fisher_clip: float = 0.9999,
        shrink: bool = True,
        matrix_shrinkage: float = 0.1,
        standardise: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = Connectivity(source, fisher_clip, shrink, matrix_shrinkage, standardise)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Compute the matrices of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], str(result.get("id", "")))
        return result


def subject_text(subject: str) -> str:
    """How errors name a case."""
    return f"subject {subject!r}" if subject else "the subject"


def _moments(series: torch.Tensor, standardise: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Covariance (B, N, N) and squared deviations (B, T, N) in float64, 0 in missing regions, and which are present."""
    has = present(series)
    values = series.double()
    centred = (values - values.mean(-2, keepdim=True)) * has[:, None]
    if standardise:
        centred = centred / torch.where(has, centred.square().mean(-2), 1).sqrt()[:, None]
    covariance = centred.mT @ centred / series.shape[1]
    return (covariance + covariance.mT) / 2, centred.square(), has


def _shrinkage(covariance: torch.Tensor, power: torch.Tensor, has: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of the identity, (B,), and its scale, (B,)."""
    frames, regions = power.shape[1], has.sum(-1).clamp(min=1).double()
    mu = power.sum((1, 2)) / frames / regions
    squared = covariance.square().sum((1, 2))
    distance = (squared - regions * mu.square()) / regions  # of S from mu I
    noise = (power.sum(-1).square().sum(-1) / frames - squared) / (regions * frames)
    noise = noise.clamp(min=0).minimum(distance)
    return torch.where(noise > 0, noise / distance, 0), mu


def _shrink(covariance: torch.Tensor, power: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
    share, mu = _shrinkage(covariance, power, has)
    return covariance * (1 - share)[:, None, None] + torch.diag_embed((share * mu)[:, None] * has)


def _correlation(covariance: torch.Tensor, power: torch.Tensor, has: torch.Tensor, shrink: bool) -> torch.Tensor:
    """Correlation; shrunk as the covariance of z-scored series, whose diagonal and scale are 1."""
    full = _unit_diagonal(covariance, has)
    if shrink:
        variance = torch.where(has, covariance.diagonal(dim1=-2, dim2=-1), 1)
        share, _ = _shrinkage(full, power / variance[:, None], has)
        full = full * (1 - share)[:, None, None]
        full.diagonal(dim1=-2, dim2=-1).copy_(has)
    return full


def _unit_diagonal(matrix: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
    """Divide by the roots of the diagonal; the diagonal is exactly 1 where a region is present."""
    root = torch.where(has, matrix.diagonal(dim1=-2, dim2=-1), 1).rsqrt() * has
    scaled = matrix * (root[..., :, None] * root[..., None, :])
    scaled.diagonal(dim1=-2, dim2=-1).copy_(has)
    return scaled


def _partial(covariance: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
    """Partial correlation of an invertible covariance; missing regions get a 1 on the diagonal meanwhile."""
    missing = torch.diag_embed((~has).to(covariance.dtype))
    precision = torch.cholesky_inverse(torch.linalg.cholesky(covariance + missing))
    negative = _unit_diagonal(precision, has).neg_()
    negative.diagonal(dim1=-2, dim2=-1).copy_(has)
    return negative
