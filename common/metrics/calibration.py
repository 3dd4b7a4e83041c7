"""Calibration of class probabilities."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

__all__ = ["expected_calibration_error", "fit_temperature", "softmax"]


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities ``softmax(logits / temperature)`` over the last axis, in float64."""
    return np.asarray(scipy_softmax(np.asarray(logits, dtype=float) / temperature, axis=-1))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Temperature that minimises the negative log likelihood of held-out cases.

    Args:
        logits: network output (N, C).
        labels: class index (N,).

    Returns:
        Temperature in [0.05, 20]; the ranking of a binary classifier does not change.

    Raises:
        ValueError: when a class index has no logit.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, Eq. (9).
    """
    labels = np.asarray(labels)
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"fit_temperature: labels lie in [{labels.min()}, {labels.max()}] but logits have {logits.shape[1]} classes;"
            " pass labelled cases only."
        )

    def negative_log_likelihood(log_temperature: float) -> float:
        scores = log_softmax(np.asarray(logits, dtype=float) / np.exp(log_temperature), axis=1)  # Eq. (9)
        return float(-scores[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(negative_log_likelihood, bounds=np.log([0.05, 20.0]), method="bounded")
    return float(np.exp(found.x))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over bins of equal width of the confidence.

    Args:
        probabilities: class probabilities (N, C).
        labels: class index (N,).
        num_bins: bins on [0, 1].

    Returns:
        Error in [0, 1]; 0 is perfect. With few cases it is biased upward.

    Reference:
        Guo et al., ICML 2017, Eq. (3).
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=num_bins)
    return float(np.abs(gap).sum() / len(labels))  # Eq. (3)
