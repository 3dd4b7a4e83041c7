"""What a sceptic would ask: how far do linear models of the edges, or site and motion alone, get?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch.utils.data import Dataset

from ..data.covariates import covariate_encoder, covariate_table

__all__ = ["CovariateBaseline", "EdgeBaseline", "edge_vector"]

MODELS: dict[str, Callable[[int], ClassifierMixin]] = {
    "ridge": lambda seed: RidgeClassifier(alpha=5000),
    "logistic": lambda seed: LogisticRegression(C=1e-3, max_iter=2000),
    "svm": lambda seed: SVC(kernel="linear", C=3e-4),
    "mlp": lambda seed: MLPClassifier((64,), alpha=1.0, early_stopping=True, random_state=seed),
}


def edge_vector(image: Any) -> np.ndarray:
    """Edges of one case: upper triangle of channel 0, row by row.

    Args:
        image: (channels, N, N); a region whose row of channel 0 is all zero is missing.

    Returns:
        (N (N - 1) / 2,), NaN at the edges of missing regions.
    """
    matrix = np.asarray(image[0]).astype(float)  # a copy
    missing = ~matrix.any(axis=1)
    matrix[missing] = np.nan
    matrix[:, missing] = np.nan
    return matrix[np.triu_indices(len(matrix), 1)]


class EdgeBaseline:
    """Classifier of the Fisher-z edges, each z-scored on the training cases; edges of missing regions are then 0.

    ``ridge``: alpha 5000; ``logistic``: C = 1e-3; linear ``svm``: C = 3e-4; ``mlp``: 64 hidden units, weight decay 1,
    stopped early on a tenth of the training cases. Ridge and SVM have no probabilities: theirs are
    ``sigmoid(2 d)`` of the decision value d, which keeps ranking and decision and has the slope of ``(1 + d) / 2``.

    Args:
        model: ``ridge``, ``logistic``, ``svm`` or ``mlp``.
        training: preprocessed training cases with ``image`` (channels, N, N) and ``label`` 0 or 1.
        cases: preprocessed cases to score, with ``id``.
        seed: seed of the mlp.
        edges: makes the vector of edges of an item's ``image``, NaN at edges to fill in; :func:`edge_vector` when the
            image is (channels, N, N).

    Raises:
        ValueError: when the model is unknown.
    """

    def __init__(
        self,
        model: str,
        training: Dataset,
        cases: Dataset,
        seed: int = 0,
        edges: Callable[[Any], np.ndarray] = edge_vector,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"EdgeBaseline: model is {model!r}, choose one of {sorted(MODELS)}.")
        self.model = model
        self.training = training
        self.cases = cases
        self.seed = seed
        self.edges = edges

    def __call__(self, ids: Sequence[str]) -> np.ndarray:
        """Fit on the training cases; probabilities (N, 2) of the cases with these ids."""
        edges, labels = _table(self.training, self.edges)
        scaling = StandardScaler(), SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
        pipeline = make_pipeline(*scaling, MODELS[self.model](self.seed)).fit(edges, labels)
        return _probabilities(pipeline, np.stack([self.edges(item["image"]) for item in _chosen(self.cases, ids)]))


class CovariateBaseline:
    """Logistic regression on motion, site, age and sex alone: what the edges must beat.

    Missing numbers take the median of training, a site that training lacks has no term.

    Args:
        training: training cases with ``label`` 0 or 1 and the covariates; each may be absent or NaN.
        cases: cases to score, with ``id``.
        numeric: entries that are numbers.
        categorical: entries that are categories.
    """

    def __init__(
        self,
        training: Dataset,
        cases: Dataset,
        numeric: Sequence[str] = ("motion", "age"),
        categorical: Sequence[str] = ("site", "sex"),
    ) -> None:
        self.training = training
        self.cases = cases
        self.numeric = numeric
        self.categorical = categorical

    def __call__(self, ids: Sequence[str]) -> np.ndarray:
        """Fit on the training cases; probabilities (N, 2) of the cases with these ids."""
        training = _items(self.training)
        pipeline = make_pipeline(covariate_encoder(self.numeric, self.categorical), LogisticRegression(max_iter=2000))
        pipeline.fit(covariate_table(training, self.numeric, self.categorical), [int(i["label"]) for i in training])
        cases = _chosen(self.cases, ids)
        return _probabilities(pipeline, covariate_table(cases, self.numeric, self.categorical))


def _items(dataset: Any) -> list[dict[str, Any]]:
    return [dataset[k] for k in range(len(dataset))]


def _table(dataset: Any, edges: Callable[[Any], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    rows = [(edges(item["image"]), int(item["label"])) for item in _items(dataset)]
    return np.stack([vector for vector, _ in rows]), np.array([label for _, label in rows])


def _chosen(dataset: Any, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Items with these ids, in this order."""
    by_id = {item["id"]: item for item in _items(dataset)}
    return [by_id[name] for name in ids]


def _probabilities(pipeline: Pipeline, features: Any) -> np.ndarray:
    if hasattr(pipeline, "predict_proba"):
        return np.asarray(pipeline.predict_proba(features))
    positive = expit(2 * pipeline.decision_function(features))
    return np.stack([1 - positive, positive], axis=1)
