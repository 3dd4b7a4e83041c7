"""Figures of fused images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter

from ..data.atomic import atomic_path
from ..transforms.ycbcr import ycbcr_to_rgb

__all__ = ["plot_best_and_worst", "plot_fusion_panel"]

# no difference is as black as the background of the images
DIFFERENCES = LinearSegmentedColormap.from_list("differences", ["#b5e3ff", "#2b8be0", "#000000", "#e0452b", "#ffd9b5"])
BOX = "#ffd92f"
TILE, GAP, SCALE = 2.2, 0.05, 0.75  # inches: width of a tile, space between tiles, space for the colour bar
WINDOW = 0.25  # side of the detail as a share of the shorter side of the image
DARK = 0.05
SHOWN = 6  # figures beside a pair


def plot_fusion_panel(
    sources: np.ndarray,
    fused: np.ndarray,
    path: Path,
    chroma: np.ndarray | None = None,
    names: Sequence[str] = ("CT", "MRI"),
    title: str = "",
) -> None:
    """Draw sources, fused image and its differences to each source, and below the same detail of all of them.

    The detail is the window in which the sources disagree most where all show something, marked by a box. Differences are fused minus source in
    gray levels, on one scale: red is brighter than the source, blue darker, black equal.

    Args:
        sources: (N, H, W) in [0, 1], rows from top to bottom.
        fused: (H, W) in [0, 1].
        path: PNG to write.
        chroma: Cb and Cr (2, H, W) in [0, 1], the colours of the first source and the fused image; None is gray.
        names: name of each source.
        title: line above.

    Raises:
        ValueError: names and sources differ in number, or images in size.
    """
    _check(sources, fused, names)
    images, differences = _tiles(sources, fused, chroma)
    limit = _limit(differences)
    top, left, side = _detail(sources)
    window = np.s_[top : top + side, left : left + side]
    ratio = fused.shape[0] / fused.shape[1]
    figure, axes = _canvas([ratio, 1], 2 * len(names) + 1, header=0.6 if title else 0.3)
    drawn = _draw(axes[0], images, differences, limit)
    _draw(axes[1], [image[window] for image in images], [part[window] for part in differences], limit)
    for axis in axes[0]:
        axis.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, color=BOX, linewidth=1.2))
    for axis in axes[1]:
        axis.spines[:].set(visible=True, color=BOX, linewidth=1.2)
    _caption(axes[0], names)
    _add_scale(figure, axes[:, -1], drawn)
    if title:
        figure.suptitle(title, fontsize=12, y=1 - 0.07 / figure.get_figheight(), va="top")
    _save(figure, path)


def plot_best_and_worst(
    cases: Sequence[Mapping[str, Any]],
    path: Path,
    metric: str,
    names: Sequence[str] = ("CT", "MRI"),
    k: int = 3,
    higher_is_better: bool = True,
) -> None:
    """Draw the best and the worst pairs by a metric, one a row, with their figures.

    Args:
        cases: pairs with ``id``, ``sources``, ``fused``, ``chroma`` (as for :func:`plot_fusion_panel`) and ``values``
            (metric -> number), of which the first few stand beside the image, ``metric`` in front.
        path: PNG to write.
        metric: the metric that ranks.
        names: name of each source.
        k: number of best and of worst pairs; fewer where they would overlap.
        higher_is_better: direction of the metric.

    Raises:
        ValueError: there are no pairs, or one lacks the metric.
    """
    lacking = [case["id"] for case in cases if not np.isfinite(case["values"].get(metric, np.nan))]
    if lacking or not cases:
        raise ValueError(
            f"plot_best_and_worst: metric is {metric!r}, which {lacking[0] if lacking else 'an empty list of pairs'}"
            " has not; rank by one that every pair has."
        )
    order = sorted(cases, key=lambda case: case["values"][metric], reverse=higher_is_better)
    count = min(k, max(len(order) // 2, 1))
    chosen = [("best", case) for case in order[:count]] + [("worst", case) for case in order[count:][-count:]]
    tiles = [_tiles(case["sources"], case["fused"], case.get("chroma")) for _, case in chosen]
    limit = _limit([part for _, differences in tiles for part in differences])
    ratios = [case["fused"].shape[0] / case["fused"].shape[1] for _, case in chosen]
    figure, axes = _canvas(ratios, 2 * len(names) + 1, header=0.3, label=1.6)
    for row, (rank, case), (images, differences) in zip(axes, chosen, tiles, strict=True):
        drawn = _draw(row, images, differences, limit)
        values = {metric: case["values"][metric], **case["values"]}
        figures = "\n".join(f"{name} {value:.3g}" for name, value in list(values.items())[:SHOWN])
        style = {"transform": row[0].transAxes, "ha": "right", "va": "top", "fontsize": 9}
        row[0].text(-0.05, 0.98, f"{rank}\n{case['id']}", weight="bold", **style)
        row[0].text(-0.05, 0.8, figures, linespacing=1.4, **style)
    _caption(axes[0], names)
    _add_scale(figure, axes[:2, -1], drawn)
    _save(figure, path)


def _check(sources: np.ndarray, fused: np.ndarray, names: Sequence[str]) -> None:
    if len(names) != len(sources) or sources.shape[1:] != fused.shape:
        raise ValueError(
            f"plot_fusion_panel: sources are {sources.shape}, fused {fused.shape}, names {list(names)}; give (N, H, W),"
            " (H, W) and N names."
        )


def _tiles(
    sources: np.ndarray, fused: np.ndarray, chroma: np.ndarray | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """N sources and the fused image, (H, W) or (H, W, 3) in [0, 1], and N differences (H, W) in gray levels."""
    images = [_coloured(sources[0], chroma), *sources[1:], _coloured(fused, chroma)]
    return images, [255 * (fused - source) for source in sources]


def _coloured(gray: np.ndarray, chroma: np.ndarray | None) -> np.ndarray:
    if chroma is None:
        return gray
    y, colours = (torch.as_tensor(np.ascontiguousarray(part), dtype=torch.float32) for part in (gray[None], chroma))
    return ycbcr_to_rgb(y, colours).clamp(0, 1).permute(1, 2, 0).numpy()


def _detail(sources: np.ndarray) -> tuple[int, int, int]:
    """First row, first column and side of the square window in which the sources disagree most.

    Only pixels that no source leaves dark count, else the window would lie where one of them shows nothing at all.
    """
    rows, columns = sources.shape[1:]
    side = max(round(WINDOW * min(rows, columns)), 1)
    low, high = sources.min(axis=0), sources.max(axis=0)
    seen = low > DARK if (low > DARK).any() else np.ones_like(low, dtype=bool)
    spread = uniform_filter(np.where(seen, high - low, 0).astype(float), side, mode="constant")
    half = side // 2  # the window of the filter begins half a side before its centre
    inside = spread[half : half + rows - side + 1, half : half + columns - side + 1]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left), side


def _limit(differences: Sequence[np.ndarray]) -> float:
    return max(float(np.percentile(np.abs(np.concatenate([part.ravel() for part in differences])), 99.5)), 1.0)


def _canvas(ratios: Sequence[float], columns: int, header: float, label: float = 0.05) -> tuple[Figure, np.ndarray]:
    """Tiles close together, one row for each ratio of height to width; header and label are margins in inches."""
    height = header + sum(TILE * ratio + GAP for ratio in ratios)
    width = label + columns * (TILE + GAP) + SCALE
    figure = Figure(figsize=(width, height))
    axes = np.empty((len(ratios), columns), dtype=object)
    y = height - header
    for row, ratio in enumerate(ratios):
        y -= TILE * ratio
        for k in range(columns):
            x = label + k * (TILE + GAP)
            axes[row, k] = figure.add_axes((x / width, y / height, TILE / width, TILE * ratio / height))
            axes[row, k].set(xticks=[], yticks=[])
            axes[row, k].spines[:].set_visible(False)
        y -= GAP
    return figure, axes


def _draw(axes: np.ndarray, images: Sequence[np.ndarray], differences: Sequence[np.ndarray], limit: float) -> AxesImage:
    """Fill one row; returns the last image, whose scale is that of all differences."""
    for axis, image in zip(axes, images, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, aspect="auto")
    for axis, image in zip(axes[len(images) :], differences, strict=True):
        drawn = axis.imshow(image, cmap=DIFFERENCES, vmin=-limit, vmax=limit, aspect="auto")
    return drawn


def _caption(axes: np.ndarray, names: Sequence[str]) -> None:
    captions = [*names, "fused", *(f"fused \N{MINUS SIGN} {name}" for name in names)]
    for axis, caption in zip(axes, captions, strict=True):
        axis.set_title(caption, fontsize=11, pad=4)


def _add_scale(figure: Figure, column: np.ndarray, drawn: AxesImage) -> None:
    """A colour bar on the right of a column of tiles, of their height."""
    first, last = column[0].get_position(), column[-1].get_position()
    axis = figure.add_axes(
        (first.x1 + 0.1 / figure.get_figwidth(), last.y0, 0.1 / figure.get_figwidth(), first.y1 - last.y0)
    )
    figure.colorbar(drawn, cax=axis).set_label("gray levels", fontsize=9, labelpad=0)
    axis.tick_params(labelsize=8, length=2, pad=2)
    axis.spines[:].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
