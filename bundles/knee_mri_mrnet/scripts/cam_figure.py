"""Montage of one exam and one task: where each plane saw it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from .common.data.atomic import atomic_path
from .names import PLANES

__all__ = ["PlaneEvidence", "plot_cam"]

COLOURS = matplotlib.colormaps["inferno"]
TRUTH, WINNER, PAPER, INK = "#4fd8ff", "#ffb000", "#101216", "#e6e6e6"
OPACITY = 0.55
DIRECTIONS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}  # left, right, top and bottom of the image
CORNERS = (
    (0.02, 0.5, "left", "center"),
    (0.98, 0.5, "right", "center"),
    (0.5, 0.98, "center", "top"),
    (0.5, 0.02, "center", "bottom"),
)


class PlaneEvidence(NamedTuple):
    """What one plane shows.

    Args:
        image: slices (S, H, W) in [0, 1].
        maps: evidence in logits for each place (S, H, W), see :func:`~.explanation.upsample_maps`.
        slice_scores: evidence in logits for each slice (S,).
        winner: the slice to show.
        probability: of this plane's own network.
        mask: the true finding (S, H, W); None when unknown.
    """

    image: np.ndarray
    maps: np.ndarray
    slice_scores: np.ndarray
    winner: int
    probability: float
    mask: np.ndarray | None = None


def plot_cam(planes: Mapping[str, PlaneEvidence], path: Path, title: str = "") -> None:
    """Draw the winning slice of each plane with the evidence over it, and the evidence of all slices below.

    All planes share one colour scale from 0 (transparent) to the largest evidence of a shown slice, so that a plane
    that saw little looks like it; evidence against the finding is not coloured. The outline is the true finding, the
    marks under the bars are the slices that hold it.

    Args:
        planes: evidence by plane; one that is not there gets an empty tile.
        path: PNG to write.
        title: line above.

    Raises:
        ValueError: there is no plane, or arrays of a plane differ in shape.
    """
    if not planes:
        raise ValueError("plot_cam: there are no planes; give at least one.")
    for name, part in planes.items():
        if not part.image.shape == part.maps.shape == (part.image if part.mask is None else part.mask).shape:
            raise ValueError(
                f"plot_cam: image of the {name} plane has shape {part.image.shape}, maps {part.maps.shape}; upsample the"
                " maps to the image, and give the mask in the same shape."
            )
    limit = max(float(part.maps[part.winner].max()) for part in planes.values())
    scale = Normalize(0, max(limit, 1e-12))
    figure = Figure(figsize=(13.33, 6), facecolor=PAPER)
    grid = figure.add_gridspec(
        2,
        4,
        width_ratios=[1, 1, 1, 0.035],
        height_ratios=[1, 0.24],
        left=0.062,
        right=0.935,
        top=0.845,
        bottom=0.085,
        wspace=0.06,
        hspace=0.1,
    )
    scores = np.concatenate([part.slice_scores for part in planes.values()])
    span = (min(float(scores.min()), 0.0), max(float(scores.max()), 0.0))
    margin = 0.08 * (span[1] - span[0] or 1)
    for column, name in enumerate(PLANES):
        tile, bars = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
        if name not in planes:
            _draw_absent(tile, bars, name)
            continue
        _draw_slice(tile, name, planes[name], scale)
        _draw_scores(bars, planes[name])
        bars.set_ylim(span[0] - 3 * margin, span[1] + margin)
        bars.tick_params(labelleft=column == 0)
        if column == 0:
            bars.set_ylabel("evidence\n(logits)", color=INK, fontsize=9)
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), cax=figure.add_subplot(grid[0, 3]))
    bar.set_label("evidence (logits per place)", color=INK, fontsize=10)
    bar.ax.tick_params(colors=INK, labelsize=8)
    bar.outline.set_visible(False)
    if any(part.mask is not None for part in planes.values()):
        figure.text(0.935, 0.02, "true finding", color=TRUTH, fontsize=10, ha="right")
    figure.suptitle(title, color="white", fontsize=16, y=0.965)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, facecolor=PAPER)


def _draw_slice(axis: Axes, name: str, part: PlaneEvidence, scale: Normalize) -> None:
    share = np.clip(scale(part.maps[part.winner]), 0, 1)
    overlay = COLOURS(0.25 + 0.75 * share)  # the dark end of the map would hide the image
    overlay[..., 3] = OPACITY * np.sqrt(share) * np.clip(4 * share, 0, 1)
    axis.imshow(part.image[part.winner], cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    axis.imshow(overlay, interpolation="bilinear")
    if part.mask is not None and part.mask[part.winner].any():
        axis.contour(part.mask[part.winner], [0.5], colors=TRUTH, linewidths=1.6)
    for letter, (x, y, horizontal, vertical) in zip(DIRECTIONS[name], CORNERS, strict=True):
        axis.text(x, y, letter, color="0.75", fontsize=9, ha=horizontal, va=vertical, transform=axis.transAxes)
    text = f"{name}: slice {part.winner + 1} of {len(part.image)}, p = {part.probability:.2f}"
    axis.set_title(text, color=INK, fontsize=12)
    axis.axis("off")


def _draw_scores(axis: Axes, part: PlaneEvidence) -> None:
    slices = np.arange(1, len(part.slice_scores) + 1)
    colours = [WINNER if k == part.winner else "0.5" for k in range(len(slices))]
    axis.bar(slices, part.slice_scores, color=colours, width=0.75)
    axis.axhline(0, color="0.4", linewidth=0.8)
    if part.mask is not None:
        holding = slices[part.mask.any(axis=(1, 2))]
        marks: dict[str, Any] = {"marker": "s", "s": 14, "color": TRUTH, "clip_on": False}
        axis.scatter(holding, np.full(len(holding), 0.06), transform=axis.get_xaxis_transform(), **marks)
    axis.set(facecolor=PAPER, xlim=(0.25, len(slices) + 0.75), xticks=[part.winner + 1])
    axis.set_xlabel("slice", color=INK, fontsize=9, labelpad=0)
    axis.tick_params(colors=INK, labelsize=8, length=2)
    axis.spines[:].set_visible(False)


def _draw_absent(tile: Axes, bars: Axes, name: str) -> None:
    tile.text(0.5, 0.5, f"no {name} plane", color="0.6", fontsize=13, ha="center", va="center")
    tile.set_box_aspect(1)
    for axis in (tile, bars):
        axis.axis("off")
