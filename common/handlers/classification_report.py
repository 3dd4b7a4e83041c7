"""Evaluation of a classifier: calibration on one section, figures on another."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..data.results import write_metrics, write_operating_point, write_predictions
from ..metrics import (
    bootstrap_intervals,
    classification_metrics,
    decide,
    fit_temperature,
    softmax,
    youden_threshold,
)
from ..visualize.classification import plot_classification

__all__ = ["ClassificationReport"]


class ClassificationReport:
    """Write ``predictions.csv``, ``metrics.json``, ``classification.png`` and the operating point of the weights.

    The evaluator runs over two sections in one pass and hands out logits. On ``calibrate_on`` the temperature and,
    for two classes, the Youden threshold are chosen and stored beside the weights; all figures are of ``section``.

    Args:
        output_dir: folder for the results.
        class_names: names of the C classes.
        section: section to report.
        calibrate_on: section for temperature and threshold.
        weights: weights file; the operating point goes to ``<name>.operating_point.json`` beside it.
        data: where the data come from, for the protocol line.
        calibrate: fit the temperature; False keeps 1, right when ``calibrate_on`` is too small for it.
        threshold: decision threshold of the second of two classes, fixed beforehand; None chooses Youden's.
        baselines: name -> function that maps the ids of the reported cases to probabilities (N, C).
        num_bootstrap: resamples of the 95 % interval over groups.
    """

    def __init__(
        self,
        output_dir: str,
        class_names: Sequence[str],
        section: str,
        weights: str,
        data: str,
        calibrate_on: str = "validation",
        calibrate: bool = True,
        threshold: float | None = None,
        baselines: dict[str, Callable[[Sequence[str]], np.ndarray]] | None = None,
        num_bootstrap: int = 1000,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.class_names = list(class_names)
        self.section = section
        self.weights = Path(weights)
        self.data = data
        self.calibrate_on = calibrate_on
        self.calibrate = calibrate
        self.threshold = threshold
        self.baselines = baselines or {}
        self.num_bootstrap = num_bootstrap
        self.cases: list[dict[str, Any]] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def _begin(self, engine: Engine) -> None:
        self.cases = []

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            row = {key: case[key] for key in ("id", "group", "section")}
            # the metrics of the evaluator need a one-hot label, this table the index
            label = int(output["label"].argmax()) if output["label"].numel() > 1 else int(output["label"])
            self.cases.append(row | {"label": label, "logits": np.asarray(output["logits"].cpu(), dtype=float)})

    def _chosen(self, section: str) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
        cases = [case for case in self.cases if case["section"] == section]
        if not cases:
            raise ValueError(f"ClassificationReport: section {section!r} has no cases; add it to dataset.json.")
        return cases, np.stack([case["logits"] for case in cases]), np.array([case["label"] for case in cases])

    def _report(self, engine: Engine) -> None:
        _, logits, labels = self._chosen(self.calibrate_on)
        temperature = fit_temperature(logits, labels) if self.calibrate else 1.0
        threshold = self.threshold
        if threshold is None and logits.shape[1] == 2:
            threshold = youden_threshold(softmax(logits, temperature)[:, 1], labels)
        write_operating_point(self.weights, temperature, threshold, self.calibrate_on)
        cases, logits, labels = self._chosen(self.section)
        probabilities = softmax(logits, temperature)
        predicted = decide(probabilities, threshold)
        figures = self._figures(self.output_dir / "predictions.csv", cases, labels, probabilities, predicted)
        baselines = {}
        for name, predict in self.baselines.items():
            scores = predict([case["id"] for case in cases])
            path = self.output_dir / "baselines" / f"{name}.csv"
            baselines[name] = self._figures(path, cases, labels, scores, decide(scores))
        rule = "fixed" if self.threshold is not None else f"Youden, chosen on {self.calibrate_on}"
        decision = "argmax" if threshold is None else f"threshold {threshold:.3f} ({rule})"
        kept = f"chosen on {self.calibrate_on}" if self.calibrate else "kept"
        protocol = (
            f"{Path(self.data).name}: section {self.section}; temperature {temperature:.3f} {kept}, {decision};"
            f" 95 % percentile bootstrap over groups, {self.num_bootstrap} resamples; baselines fitted on training, at"
            " argmax"
        )
        write_metrics(self.output_dir / "metrics.json", figures, baselines, protocol)
        title = f"section {self.section}: {len(cases)} cases, AUROC {figures['auroc']['value']:.3f}"
        plot_classification(
            probabilities, labels, self.class_names, predicted, self.output_dir / "classification.png", title
        )
        for name, row in {"model": figures, **baselines}.items():
            area = row["auroc"]
            self.logger.info(
                f"{name}: AUROC {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}],"
                f" accuracy {row['accuracy']['value']:.3f}, n {area['n']}"
            )
        self.logger.info(f"results: {self.output_dir}/metrics.json, predictions.csv and classification.png")

    def _figures(
        self,
        path: Path,
        cases: list[dict[str, Any]],
        labels: np.ndarray,
        probabilities: np.ndarray,
        predicted: np.ndarray,
    ) -> dict[str, dict[str, float]]:
        """Write the table of predictions and compute its figures with intervals."""
        rows = [
            {key: case[key] for key in ("id", "group", "section", "label")} | {"prob": p.tolist(), "pred": int(k)}
            for case, p, k in zip(cases, probabilities, predicted, strict=True)
        ]
        write_predictions(path, rows, self.class_names)

        def statistic(index: np.ndarray) -> dict[str, float]:
            return classification_metrics(probabilities[index], labels[index], predicted[index])

        return bootstrap_intervals(statistic, [case["group"] for case in cases], self.num_bootstrap)
