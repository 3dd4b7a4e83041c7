"""Evaluation of a fusion network beside the baselines."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..data.fusion_results import MODEL, fusion_protocol, write_fusion_results
from ..metrics.fusion import FUSION_METRICS, HIGHER_IS_BETTER
from ..metrics.fusion_baselines import FUSION_BASELINES
from ..visualize.fusion import plot_best_and_worst
from .fusion_case import case_head, case_picture, case_rows, source_captions

__all__ = ["FusionReport"]

KEPT = 3  # best and worst pairs in the figure
SHOWN = ("qabf", "vif", "ssim", "scd", "mi", "psnr")


class FusionReport:
    """Write ``metrics.csv``, ``metrics.json``, ``comparison.csv`` and ``fusion.png`` of one section.

    Args:
        output_dir: folder for the results.
        section: section to report.
        data: where the data come from, for the protocol line.
        output_range: ``clip`` or ``minmax``, as the postprocessing of ``pred`` has it; the baselines follow.
        metrics: names in :data:`~..metrics.FUSION_METRICS`; None is all.
        baselines: names in :data:`~..metrics.FUSION_BASELINES`; None is all.
        num_bootstrap: resamples of the 95 % interval over groups.
        primary: metric by which ``fusion.png`` ranks the pairs.
        names: captions of the sources; None is ``source 1``, ``source 2``, ...

    Raises:
        ValueError: ``metrics``, ``primary`` or ``baselines`` name something unknown, or the section has no cases.
    """

    def __init__(
        self,
        output_dir: str,
        section: str,
        data: str,
        output_range: str,
        metrics: Sequence[str] | None = None,
        baselines: Sequence[str] | None = None,
        num_bootstrap: int = 1000,
        primary: str = "qabf",
        names: Sequence[str] | None = None,
    ) -> None:
        chosen = list(FUSION_METRICS if metrics is None else metrics)
        if primary not in chosen or not set(chosen) <= set(FUSION_METRICS):
            raise ValueError(
                f"FusionReport: metrics are {chosen} and primary is {primary!r}; metrics are some of"
                f" {list(FUSION_METRICS)}, and primary is one of them."
            )
        if unknown := [name for name in baselines or () if name not in FUSION_BASELINES]:
            raise ValueError(f"FusionReport: baseline {unknown[0]!r} is unknown; they are {list(FUSION_BASELINES)}.")
        self.output_dir = Path(output_dir)
        self.metrics = metrics
        self.section = section
        self.data = data
        self.output_range = output_range
        self.baselines = baselines
        self.num_bootstrap = num_bootstrap
        self.primary = primary
        self.names = names
        self.rows: list[dict[str, Any]] = []
        self.pictures: list[dict[str, Any]] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def _begin(self, engine: Engine) -> None:
        self.rows, self.pictures = [], []

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if case["section"] != self.section:
                continue
            if case.get("error"):
                self.rows.append(case_head(case) | {"error": case["error"]})
                continue
            rows = case_rows(case, output["pred"], self.output_range, self.metrics, self.baselines)
            self.rows += rows
            values = rows[0]["values"]
            if np.isfinite(values.get(self.primary, np.nan)):
                shown = {name: values[name] for name in (self.primary, *SHOWN) if np.isfinite(values.get(name, np.nan))}
                self._keep(case_picture(case, output["pred"]) | {"id": str(case["id"]), "values": shown})

    def _keep(self, picture: dict[str, Any]) -> None:
        """Hold the pictures of the best and worst pairs only."""
        pictures = sorted([*self.pictures, picture], key=lambda other: other["values"][self.primary])
        self.pictures = pictures if len(pictures) <= 2 * KEPT else pictures[:KEPT] + pictures[-KEPT:]

    def _report(self, engine: Engine) -> None:
        if not self.rows:
            raise ValueError(f"FusionReport: section {self.section!r} has no cases; add it to dataset.json.")
        protocol = fusion_protocol(
            f"{Path(self.data).name}: section {self.section}", self.output_range, self.num_bootstrap
        )
        figures = write_fusion_results(self.output_dir, self.rows, protocol, self.num_bootstrap)
        if self.pictures:
            names = source_captions(self.names, len(self.pictures[0]["sources"]))
            path = self.output_dir / "fusion.png"
            plot_best_and_worst(self.pictures, path, self.primary, names, KEPT, HIGHER_IS_BETTER[self.primary])
        for method, entries in figures.items():
            shown = [name for name in dict.fromkeys([self.primary, *SHOWN[:4]]) if name in entries]
            text = ", ".join(f"{name} {entries[name]['value']:.3f}" for name in shown)
            self.logger.info(f"{method}: {text}, n {entries[self.primary]['n']}")
        failed = sum(bool(row["error"]) for row in self.rows)
        note = f"; {failed} cases failed (see the column error)" if failed else ""
        fused = sum(1 for row in self.rows if row["method"] == MODEL) - failed
        self.logger.info(f"results of {fused} pairs: {self.output_dir}/metrics.json, metrics.csv, comparison.csv{note}")
