"""Table of how well lesions stand out in fused images and in what they were fused from."""

import csv
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from torch import Tensor

from ..data.atomic import atomic_path
from ..data.fusion_cases import AFFINE_TOLERANCE_MM
from ..data.fusion_results import MODEL
from ..metrics.fusion_baselines import FUSION_BASELINES
from ..metrics.lesion_contrast import BRATS_LESIONS, PAIR_LESIONS, RING_MM, lesion_regions, region_contrast
from ..transforms.fusion_output import fused_output
from .fusion_case import source_captions

__all__ = ["LesionContrast"]

BASELINES = ("average", "maximum")
COLUMNS = ("id", "group", "section", "lesion", "size", "best_source", "ratio")


class LesionContrast:
    """Write ``lesion_contrast.csv``: contrast-to-noise of each lesion in the fused image, its sources and baselines.

    A case takes part when it has a label map ``truth`` (1, H, W[, D]) on the grid of its ``image`` (N, H, W[, D]); if
    none has, there is no file. A row is one lesion of one case: its size in pixels, ``cnr_<method>`` and
    ``contrast_<method>`` (signed, gray levels of [0, 1]) with the methods ``model``, the sources by name, ``average`` and
    ``maximum``; ``best_source``, that of the highest CNR, and ``ratio``, CNR of the model by that of the best source.
    See :func:`~..metrics.lesion_contrast`.

    Args:
        output_dir: folder for the table.
        output_range: ``clip`` or ``minmax``, as the postprocessing of ``pred`` has it; the baselines follow.
        names: of the sources; None, or another number than a case has, is ``source 1``, ``source 2``, ...
        lesions: name of each lesion, and its labels; None is :data:`~..metrics.lesion_contrast.BRATS_LESIONS` for
            volumes and :data:`~..metrics.lesion_contrast.PAIR_LESIONS`, those of the phantoms, for images.
        normal: labels of normal tissue; None is 0 for volumes, as in BraTS, and for images 0 and 1 that no lesion has.
            Where all sources are 0 there is no tissue.
        ring_mm: nearest and farthest distance of the normal tissue from the tumour; in pixels where a file has no
            spacing.
    """

    def __init__(
        self,
        output_dir: str,
        output_range: str,
        names: Sequence[str] | None = None,
        lesions: Mapping[str, Sequence[int]] | None = None,
        normal: Sequence[int] | None = None,
        ring_mm: tuple[float, float] = RING_MM,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.output_range = output_range
        self.names = names
        self.lesions = lesions
        self.normal = normal
        self.ring_mm = ring_mm
        self.rows: list[dict[str, Any]] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _begin(self, engine: Engine) -> None:
        self.rows = []

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if case.get("truth") is None or case.get("error"):
                continue
            try:
                self.rows += self._measure(case, output["pred"])
            except Exception as problem:  # one case must not cost the others their results
                self.logger.warning(f"{case['id']}: {' '.join(str(problem).split())}")

    def _measure(self, case: Mapping[str, Any], fused: Tensor) -> list[dict[str, Any]]:
        """Rows of one case; the images are made one after the other."""
        sources = _plain(case["image"])
        lesions, normal = self._labels(volume=sources.ndim == 4)
        truth, shown, spacing = _truth_on_grid(case), (sources != 0).any(0), _spacing(case)
        regions = lesion_regions(truth, shown, lesions, normal, spacing, self.ring_mm)
        rows = [
            {name: case[name] for name in ("id", "group", "section")} | {"lesion": name, "size": int(part.lesion.sum())}
            for name, part in regions.items()
        ]
        names = source_captions(self.names, len(sources))
        for method, image in self._images(fused, sources, names):
            for row, region in zip(rows, regions.values(), strict=True):
                found = region_contrast(image, region)
                row |= {f"cnr_{method}": found.cnr, f"contrast_{method}": found.contrast}
        return [row | _best(row, names) for row in rows]

    def _labels(self, volume: bool) -> tuple[Mapping[str, Sequence[int]], Sequence[int]]:
        """Labels of the lesions and of normal tissue."""
        lesions = self.lesions or (BRATS_LESIONS if volume else PAIR_LESIONS)
        taken = {k for part in lesions.values() for k in part}
        return lesions, self.normal or [k for k in ((0,) if volume else (0, 1)) if k not in taken]

    def _images(self, fused: Tensor, sources: Tensor, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        yield MODEL, fused
        yield from zip(names, sources, strict=True)
        for name in BASELINES:
            joined = FUSION_BASELINES[name](sources[None].flatten(3))  # pixelwise: a volume needs no slices
            yield name, fused_output(joined.reshape(1, *sources.shape[1:]), sources, self.output_range)

    def _finish(self, engine: Engine) -> None:
        if not self.rows:
            return
        names = dict.fromkeys(name for row in self.rows for name in row if name not in COLUMNS)
        path = self.output_dir / "lesion_contrast.csv"
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
            writer = csv.DictWriter(handle, [*COLUMNS, *names], restval="")
            writer.writeheader()
            writer.writerows([{name: _cell(value) for name, value in row.items()} for row in self.rows])
        for lesion in dict.fromkeys(row["lesion"] for row in self.rows):
            self._log([row for row in self.rows if row["lesion"] == lesion])
        self.logger.info(f"contrast of lesions: {path}")

    def _log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Medians of one lesion over the cases that have it."""
        values = defaultdict(list)
        for row in rows:
            for name, value in row.items():
                if name.startswith("cnr_") and np.isfinite(value):
                    values[name.removeprefix("cnr_")].append(value)
        if MODEL not in values:
            return
        medians = {name: float(np.median(found)) for name, found in values.items()}
        single = [name for name in medians if name not in (MODEL, *BASELINES)]
        best = max(single, key=medians.__getitem__)
        text = f"model {medians[MODEL]:.1f}, best single source ({best}) {medians[best]:.1f}"
        text += "".join(f", {name} {medians[name]:.1f}" for name in BASELINES if name in medians)
        self.logger.info(f"contrast-to-noise of {rows[0]['lesion']}, median of {len(values[MODEL])} cases: {text}")


def _plain(image: Any) -> Tensor:
    return torch.as_tensor(image).as_subclass(Tensor).detach().cpu()


def _truth_on_grid(case: Mapping[str, Any]) -> Tensor:
    """Label map (H, W[, D]) of a case."""
    image, truth = case["image"], case["truth"]
    if truth.shape[1:] != image.shape[1:] or truth.shape[0] != 1:
        raise ValueError(
            f"LesionContrast: truth is {tuple(truth.shape)} and image {tuple(image.shape)}; they must be (1, ...) and "
            "(N, ...) of equal size."
        )
    placed = isinstance(image, MetaTensor) and isinstance(truth, MetaTensor)
    if placed and not torch.allclose(image.affine, truth.affine, rtol=0, atol=AFFINE_TOLERANCE_MM):
        raise ValueError("LesionContrast: truth and image have different affines; bring truth to the grid of image.")
    return _plain(truth)[0]


def _spacing(case: Mapping[str, Any]) -> list[float] | None:
    """Size of a voxel in mm, where image or truth tells it."""
    placed = (case[key] for key in ("image", "truth") if isinstance(case[key], MetaTensor))
    return next(([float(size) for size in image.pixdim[: image.ndim - 1]] for image in placed), None)


def _best(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    known = [name for name in names if np.isfinite(row[f"cnr_{name}"])]
    if not known:
        return {"best_source": "", "ratio": float("nan")}
    best = max(known, key=lambda name: row[f"cnr_{name}"])
    highest = row[f"cnr_{best}"]
    return {"best_source": best, "ratio": row[f"cnr_{MODEL}"] / highest if highest > 0 else float("nan")}


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return value
