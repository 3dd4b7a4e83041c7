"""Curves of a training run."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..data.atomic import atomic_path

__all__ = ["plot_history"]

COLOURS = {"train": "#4c78a8", "val": "#e45756"}


def plot_history(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Draw one panel a metric with its training and validation curve, and the learning rate.

    Args:
        rows: one dictionary an epoch: ``epoch``, ``learning_rate``, ``train_<metric>``, ``val_<metric>``; an entry may
            be missing (no validation in that epoch) and leaves a gap that the curve bridges.
        path: PNG to write.
    """
    names = dict.fromkeys(name.split("_", 1)[1] for row in rows for name in row if name.startswith(("train_", "val_")))
    columns = 4
    figure = Figure(figsize=(4 * columns, 3 * math.ceil((len(names) + 1) / columns)), layout="constrained")
    axes = figure.subplots(math.ceil((len(names) + 1) / columns), columns, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        for part, colour in COLOURS.items():
            points = [(row["epoch"], row[f"{part}_{name}"]) for row in rows if f"{part}_{name}" in row]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                axis.plot(*zip(*points, strict=True), color=colour, label=part, marker=".", markersize=4)
        axis.set_title(name)
        axis.legend(frameon=False)
    axes[len(names)].plot([row["epoch"] for row in rows], [row["learning_rate"] for row in rows], color="#54a24b")
    axes[len(names)].set(title="learning rate", yscale="log")
    for axis in axes[: len(names) + 1]:
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.25)
    for axis in axes[len(names) + 1 :]:
        axis.remove()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
