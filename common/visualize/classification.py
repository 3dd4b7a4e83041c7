"""Figures of a classification result."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics

from ..data.atomic import atomic_path

__all__ = ["plot_classification"]


def plot_classification(
    probabilities: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    predicted: np.ndarray,
    path: Path,
    title: str = "",
) -> None:
    """Draw ROC, precision-recall, reliability diagram and confusion matrix.

    Args:
        probabilities: class probabilities (N, C); curves are one-vs-rest, for C = 2 of class 1 only.
        labels: class index (N,).
        class_names: C names.
        predicted: class index (N,) at the chosen threshold.
        path: PNG to write.
        title: line above the panels.
    """
    figure = Figure(figsize=(15, 3.9), layout="constrained")
    roc, recall, reliability, confusion = figure.subplots(1, 4)
    for k in [1] if len(class_names) == 2 else range(len(class_names)):
        truth = labels == k
        if 0 < truth.sum() < len(truth):
            false_positive, true_positive, _ = metrics.roc_curve(truth, probabilities[:, k])
            area = metrics.auc(false_positive, true_positive)
            roc.plot(false_positive, true_positive, label=f"{class_names[k]} {area:.3f}")
            precision, sensitivity, _ = metrics.precision_recall_curve(truth, probabilities[:, k])
            area = metrics.average_precision_score(truth, probabilities[:, k])
            recall.plot(sensitivity, precision, label=f"{class_names[k]} {area:.3f}", drawstyle="steps-post")
            recall.axhline(truth.mean(), color="0.7", linestyle=":")
    roc.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    roc.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity")
    recall.set(title="precision-recall", xlabel="recall", ylabel="precision", ylim=(0, 1.03))
    _draw_reliability(reliability, probabilities, labels)
    for axis in (roc, recall):
        axis.legend(frameon=False, loc="lower right")
    matrix = metrics.confusion_matrix(labels, predicted, labels=range(len(class_names)))
    confusion.imshow(matrix, cmap="Blues")
    for (i, j), value in np.ndenumerate(matrix):
        confusion.text(j, i, value, ha="center", va="center", color="white" if value > matrix.max() / 2 else "black")
    ticks = range(len(class_names))
    confusion.set(title="confusion", xlabel="predicted", ylabel="true", xticks=ticks, yticks=ticks)
    confusion.set_xticklabels(class_names)
    confusion.set_yticklabels(class_names, rotation=90, va="center")
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_reliability(axis: Axes, probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 10) -> None:
    """Accuracy against confidence of the predicted class; the area of a point shows its number of cases."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    filled = np.unique(bins)
    points = [(confidence[bins == b].mean(), correct[bins == b].mean()) for b in filled]
    sizes = [400 * (bins == b).mean() + 10 for b in filled]
    low = 1 / probabilities.shape[1]
    axis.plot([low, 1], [low, 1], color="0.7", linestyle=":")
    axis.plot(*zip(*points, strict=True), color="#4c78a8", alpha=0.5)
    axis.scatter([x for x, _ in points], [y for _, y in points], s=sizes, color="#4c78a8")
    axis.set(title="reliability", xlabel="confidence", ylabel="accuracy", xlim=(low - 0.02, 1.02), ylim=(-0.03, 1.03))
