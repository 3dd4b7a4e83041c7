"""Brain figures of an interpretation: glass brains of regions and edges, and a map in atlas space."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from nilearn import plotting
from numpy.typing import NDArray

from .figure_frame import GREY, LOBE_COLOURS, colour_bar, colour_scale, frame, lobe_legend, save

__all__ = ["plot_edges", "plot_map", "plot_regions"]


def plot_regions(
    rows: dict[str, NDArray[np.floating]],
    shown: dict[str, NDArray[np.bool_]],
    places: pd.DataFrame,
    label: str,
    title: str,
    note: str,
    path: Path,
) -> None:
    """Draw one glass brain a row with the chosen regions as dots, coloured by one scale.

    Args:
        rows: value of each region, (N,), by name of the row.
        shown: which regions are drawn, (N,), by name of the row.
        places: region table with centres.
        label: of the colour bar.
        title: what is seen.
        note: n and data, under the title.
        path: PNG to write.
    """
    figure = frame(title, note, height=1.3 + 3.1 * len(rows))
    values = np.concatenate([rows[name][shown[name]] for name in rows])
    scale, cmap = colour_scale(values, diverging=False)
    height = (figure.get_figheight() - 1.3) / figure.get_figheight() / len(rows)
    for k, name in enumerate(rows):
        bottom = 0.02 + height * (len(rows) - 1 - k)
        figure.text(0.012, bottom + height / 2, name, rotation=90, va="center", fontsize=15)
        display = plotting.plot_glass_brain(
            None, display_mode="lyrz", figure=figure, axes=(0.03, bottom, 0.85, height), annotate=True
        )
        _add_dots(display, places[shown[name]], cmap(scale(rows[name][shown[name]])), 90)
    colour_bar(figure, (0.9, 0.1, 0.014, 0.66), scale, cmap, label)
    save(figure, path)


def plot_edges(
    edges: pd.DataFrame,
    values: NDArray[np.floating],
    places: pd.DataFrame,
    label: str,
    title: str,
    note: str,
    path: Path,
) -> None:
    """Draw edges between centres of regions, coloured around zero; dots in the colour of the lobe.

    Args:
        edges: columns `row` and `column`, positions of the regions.
        values: of each edge, (E,).
        places: region table.
        label: of the colour bar.
        title: what is seen.
        note: n and data, under the title.
        path: PNG to write.
    """
    figure = frame(title, note, height=5.6)
    matrix = np.zeros((len(places), len(places)))
    matrix[edges["row"], edges["column"]] = matrix[edges["column"], edges["row"]] = values
    used = np.unique(edges[["row", "column"]])
    scale, cmap = colour_scale(values, True)
    colours = [LOBE_COLOURS.get(lobe, GREY) for lobe in places["lobe"].iloc[used]]
    plotting.plot_connectome(
        matrix[np.ix_(used, used)],
        places[["x", "y", "z"]].to_numpy()[used],
        node_color=colours,
        node_size=60,
        edge_cmap=cmap,
        edge_vmin=scale.vmin,
        edge_vmax=scale.vmax,
        display_mode="ortho",  # the views "l" and "r" would leave out edges between hemispheres
        figure=figure,
        axes=(0.015, 0.09, 0.86, 0.75),
        edge_kwargs={"linewidth": 2.5},
        colorbar=False,
    )
    lobe_legend(figure, [lobe for lobe in LOBE_COLOURS if lobe in set(places["lobe"].iloc[used])])
    colour_bar(figure, (0.9, 0.16, 0.014, 0.58), scale, cmap, label)
    save(figure, path)


def plot_map(image: nibabel.Nifti1Image, label: str, title: str, note: str, path: Path) -> None:
    """Draw a map in atlas space on slices of nilearn's MNI template.

    Args:
        image: one number a voxel, 0 outside the regions.
        label: of the colour bar.
        title: what is seen.
        note: n and data, under the title.
        path: PNG to write.
    """
    figure = frame(title, note, height=4.6)
    scale, cmap = colour_scale(np.asanyarray(image.dataobj).ravel(), True)
    plotting.plot_stat_map(
        image,
        display_mode="z",
        cut_coords=[-24, -8, 6, 22, 40, 56],
        cmap=cmap,
        vmax=scale.vmax,
        symmetric_cbar=True,
        colorbar=False,
        black_bg=False,
        resampling_interpolation="nearest",
        figure=figure,
        axes=(0.015, 0.0, 0.86, 0.84),
    )
    colour_bar(figure, (0.9, 0.12, 0.014, 0.6), scale, cmap, label)
    save(figure, path)


def _add_dots(display: Any, places: pd.DataFrame, colours: NDArray[np.floating], size: float) -> None:
    display.add_markers(
        places[["x", "y", "z"]].to_numpy(), marker_color=colours, marker_size=size, edgecolors="0.2", linewidths=0.6
    )
