"""Grid of the weights of the two pooling losses: the bundle's own training, once for every pair."""

import csv
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from monai.bundle import ConfigWorkflow

from .common.data.atomic import atomic_path

__all__ = ["LambdaStudy"]


class LambdaStudy:
    """Train for every pair of weights, write ``study_lambda.csv`` and a heat map ``study_lambda.png``.

    A finished run has left ``history.png`` in its folder and is not repeated; an unfinished one starts again.

    Args:
        config_files: of the training run, in order.
        weights: tried for the top-k pooling loss and for the group-level consistency loss.
        output_dir: folder of the runs and results.
        overrides: further ids of the training run.
        metric: column of ``history.csv`` whose best epoch is reported; higher is better. ``late_sd`` is its standard
            deviation over the second half of the epochs.
    """

    def __init__(
        self,
        config_files: Sequence[str],
        weights: Sequence[float],
        output_dir: str,
        overrides: Mapping[str, Any] | None = None,
        metric: str = "val_auc",
    ) -> None:
        self.config_files = list(config_files)
        self.weights = list(weights)
        self.output_dir = Path(output_dir)
        self.overrides = dict(overrides or {})
        self.metric = metric
        self.logger = logging.getLogger(type(self).__name__)

    def run(self) -> list[dict[str, float]]:
        """Run what is missing; the table, also in memory, has one row a pair."""
        rows = []
        for topk, consistency in itertools.product(self.weights, repeat=2):
            folder = self.output_dir / f"topk_{topk:g}_consistency_{consistency:g}"
            if not (folder / "history.png").is_file():
                self._train(folder, topk, consistency)
            rows.append({"topk": topk, "consistency": consistency} | self._best(folder))
            self.logger.info(f"topk {topk:g}, consistency {consistency:g}: {self.metric} {rows[-1][self.metric]:.4f}")
            self._write(rows)
        self._draw(rows)
        return rows

    def _train(self, folder: Path, topk: float, consistency: float) -> None:
        places = {"output_dir": str(folder), "model_dir": str(folder)}
        weights = {"loss#topk": topk, "loss#consistency": consistency}
        workflow = ConfigWorkflow(
            self.config_files, workflow_type="train", logging_file=False, **self.overrides | places | weights
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()

    def _best(self, folder: Path) -> dict[str, float]:
        with open(folder / "history.csv", newline="") as handle:
            rows = [row for row in csv.DictReader(handle) if row[self.metric]]
        best = max(rows, key=lambda row: float(row[self.metric]))
        late = [float(row[self.metric]) for row in rows[len(rows) // 2 :]]
        return {name: float(value) for name, value in best.items() if value} | {"late_sd": float(np.std(late))}

    def _write(self, rows: Sequence[Mapping[str, float]]) -> None:
        with atomic_path(self.output_dir / "study_lambda.csv") as temporary, open(temporary, "w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]), restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def _draw(self, rows: Sequence[Mapping[str, float]]) -> None:
        values = np.reshape([row[self.metric] for row in rows], (len(self.weights), -1))
        figure, axes = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
        plot = axes.imshow(values, origin="lower", cmap="viridis")
        bright = values.min() + 0.6 * np.ptp(values)
        for (row, column), value in np.ndenumerate(values):
            colour = "black" if value > bright else "white"
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour)
        names = [f"{weight:g}" for weight in self.weights]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="weight of the group-level consistency loss", ylabel="weight of the top-k pooling loss")
        figure.colorbar(plot, label=self.metric)
        with atomic_path(self.output_dir / "study_lambda.png") as temporary:
            figure.savefig(temporary, dpi=150, format="png")
        plt.close(figure)
