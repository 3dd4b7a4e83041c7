"""Figure of an evaluation of exams: ROC of each task and reliability of the stack."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics

from .common.data.atomic import atomic_path
from .names import PLANES, TASKS

__all__ = ["plot_exam_report"]

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d")
LINES = ("-", "--", "-.", ":")


def plot_exam_report(
    probabilities: Mapping[str, np.ndarray],
    members: np.ndarray,
    labels: np.ndarray,
    path: Path,
    title: str = "",
    tasks: Sequence[str] = TASKS,
) -> None:
    """Draw the ROC curves of each task and the reliability diagram of the first method.

    Args:
        probabilities: method -> (N, T); the first is drawn bold, it is the stack.
        members: scores of the planes (N, 3, T), thin grey lines; NaN where an exam lacks the plane.
        labels: (N, T), 0 or 1; -1 is left out.
        path: PNG to write.
        title: line above the panels.
        tasks: names of the T tasks.
    """
    figure = Figure(figsize=(4 * (len(tasks) + 1), 4.2), layout="constrained")
    axes = figure.subplots(1, len(tasks) + 1)
    for t, (axis, task) in enumerate(zip(axes, tasks, strict=False)):
        for p, plane in enumerate(PLANES):
            style = {"color": "0.6", "linewidth": 1, "linestyle": LINES[p], "zorder": 1}
            _draw_roc(axis, members[:, p, t], labels[:, t], plane, style)
        for k, (name, scores) in enumerate(probabilities.items()):
            style = {"color": COLOURS[k % len(COLOURS)], "linewidth": 1.2 if k else 2.5, "zorder": 2 if k else 3}
            _draw_roc(axis, scores[:, t], labels[:, t], name.replace("_", " "), style)
        axis.plot([0, 1], [0, 1], color="0.7", linestyle=":", zorder=0)
        axis.set(title=f"ROC {task}", xlabel="1 - specificity", ylabel="sensitivity")
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False, loc="lower right", fontsize=8)
        else:
            axis.text(0.5, 0.3, "one class only", ha="center", color="0.4")
    name, stack = next(iter(probabilities.items()))
    _draw_reliability(axes[-1], stack, labels, tasks)
    axes[-1].set(title=f"reliability of the {name}", xlabel="probability", ylabel="share of positives")
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_roc(axis: Axes, scores: np.ndarray, labels: np.ndarray, name: str, style: Mapping[str, Any]) -> None:
    known = (labels >= 0) & np.isfinite(scores)
    truth = labels[known]
    if 0 < truth.sum() < len(truth):
        false_positive, true_positive, _ = metrics.roc_curve(truth, scores[known])
        area = metrics.auc(false_positive, true_positive)
        axis.plot(false_positive, true_positive, label=f"{name} {area:.3f}", **style)


def _draw_reliability(
    axis: Axes, probabilities: np.ndarray, labels: np.ndarray, tasks: Sequence[str], num_bins: int = 5
) -> None:
    """Share of positives against mean probability of a bin; the area of a point shows its number of exams."""
    axis.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    for t, task in enumerate(tasks):
        known = labels[:, t] >= 0
        p, truth = probabilities[known, t], labels[known, t]
        bins = np.minimum((p * num_bins).astype(int), num_bins - 1)
        filled = np.unique(bins)
        x, y = ([float(v[bins == b].mean()) for b in filled] for v in (p, truth))
        colour = COLOURS[t % len(COLOURS)]
        axis.plot(x, y, color=colour, alpha=0.5)
        axis.scatter(x, y, s=[250 * (bins == b).mean() + 10 for b in filled], color=colour, label=task)
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axis.legend(frameon=False, loc="upper left", fontsize=8)
