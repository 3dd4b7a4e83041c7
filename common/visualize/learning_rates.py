"""Result of a learning rate range test."""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from ..data.atomic import atomic_path

__all__ = ["plot_learning_rates", "suggest_learning_rate", "write_learning_rates"]

FEWEST = 10  # rates with a finite loss
HEADROOM = 1.3  # of the figure, above the largest smoothed loss before the minimum


def suggest_learning_rate(
    rates: Sequence[float], losses: Sequence[float], sigma: float = 3.0
) -> tuple[float, np.ndarray]:
    """Rate at which the smoothed loss falls fastest, before its minimum.

    MONAI's ``LearningRateFinder`` smooths with the past only, so that its curve, and the suggestion, lag by twenty
    steps; here the window is centred, and the logarithm is smoothed, which a loss that has diverged cannot dominate.

    Args:
        rates: (K,) > 0, in equal steps of their logarithm.
        losses: (K,), one of each rate, best of one and the same batch, not smoothed; all from the first that is no number,
            or not positive, are left out.
        sigma: of the Gaussian window, in steps.

    Returns:
        The rate, and the smoothed losses (k,), k <= K.

    Raises:
        ValueError: when fewer than ten losses are left, or the loss never falls.

    Reference:
        Smith, Cyclical learning rates for training neural networks, WACV 2017, section 3.3 (the range test).
    """
    values = np.asarray(losses, dtype=float)
    usable = np.isfinite(values) & (values > 0)
    count = len(values) if usable.all() else int(usable.argmin())
    if count < FEWEST:
        raise ValueError(
            f"suggest_learning_rate: {count} of {len(values)} losses are positive numbers up to the first that is not,"
            f" and {FEWEST} are needed; pass a smaller --start_rate, or look for bad images."
        )
    smooth = np.exp(gaussian_filter1d(np.log(values[:count]), sigma, mode="nearest"))
    lowest = int(smooth.argmin())
    if lowest == 0:
        raise ValueError(
            "suggest_learning_rate: the loss never falls below that of the first rate; pass a smaller --start_rate and a"
            " larger --end_rate."
        )
    slope = np.gradient(smooth)[: lowest + 1]
    return float(rates[int(slope.argmin())]), smooth


def plot_learning_rates(
    rates: Sequence[float], losses: Sequence[float], path: Path, suggestion: float | None, smooth: np.ndarray | None
) -> None:
    """Draw the loss over the learning rate, with the suggested rate.

    Args:
        rates: (K,) > 0.
        losses: (K,); those that are no numbers leave a gap.
        path: PNG to write.
        suggestion: rate to mark, or None.
        smooth: smoothed losses of the first rates, or None.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(rates, losses, color="#9db8d6", linewidth=1, label="loss of a batch")
    if smooth is not None:
        axis.plot(rates[: len(smooth)], smooth, color="#4c78a8", linewidth=2.5, label="smoothed")
        axis.set_ylim(0, HEADROOM * float(smooth[: int(smooth.argmin()) + 1].max()))
    if suggestion is not None:
        axis.axvline(suggestion, color="#e45756", linestyle="--", label=f"falls fastest: {suggestion:.2g}")
    axis.set_xscale("log")
    axis.set_xlabel("learning rate", fontsize=14)
    axis.set_ylabel("loss", fontsize=14)
    axis.tick_params(labelsize=12)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False, fontsize=12)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def write_learning_rates(history: Mapping[str, Sequence[float]], output_dir: str) -> float:
    """Write ``learning_rates.csv`` and ``learning_rates.png`` and log the rate to take.

    Args:
        history: ``lr`` and ``loss`` of MONAI's ``LearningRateFinder``, run with ``smooth_f=0``.
        output_dir: folder for both files.

    Returns:
        The suggested rate.

    Raises:
        ValueError: when there is none (:func:`suggest_learning_rate`); both files are there then, too.
    """
    rates, losses, folder = list(history["lr"]), list(history["loss"]), Path(output_dir)
    with atomic_path(folder / "learning_rates.csv") as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["learning_rate", "loss"])
        writer.writerows(zip(rates, losses, strict=True))
    try:
        suggestion, smooth = suggest_learning_rate(rates, losses)
    except ValueError:
        plot_learning_rates(rates, losses, folder / "learning_rates.png", None, None)
        raise
    plot_learning_rates(rates, losses, folder / "learning_rates.png", suggestion, smooth)
    logging.getLogger("LearningRateFinder").info(
        f"the loss falls fastest at a learning rate of {suggestion:.2g} ({len(rates)} rates from {rates[0]:.2g} to"
        f" {rates[-1]:.2g}); pass --learning_rate {suggestion:.2g}. Curve: {folder}/learning_rates.png"
    )
    return suggestion
