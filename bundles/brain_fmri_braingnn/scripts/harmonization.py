"""ComBat: site effects of the edges removed by empirical Bayes, fitted on training cases only."""

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch.utils.data import Dataset

from .common.data import covariate_encoder, covariate_table
from .common.metrics import edge_vector

__all__ = ["ComBat", "ComBatd"]


class ComBat:
    """Parametric empirical-Bayes ComBat of E edges.

    ``y = alpha + X beta + gamma_site + delta_site eps``: location gamma and scale delta of each site are shrunk towards
    their mean over edges and taken out; what the covariates X explain stays. Diagnosis is no covariate: it is unknown
    for a new case, and keeping it in training alone would leak it.

    Departures, all for data not seen in training: a site without at least two training cases has the pooled location
    and scale (gamma 0, delta 1), so its cases come back unchanged. Missing edges (NaN) stand at the site's mean, then
    the mean of all, while fitting, and stay NaN.

    Args:
        tolerance: relative change at which the iteration for gamma and delta ends.
        max_iterations: its length at most.

    Reference:
        Johnson et al., Biostatistics 2007, 8(1):118-127, section 3.2; Fortin et al., NeuroImage 2018, 167:104-120.
    """

    def __init__(self, tolerance: float = 1e-4, max_iterations: int = 1000) -> None:
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def fit(self, edges: np.ndarray, sites: Sequence[Hashable], covariates: np.ndarray) -> "ComBat":
        """Estimate all parameters.

        Args:
            edges: training cases (M, E), NaN where missing.
            sites: site of each case, length M.
            covariates: (M, P), complete; (M, 0) for none.

        Returns:
            Itself.

        Raises:
            ValueError: lengths differ, or no site has two cases.
        """
        _check(edges, sites, covariates)
        members = {site: [k for k, name in enumerate(sites) if name == site] for site in dict.fromkeys(sites)}
        members = {site: index for site, index in members.items() if len(index) > 1}
        if not members:
            raise ValueError("ComBat: no site has two training cases; harmonise by a coarser site.")
        y = _filled(edges, list(members.values()))
        self._standardise(y, members, covariates)
        z = (y - self._expected(covariates)) / self.scale
        used = y.std(axis=0) > 0  # edges that no training case has say nothing about the priors
        self.effects = {}
        for site, index in members.items():
            gamma, variance = np.zeros_like(self.scale), np.ones_like(self.scale)
            gamma[used], variance[used] = self._posterior(z[index][:, used])
            self.effects[site] = gamma, variance
        return self

    def transform(self, edges: np.ndarray, sites: Sequence[Hashable], covariates: np.ndarray) -> np.ndarray:
        """Edges (M, E) without the effect of their sites; arguments as for :meth:`fit`."""
        _check(edges, sites, covariates)
        pooled = np.zeros_like(self.scale), np.ones_like(self.scale)
        effects = [self.effects.get(site, pooled) for site in sites]
        gamma, variance = (np.stack(part) for part in zip(*effects, strict=True))
        expected = self._expected(covariates)
        z = (edges - expected) / self.scale
        return np.asarray(self.scale * (z - gamma) / np.sqrt(variance) + expected)

    def _expected(self, covariates: np.ndarray) -> np.ndarray:
        return np.asarray(self.intercept + covariates @ self.slopes)

    def _standardise(self, y: np.ndarray, members: Mapping[Hashable, list[int]], covariates: np.ndarray) -> None:
        """Grand mean, slopes and pooled standard deviation by least squares; one column of the design a site."""
        rows = [k for index in members.values() for k in index]
        counts = [len(index) for index in members.values()]
        design = np.hstack([np.repeat(np.eye(len(counts)), counts, axis=0), covariates[rows]])
        coefficients = np.linalg.lstsq(design, y[rows], rcond=None)[0]
        self.intercept = np.average(coefficients[: len(counts)], axis=0, weights=counts)  # (E,)
        self.slopes = coefficients[len(counts) :]  # (P, E)
        scale = np.sqrt(((y[rows] - design @ coefficients) ** 2).mean(axis=0))
        self.scale = np.where(scale > 0, scale, 1.0)

    def _posterior(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Location gamma* and squared scale delta*^2 of one site, each (E,), by iterating their conditional means."""
        mean, variance = z.mean(axis=0), z.var(axis=0, ddof=1)  # gamma hat, delta^2 hat
        if len(mean) < 2 or variance.var(ddof=1) == 0:
            return mean, np.where(variance > 0, variance, 1.0)  # nothing to borrow strength from
        prior_mean, prior_variance = mean.mean(), mean.var(ddof=1)
        average, spread = variance.mean(), variance.var(ddof=1)
        shape, rate = 2 + average**2 / spread, average + average**3 / spread  # inverse gamma, method of moments
        gamma, squared = mean, variance
        for _ in range(self.max_iterations):
            weight = len(z) * prior_variance
            new = (weight * mean + squared * prior_mean) / (weight + squared)
            residual = ((z - new) ** 2).sum(axis=0)
            scale = (rate + residual / 2) / (len(z) / 2 + shape - 1)
            change = max(np.abs(new - gamma).max(), (np.abs(scale - squared) / scale).max())
            gamma, squared = new, scale
            if change < self.tolerance:
                break
        return gamma, squared


class ComBatd(MapTransform):
    """:class:`ComBat` of channel 0 of ``image``, fitted at first use on the training cases of the fold.

    The last transform before the network, after ``image`` (channels, N, N) is ready; missing regions stay zero.

    Args:
        keys: keys of the images.
        training: training cases prepared by the transforms before this one, with ``image``, site and covariates.
        site: entry that names the site; an absent one is a site of its own.
        numeric: covariates that are numbers, their median of training when absent.
        categorical: covariates that are categories.
    """

    def __init__(
        self,
        keys: KeysCollection,
        training: Dataset,
        site: str = "site",
        numeric: Sequence[str] = ("age",),
        categorical: Sequence[str] = ("sex",),
    ) -> None:
        super().__init__(keys)
        self.training = training
        self.site = site
        self.numeric = numeric
        self.categorical = categorical

    @cached_property
    def fitted(self) -> dict[Hashable, tuple[ComBat, Any]]:
        """Fitted harmonisation and covariate encoder of each key."""
        data: Any = self.training
        items = [data[k] for k in range(len(data))]
        encoder = covariate_encoder(self.numeric, self.categorical).fit(self._table(items))
        sites = [str(item.get(self.site)) for item in items]
        covariates = encoder.transform(self._table(items))
        edges = {key: np.stack([edge_vector(item[key]) for item in items]) for key in self.keys}
        return {key: (ComBat().fit(edges[key], sites, covariates), encoder) for key in self.keys}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Item with the edges harmonised; the input stays as it is."""
        item: dict[Any, Any] = dict(data)
        for key in self.keys:
            combat, encoder = self.fitted[key]
            edges = edge_vector(item[key])[None]
            edges = combat.transform(edges, [str(item.get(self.site))], encoder.transform(self._table([item])))[0]
            item[key] = _with_edges(item[key], edges)
        return item

    def _table(self, items: Sequence[Mapping]) -> Any:
        return covariate_table(items, self.numeric, self.categorical)


def _with_edges(image: torch.Tensor, edges: np.ndarray) -> torch.Tensor:
    result = torch.as_tensor(image).clone()
    size = result.shape[-1]
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size, 1)] = np.nan_to_num(edges)
    result[0] = torch.from_numpy(matrix + matrix.T).to(result.dtype)
    return result


def _check(edges: np.ndarray, sites: Sequence[Hashable], covariates: np.ndarray) -> None:
    if not len(edges) == len(sites) == len(covariates) or not np.isfinite(covariates).all():
        raise ValueError(
            f"ComBat: edges are {edges.shape}, sites {len(sites)}, covariates {covariates.shape}; give one row of each"
            " per case, covariates without NaN."
        )


def _filled(edges: np.ndarray, members: Sequence[list[int]]) -> np.ndarray:
    """Copy of the edges with NaN replaced by the mean of the site, else of all cases, else 0."""
    filled = np.array(edges, dtype=float)
    for index in [*members, list(range(len(filled)))]:
        part = filled[index]
        count = np.isfinite(part).sum(axis=0)
        mean = np.nansum(part, axis=0) / np.maximum(count, 1)
        filled[index] = np.where(np.isnan(part) & (count > 0), mean, part)
    return np.nan_to_num(filled)
