"""Files of an inference run of a fusion bundle."""

import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from ignite.engine import Engine, Events
from PIL import Image
from torch import Tensor

from ..data.atomic import atomic_path
from ..data.fusion_results import write_fusion_table
from ..visualize.fusion import plot_fusion_panel
from .fusion_case import case_head, case_picture, case_rows, rgb_levels, source_captions

__all__ = ["FusionWriter"]


class FusionWriter:
    """Write each fused image, a panel beside its sources, and ``metrics.csv`` of the model and the baselines.

    A 2-D image becomes ``<id>_fused.png`` (8 bit, RGB where the case has ``chroma``), a volume ``<id>_fused.nii.gz``
    (float32 in [0, 1], the affine of the input). A case that comes with an ``error``, or whose files cannot be written,
    keeps a row that says why; the others go on. Characters of an id that no file name should have become ``_``.

    Args:
        output_dir: folder for all files.
        output_range: ``clip`` or ``minmax``, as the postprocessing of ``pred`` has it; the baselines follow.
        panels: write ``<id>_panel.png``.
        metrics: compute the figures; without, ``metrics.csv`` is a list of the cases.
        names: captions of the sources; None is ``source 1``, ``source 2``, ...
    """

    def __init__(
        self,
        output_dir: str,
        output_range: str,
        panels: bool = True,
        metrics: bool = True,
        names: Sequence[str] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.output_range = output_range
        self.panels = panels
        self.metrics = metrics
        self.names = names
        self.rows: list[dict[str, Any]] = []
        self.files: dict[str, str] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _begin(self, engine: Engine) -> None:
        self.rows, self.files = [], {}

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            rows, error = [case_head(case)], case["error"]
            if not error:
                try:
                    self._write(case, output["pred"])
                    if self.metrics:
                        rows = case_rows(case, output["pred"], self.output_range)
                except Exception as problem:  # one case must not cost the others their results
                    error = " ".join(f"{type(problem).__name__}: {problem}".split())
                    self.logger.warning(f"{case['id']}: {error}")
            self.rows += [case_head(case) | {"error": error}] if error else rows

    def _write(self, case: dict[str, Any], fused: Tensor) -> None:
        name = self._file_name(str(case["id"]))
        chroma = case.get("chroma")
        if fused.ndim == 4:
            _write_volume(self.output_dir / f"{name}_fused.nii.gz", fused, case["image"])
        else:
            levels = (255 * fused).round().clamp(0, 255) if chroma is None else rgb_levels(fused, chroma)
            _write_png(self.output_dir / f"{name}_fused.png", levels)
        if self.panels:
            picture, captions = case_picture(case, fused), source_captions(self.names, len(case["image"]))
            path = self.output_dir / f"{name}_panel.png"
            plot_fusion_panel(**picture, path=path, names=captions, title=str(case["id"]))

    def _file_name(self, case: str) -> str:
        """A file name of its own for each id: a name that another id has already gets a checksum."""
        name = re.sub(r"[^\w.+-]+", "_", case).strip("._") or "case"
        if self.files.setdefault(name.lower(), case) != case:
            name += f"_{zlib.crc32(case.encode()):08x}"
            self.files[name.lower()] = case
        return name

    def _finish(self, engine: Engine) -> None:
        write_fusion_table(self.output_dir / "metrics.csv", self.rows)
        failed = sum(bool(row.get("error")) for row in self.rows)
        fused = len({row["id"] for row in self.rows}) - failed
        note = f", {failed} failed (see the column error)" if failed else ""
        self.logger.info(f"{fused} fused images{note}: {self.output_dir}, figures in metrics.csv")


def _write_png(path: Path, levels: Tensor) -> None:
    """Levels (1 or 3, H, W)."""
    array = levels.as_subclass(Tensor).detach().cpu().numpy().astype(np.uint8).transpose(1, 2, 0)
    with atomic_path(path) as temporary:
        Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(temporary, compress_level=1)


def _write_volume(path: Path, fused: Tensor, image: Tensor) -> None:
    affine = getattr(image, "affine", torch.eye(4))
    volume = nibabel.Nifti1Image(
        fused[0].as_subclass(Tensor).detach().cpu().float().numpy(),
        torch.as_tensor(affine, dtype=torch.float64).numpy(),
    )
    volume.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nibabel.save(volume, temporary)
