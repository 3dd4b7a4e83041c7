"""Picture of the fusion study: phantoms fused by all methods, with the planted lesions outlined."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from common.data import atomic_path
from common.data.brain_phantoms import PhantomSettings, make_phantom
from common.metrics import FUSION_METRICS
from common.transforms import fused_output, rgb_to_ycbcr, ycbcr_to_rgb

from .fusion_study_methods import TITLES, Fuser, fusers

PATIENTS, SLICES = 4, 3
MRI_LESION, FINDING = 3, 4  # labels of the truth
COLOURS = {MRI_LESION: "#4dd2ff", FINDING: "#ffd92f"}
ARROW = 24  # length in pixels
SMALLEST = 150  # pixels of a lesion that is worth a look
WIDTH, DPI, GAP, LABEL, HEADER, FOOTER = 16.0, 100, 0.04, 0.5, 0.62, 0.4  # inches


@torch.no_grad()
def draw_study(output: Path, modalities: Sequence[str], methods: Sequence[str], path: Path) -> dict[str, Any]:
    """Draw one phantom of each modality: its sources, then each method.

    Args:
        output: folder of the study, for the networks of the first fold of each modality.
        modalities: rows.
        methods: names of networks and baselines; baselines come first.
        path: PNG to write, 1600 pixels wide.

    Returns:
        ``caption``, and ``phantoms``: seed, slice and Qabf of the first network by modality.
    """
    ordered = sorted(methods, key=lambda name: name not in ("average", "maximum", "laplacian_pyramid"))
    first = methods[0]
    rows, phantoms = [], {}
    for modality in modalities:
        found = fusers(output / modality, ordered)
        case = _median_case(modality, found[first])
        phantoms[modality] = {name: case[name] for name in ("seed", "slice", "qabf")}
        rows.append((modality, case, {name: _fuse(fuse, case["image"]) for name, fuse in found.items()}))
    _draw(rows, ordered, path)
    caption = (
        f"Phantoms, not patients: AANLIB's images may not be shown. Networks of the first fold, trained on AANLIB."
        f" Each row is, of the slices of {PATIENTS} phantoms that show both planted lesions, the one with the median"
        f" Qabf of {TITLES[first]}. Blue: tumour that the MRI alone shows; yellow: finding that CT, PET or SPECT alone"
        " shows. Output range minmax; PET and SPECT in their colours."
    )
    return {"caption": caption, "phantoms": phantoms}


def _median_case(modality: str, fuse: Fuser) -> dict[str, Any]:
    cases = []
    for seed in range(PATIENTS):
        phantom = make_phantom(seed, modality, PhantomSettings(slices=SLICES))
        for k, truth in enumerate(phantom.truth):
            if all((truth == label).sum() >= SMALLEST for label in COLOURS):
                cases.append({"seed": seed, "slice": k, "truth": truth} | _pair(phantom.image[k], phantom.mri[k]))
    if not cases:
        raise ValueError(f"draw_study: no {modality} phantom shows both lesions; raise PATIENTS.")
    for case in cases:
        levels = [(255 * image).round() for image in (_fuse(fuse, case["image"])[None], case["image"][None])]
        case["qabf"] = float(FUSION_METRICS["qabf"](*levels))
    return sorted(cases, key=lambda case: case["qabf"])[(len(cases) - 1) // 2]


def _pair(image: np.ndarray, mri: np.ndarray) -> dict[str, Any]:
    """Sources (2, H, W) in [0, 1] and chroma (2, H, W), or None, of a gray or colour image and an MRI in 8 bits."""
    first = torch.from_numpy(np.atleast_3d(image)).movedim(-1, 0).float() / 255
    luma, chroma = rgb_to_ycbcr(first) if len(first) == 3 else (first, None)
    return {"image": torch.cat([luma, torch.from_numpy(mri)[None].float() / 255]), "chroma": chroma}


def _fuse(fuse: Fuser, image: Tensor) -> Tensor:
    """(1, H, W) of sources (2, H, W)."""
    return fused_output(fuse(image[None])[0], image, "minmax")


def _draw(rows: Sequence[tuple[str, dict[str, Any], dict[str, Tensor]]], methods: Sequence[str], path: Path) -> None:
    columns = 2 + len(methods)
    tile = (WIDTH - LABEL) / columns - GAP
    crops = [_head(case["image"]) for _, case, _ in rows]
    heights = [tile * (crop[0].stop - crop[0].start) / (crop[1].stop - crop[1].start) for crop in crops]
    total = HEADER + FOOTER + sum(heights) + GAP * len(rows)
    figure = Figure(figsize=(WIDTH, total), facecolor="white")
    y = total - HEADER
    for (modality, case, fused), crop, height in zip(rows, crops, heights, strict=True):
        y -= height
        images = [case["image"][:1], case["image"][1:], *fused.values()]
        for k, image in enumerate(images):
            place = ((LABEL + k * (tile + GAP)) / WIDTH, y / total, tile / WIDTH, height / total)
            axis = figure.add_axes(place)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            chroma = None if k == 1 else case["chroma"]
            axis.imshow(_coloured(image, chroma)[crop], cmap="gray", vmin=0, vmax=1, aspect="auto")
            _mark(axis, case["truth"][crop], (FINDING, MRI_LESION)[k : k + 1] if k < 2 else ())
            if y + height > total - HEADER - 1e-6:
                axis.set_title(
                    ["source", "MRI", *(TITLES[name].replace(" ", "\n") for name in methods)][k], fontsize=14, pad=5
                )
        centre = (y + height / 2) / total
        figure.text(LABEL / 2 / WIDTH, centre, modality, fontsize=16, rotation=90, ha="center", va="center")
        y -= GAP
    for x, label, text in (
        (0.27, MRI_LESION, "seen by the MRI alone"),
        (0.55, FINDING, "seen by CT, PET or SPECT alone"),
    ):
        figure.text(x, 0.12 / total, f"\N{BLACK SQUARE} {text}", fontsize=14, color="black")
        figure.text(x, 0.12 / total, "\N{BLACK SQUARE}", fontsize=14, color=COLOURS[label])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)


def _mark(axis: Axes, truth: np.ndarray, outlined: Sequence[int]) -> None:
    """Outline lesions where a source shows them; elsewhere an arrow points at each."""
    for label, colour in COLOURS.items():
        if label in outlined:
            axis.contour(truth == label, levels=[0.5], colors=colour, linewidths=1.5)
        elif not outlined:
            rows, columns = np.nonzero(truth == label)
            x, y = float(columns.mean()), float(rows.max()) + 2
            # a dark edge, because PET has both colours
            arrow = {"facecolor": colour, "edgecolor": "black", "width": 3, "headwidth": 9, "headlength": 8}
            axis.annotate("", (x, y), (x, y + ARROW), arrowprops=arrow | {"linewidth": 0.8, "shrink": 0})


def _head(image: Tensor) -> tuple[slice, slice]:
    """Rows and columns of what is not dark in either source."""
    seen = image.amax(0).numpy() > 0.05
    rows, columns = (np.nonzero(seen.any(axis=axis))[0] for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _coloured(image: Tensor, chroma: Tensor | None) -> np.ndarray:
    """(H, W), or with chroma (H, W, 3)."""
    return image[0].numpy() if chroma is None else ycbcr_to_rgb(image, chroma).movedim(0, -1).numpy()
