"""Figure of the communities that a convolution has learnt."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from .communities import community_order, memberships
from .figure_frame import GREY, LOBE_COLOURS, MEMBER, frame, label_bar, lobe_legend, save

__all__ = ["plot_communities"]


def plot_communities(strength: NDArray[np.floating], places: pd.DataFrame, title: str, note: str, path: Path) -> None:
    """Draw relu(alpha), regions ordered by community along the width, a strip of lobes beneath, members dotted.

    Args:
        strength: (N, K), scaled to a mean of 1.
        places: region table.
        title: what is seen.
        note: n and data, under the title.
        path: PNG to write.
    """
    figure = frame(title, note, height=5.6)
    order = community_order(strength)
    axis: Axes = figure.add_axes((0.06, 0.24, 0.82, 0.55))
    strip: Axes = figure.add_axes((0.06, 0.185, 0.82, 0.035))
    image = axis.imshow(strength[order].T, aspect="auto", cmap="Blues", vmin=0, interpolation="nearest")
    member = np.argwhere(memberships(strength)[order])
    axis.scatter(member[:, 0], member[:, 1], s=9, color=MEMBER, linewidths=0)
    axis.set(xticks=[], yticks=range(strength.shape[1]), yticklabels=range(1, strength.shape[1] + 1))
    axis.set_ylabel("community", fontsize=13)
    names = list(LOBE_COLOURS)
    lobes = np.array([names.index(lobe) if lobe in names else len(names) for lobe in places["lobe"]])[order]
    colours = ListedColormap([*LOBE_COLOURS.values(), GREY])
    strip.imshow(lobes[None], aspect="auto", cmap=colours, vmin=-0.5, vmax=len(names) + 0.5, interpolation="nearest")
    strip.set(xticks=[], yticks=[])
    strip.set_xlabel(f"{len(order)} regions, ordered by strongest community; colour: lobe", fontsize=12)
    for spine in [*axis.spines.values(), *strip.spines.values()]:
        spine.set_visible(False)
    lobe_legend(figure, [lobe for lobe in names if lobe in set(places["lobe"])], member=True)
    bar = figure.colorbar(image, cax=figure.add_axes((0.9, 0.24, 0.014, 0.55)))
    label_bar(bar, "strength relu(alpha), mean 1")
    save(figure, path)
