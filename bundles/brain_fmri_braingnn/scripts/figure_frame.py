"""What the figures of an interpretation have in common: title, colours, colour bar, legend of lobes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .common.data.atomic import atomic_path

__all__ = ["GREY", "LOBE_COLOURS", "MEMBER", "colour_bar", "colour_scale", "frame", "label_bar", "lobe_legend", "save"]

LOBE_COLOURS = {
    "Frontal": "#4c78a8",
    "Parietal": "#f2a541",
    "Temporal": "#54a24b",
    "Occipital": "#b279a2",
    "Insula": "#e45756",
    "Limbic": "#72b7b2",
    "Subcortical": "#9d755d",
}
GREY = "0.35"
MEMBER = "#e45756"  # dots of members of a community


def frame(title: str, note: str, height: float) -> Figure:
    """White figure, 14 inches wide and `height` high, with a title and a line of notes under it."""
    figure = Figure(figsize=(14, height), facecolor="white")
    figure.text(0.02, 1 - 0.28 / height, title, fontsize=19, fontweight="bold", va="top")
    figure.text(0.02, 1 - 0.72 / height, note, fontsize=12, color=GREY, va="top")
    return figure


def colour_scale(values: NDArray[np.floating], diverging: bool) -> tuple[Normalize, Any]:
    """Norm and colour map of the values, around zero when `diverging`."""
    if not diverging:
        return Normalize(float(values.min()), float(values.max())), colormaps["viridis_r"]
    most = max(float(np.nanmax(np.abs(values))), 1e-12)
    return TwoSlopeNorm(0, -most, most), colormaps["RdBu_r"]


def colour_bar(figure: Figure, box: tuple[float, float, float, float], scale: Normalize, cmap: Any, label: str) -> None:
    """Add a colour bar in `box` (left, bottom, width, height as shares of the figure)."""
    label_bar(figure.colorbar(ScalarMappable(scale, cmap), cax=figure.add_axes(box)), label)


def label_bar(bar: Any, label: str) -> None:
    """Label a colour bar."""
    bar.set_label(label, fontsize=13)
    bar.locator = MaxNLocator(6)
    bar.ax.tick_params(labelsize=11)
    bar.outline.set_visible(False)


def lobe_legend(figure: Figure, lobes: Sequence[str], member: bool = False) -> None:
    """Legend of lobes at the bottom, and of the dots of members."""
    handles = [Line2D([], [], ls="", marker="o", ms=9, color=LOBE_COLOURS[lobe], label=lobe) for lobe in lobes]
    if member:
        handles.append(Line2D([], [], ls="", marker="o", ms=4, color=MEMBER, label="member (paper's rule)"))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=11)


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
