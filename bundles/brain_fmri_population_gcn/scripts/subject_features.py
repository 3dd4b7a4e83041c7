"""Features of a subject, fitted on the training subjects of a fold."""

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.feature_selection import RFE
from sklearn.linear_model import RidgeClassifier, RidgeCV
from torch import Tensor, nn

from .subject_row import upper_triangle
from .tangent import correlation_matrices, mean_whitening, tangent_matrices

__all__ = ["ALPHAS", "SubjectFeatures"]

ALPHAS = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
_EPSILON = 1e-6


class SubjectFeatures(nn.Module):
    r"""Edges (M, E) to F features: components of the edges, and the score of a ridge regression.

    .. math::
        z = [\,(e - \mu_e) / \sigma_e, \;(t - \mu_t) / \sigma_t\,], \qquad f = (z P - o) / s

    with the Fisher-z edges e, and t, the same edges in the tangent space at the mean of the training subjects. Missing
    edges (0) become the mean. The first F - 1 columns of P are principal components of the training subjects, or single
    edges chosen by recursive elimination; the last is a ridge regression of the label on z, its strength chosen by
    leave-one-out error within the training subjects. The score, single edges and the first component have unit variance
    over training; the further components keep their proportion to it, so that weak ones, which are mostly noise, stay weak.

    A ridge regression knows its own training subjects too well. Their score is therefore the one that a regression
    without the subject gives (leave one out, in closed form); new subjects get the score of the full regression.

    Args:
        num_regions: N, so E = N (N - 1) / 2.
        num_features: F, 2 or more.
        method: ``components`` or ``selection``.
        tangent: use t beside e.

    Raises:
        ValueError: for fewer than two features or an unknown method.

    Reference:
        Abraham et al., NeuroImage 147:736-745 (2017) and Dadi et al., NeuroImage 192:115-134 (2019): ridge regression
        of connectivity, tangent space. Parisot et al. (2018), section 3.2: recursive elimination of edges.
    """

    whitening: Tensor
    mean: Tensor
    std: Tensor
    projection: Tensor
    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        num_regions: int,
        num_features: int,
        method: Literal["components", "selection"] = "components",
        tangent: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 2:
            raise ValueError(f"SubjectFeatures: num_features is {num_features}, it must be 2 or more.")
        if method not in ("components", "selection"):
            raise ValueError(f"SubjectFeatures: method is {method!r}, choose components or selection.")
        self.num_regions = num_regions
        self.num_features = num_features
        self.method = method
        self.tangent = tangent
        edges = num_regions * (num_regions - 1) // 2
        width = edges * (2 if tangent else 1)
        self.register_buffer("whitening", torch.eye(num_regions))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.register_buffer("projection", torch.zeros(width, num_features))
        self.register_buffer("offset", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))

    def fit(self, edges: Tensor, labels: Sequence[int], seed: int = 0) -> Tensor:
        """Fit on training subjects, in place.

        Args:
            edges: (T, E), 0 where missing.
            labels: 0 or 1 of each, length T.
            seed: of the randomised decomposition.

        Returns:
            Features (T, F) of the training subjects.

        Raises:
            ValueError: fewer subjects than features, or one class only.
        """
        if len(edges) <= self.num_features or len(set(labels)) < 2:
            raise ValueError(
                f"SubjectFeatures: {len(edges)} training subjects with labels {sorted(set(labels))} do not suffice for "
                f"{self.num_features} features; give more subjects of both classes or lower num_features."
            )
        edges = edges.double()
        self._store("whitening", mean_whitening(correlation_matrices(edges, self.num_regions)))
        values = self._values(edges, self.whitening.double())
        known = values.isfinite()
        count = known.sum(0).clamp(min=1)
        mean = values.nan_to_num(0).sum(0) / count
        std = ((values - mean).nan_to_num(0).square().sum(0) / count).sqrt()
        self._store("mean", mean)
        self._store("std", torch.where(std > _EPSILON, std, 1.0))
        z = self.standardised(edges).double().numpy()
        target = np.where(np.asarray(labels) == 1, 1.0, -1.0)
        ridge, scores = _ridge(z, target)
        features = self._components(z, target, seed)
        projection = np.column_stack([features, ridge.coef_])
        raw = z @ projection
        # z w of a regression without the subject; its intercept, the mean label of the others, would tell the own label
        others = (target.sum() - target) / (len(target) - 1)
        raw[:, -1] = (scores - others) * (1 - 1 / len(target))
        self._store("projection", torch.from_numpy(projection))
        self._store("offset", torch.from_numpy(raw.mean(0)))
        self._store("scale", torch.from_numpy(self._scale(raw.std(0))))
        return ((torch.from_numpy(raw) - self.offset) / self.scale).float()

    def standardised(self, edges: Tensor) -> Tensor:
        """Standardised edges, the z of the class: (M, E) -> (M, width), 0 where an edge is missing."""
        values = self._values(edges.double(), self.whitening.double())
        return ((values - self.mean) / self.std).nan_to_num(0).float()

    def features(self, edges: Tensor) -> Tensor:
        """Features (M, F) of subjects that the fit did not see."""
        return (self.standardised(edges) @ self.projection - self.offset) / self.scale

    def _values(self, edges: Tensor, whitening: Tensor) -> Tensor:
        """Edges, and edges in the tangent space; NaN where an edge is missing."""
        plain = edges.masked_fill(edges == 0, torch.nan)
        if not self.tangent:
            return plain
        matrices = correlation_matrices(edges, self.num_regions)
        return torch.cat([plain, upper_triangle(tangent_matrices(matrices, whitening))], dim=1)

    def _scale(self, std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divisor (F,) of the features: components keep their proportions, single edges and the score have unit variance."""
        std = std.clip(_EPSILON)
        return np.r_[np.full(len(std) - 1, std[0]), std[-1]] if self.method == "components" else std

    def _components(self, z: NDArray[np.float64], target: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        """Columns (width, F - 1) of the projection."""
        count = self.num_features - 1
        if self.method == "components":
            return PCA(count, svd_solver="randomized", random_state=seed).fit(z).components_.T
        chosen = RFE(RidgeClassifier(alpha=5000), n_features_to_select=count, step=0.02).fit(z, target > 0)
        return np.eye(z.shape[1])[:, np.flatnonzero(chosen.support_)]

    def _store(self, name: str, value: Tensor) -> None:
        setattr(self, name, value.float())


def _ridge(z: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[RidgeCV, NDArray[np.float64]]:
    """Ridge regression at the strength of least leave-one-out error, and its leave-one-out scores (T,)."""
    ridge = RidgeCV(ALPHAS, scoring="neg_mean_squared_error", store_cv_results=True).fit(z, target)
    scores = ridge.cv_results_[:, ALPHAS.index(ridge.alpha_)]
    logging.getLogger("features").info(f"ridge regression of {z.shape[1]} edges: alpha {ridge.alpha_:g}")
    return ridge, scores
