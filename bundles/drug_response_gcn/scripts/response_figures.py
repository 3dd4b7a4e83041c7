"""Figures of predicted responses: all pairs, drugs, cells, and what the intervals hold."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .common.data.atomic import atomic_path
from .response_metrics import MIN_PAIRS, grouped_correlation

__all__ = ["correlation_table", "plot_group", "plot_responses"]

BLUE, ORANGE, RED, GREY = "#4c78a8", "#f2a541", "#e45756", "0.35"
NUM_BINS = 10


def correlation_table(pairs: pd.DataFrame, column: str) -> pd.DataFrame:
    """How well each drug or each cell is predicted.

    Args:
        pairs: columns ``drug, cell, y, pred``.
        column: ``drug`` or ``cell``.

    Returns:
        Columns ``<column>, pairs, r, rmse`` of those with 5 pairs or more, largest r first.
    """
    codes, names = pd.factorize(pairs[column])
    y, pred = pairs["y"].to_numpy(float), pairs["pred"].to_numpy(float)
    correlation, counts = grouped_correlation(y, pred, codes)
    rmse = np.sqrt(np.bincount(codes, (y - pred) ** 2) / counts)
    table = pd.DataFrame({column: names.astype(str), "pairs": counts, "r": correlation, "rmse": rmse})
    return table[counts >= MIN_PAIRS].sort_values(["r", column], ascending=[False, True], ignore_index=True)


def plot_responses(pairs: pd.DataFrame, path: Path, title: str = "", level: float | None = None) -> None:
    """Draw predicted against measured, drugs by correlation, cells by correlation, and coverage of the intervals.

    Args:
        pairs: columns ``drug, cell, y, pred`` (ln IC50, IC50 in micromolar) and, for the last panel, ``low, high``.
        path: PNG to write.
        title: line above the panels.
        level: share that the intervals promise to hold, drawn as a dotted line.

    Raises:
        ValueError: no pair.
    """
    if not len(pairs):
        raise ValueError("plot_responses: pairs has no row; draw a section that has measured responses.")
    figure = Figure(figsize=(14, 10.5), layout="constrained", facecolor="white")
    (scatter, drugs), (cells, coverage) = figure.subplots(2, 2)
    _draw_hexbin(figure, scatter, pairs)
    _draw_drugs(drugs, correlation_table(pairs, "drug"))
    _draw_cells(cells, correlation_table(pairs, "cell")["r"].to_numpy())
    _draw_coverage(coverage, pairs, level)
    for axis in (scatter, drugs, cells, coverage):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=11)
        axis.xaxis.label.set_size(13)
        axis.yaxis.label.set_size(13)
        axis.title.set_size(15)
    figure.suptitle(title, fontsize=16, fontweight="bold")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def plot_group(pairs: pd.DataFrame, path: Path) -> None:
    """Draw predicted against measured responses of one drug or one cell, as a small square picture."""
    figure = Figure(figsize=(2.6, 2.6), facecolor="white")
    axis = figure.add_axes((0.2, 0.18, 0.76, 0.76))  # a layout that measures text would take most of the time
    low, high = _limits(pairs)
    axis.plot([low, high], [low, high], color="0.7", linestyle=":", linewidth=1)
    axis.scatter(pairs["y"], pairs["pred"], s=9, color=BLUE, alpha=0.55, linewidths=0)
    axis.set(xlim=(low, high), ylim=(low, high), xlabel="measured", ylabel="predicted", aspect="equal")
    axis.locator_params(nbins=4)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _limits(pairs: pd.DataFrame) -> tuple[float, float]:
    values = pairs[["y", "pred"]].to_numpy(float)
    margin = 0.05 * max(float(np.ptp(values)), 1e-3)
    return float(values.min()) - margin, float(values.max()) + margin


def _draw_hexbin(figure: Figure, axis: Axes, pairs: pd.DataFrame) -> None:
    low, high = _limits(pairs)
    cells = axis.hexbin(
        pairs["y"], pairs["pred"], gridsize=60, extent=(low, high, low, high), bins="log", mincnt=1, cmap="viridis"
    )
    axis.plot([low, high], [low, high], color=RED, linestyle=":", linewidth=1.5)
    bar = figure.colorbar(cells, ax=axis, pad=0.01)
    bar.set_label("pairs", fontsize=12)
    bar.outline.set_visible(False)
    rmse = float(np.sqrt(np.mean((pairs["y"] - pairs["pred"]) ** 2)))
    axis.text(0.03, 0.97, f"RMSE {rmse:.2f}\n{len(pairs):,} pairs", transform=axis.transAxes, va="top", fontsize=13)
    axis.set(
        title="all pairs", xlabel="measured ln IC50", ylabel="predicted ln IC50", xlim=(low, high), ylim=(low, high)
    )


def _draw_drugs(axis: Axes, table: pd.DataFrame, named: int = 5) -> None:
    """Bars of r, sorted; the best and the worst drugs are named."""
    axis.set(title="each drug over cells", xlabel="drugs, sorted", ylabel="r of predicted and measured")
    if table.empty:
        axis.text(0.5, 0.5, f"no drug has {MIN_PAIRS} pairs", transform=axis.transAxes, ha="center", fontsize=13)
        return
    r = table["r"].to_numpy()
    axis.bar(np.arange(len(r)), r, width=1.0 if len(r) > 60 else 0.85, color=np.where(r >= 0, BLUE, RED), linewidth=0)
    axis.axhline(r.mean(), color=ORANGE, linewidth=2)
    axis.text(len(r) - 0.5, r.mean(), f"mean {r.mean():.2f} ", color="#b06f00", ha="right", va="bottom", fontsize=13)
    axis.set(xlim=(-0.5, len(r) - 0.5), ylim=(min(0.0, float(r.min()) - 0.05), 1.36))
    axis.set_yticks([tick for tick in np.arange(-1, 1.01, 0.25) if tick >= min(0.0, float(r.min()))])
    axis.set_xticks([])
    number = min(named, len(r) // 2)
    lists = [("best", 0.02, "left", range(number)), ("worst", 0.98, "right", range(len(r) - number, len(r)))]
    for name, place, side, rows in lists:
        lines = [name] + [f"{_short(table['drug'][k])}  {r[k]:.2f}" for k in rows]
        axis.text(place, 0.99, "\n".join(lines), transform=axis.transAxes, ha=side, va="top", fontsize=10.5, color=GREY)


def _draw_cells(axis: Axes, r: np.ndarray) -> None:
    axis.set(title="each cell line over drugs", xlabel="r of predicted and measured", ylabel="cell lines")
    if not len(r):
        axis.text(0.5, 0.5, f"no cell has {MIN_PAIRS} pairs", transform=axis.transAxes, ha="center", fontsize=13)
        return
    margin = 0.005  # all cells may have the same r
    axis.hist(r, bins=25, range=(r.min() - margin, r.max() + margin), color=BLUE)
    axis.axvline(r.mean(), color=ORANGE, linewidth=2)
    axis.margins(y=0.12)
    left = r.mean() > (r.min() + r.max()) / 2
    text = f" mean {r.mean():.2f} "
    axis.text(r.mean(), 0.99, text, transform=axis.get_xaxis_transform(), ha="right" if left else "left", va="top",
              color="#b06f00", fontsize=13)  # fmt: skip


def _draw_coverage(axis: Axes, pairs: pd.DataFrame, level: float | None) -> None:
    """Share of measured responses inside the interval, over tenths of the predicted response."""
    axis.set(title="what the intervals hold", xlabel="predicted ln IC50, tenths of the pairs", ylabel="share inside")
    known = pairs.dropna(subset=["low", "high"]) if {"low", "high"} <= set(pairs) else pairs.iloc[:0]
    if known.empty:
        axis.text(0.5, 0.5, "no intervals", transform=axis.transAxes, ha="center", fontsize=13)
        return
    ordered = known.sort_values("pred")
    inside = ordered["y"].between(ordered["low"], ordered["high"]).to_numpy()
    parts = np.array_split(np.arange(len(ordered)), min(NUM_BINS, len(ordered)))
    shares = [float(inside[part].mean()) for part in parts]
    places = [float(ordered["pred"].iloc[part].mean()) for part in parts]
    axis.plot(places, shares, color=BLUE, marker="o", markersize=8, linewidth=2)
    axis.axhline(inside.mean(), color=ORANGE, linewidth=2)
    promise = ""
    if level is not None:
        axis.axhline(level, color=RED, linestyle=":", linewidth=1.5)
        promise = f" ({100 * level:g} % promised, dotted)"
    width = float((ordered["high"] - ordered["low"]).median())
    least = min(0.5, *shares)
    axis.set_ylim(least - 0.12 * (1.01 - least), 1.01)  # room for the text
    text = f"{100 * inside.mean():.1f} % inside{promise}\nmedian width {width:.2f} ln units"
    axis.text(0.03, 0.04, text, transform=axis.transAxes, fontsize=13, color="#b06f00")


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."
