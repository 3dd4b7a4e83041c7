"""``predictions.csv`` of an inference run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..data.results import write_predictions
from ..metrics import decide

__all__ = ["PredictionWriter"]


class PredictionWriter:
    """Collect the class probabilities of every case and write the table at the end.

    A case with an ``error`` keeps its row, without a prediction. Attach it after the postprocessing, which must turn
    ``pred`` into probabilities (C,).

    Args:
        output_dir: folder for ``predictions.csv``.
        class_names: names of the C classes.
        threshold: a binary case is positive at this probability of class 1; None is argmax.
    """

    def __init__(self, output_dir: str, class_names: Sequence[str], threshold: float | None = None) -> None:
        self.path = Path(output_dir) / "predictions.csv"
        self.class_names = list(class_names)
        self.threshold = threshold
        self.rows: list[dict[str, Any]] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Engine) -> None:
        self.rows = []

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            row = {key: case[key] for key in ("id", "group", "section", "error")} | {"label": int(case["label"])}
            if not row["error"]:
                row["prob"] = np.asarray(output["pred"].cpu(), dtype=float).tolist()
                row["pred"] = int(decide(np.asarray([row["prob"]]), self.threshold)[0])
            self.rows.append(row)

    def _write(self, engine: Engine) -> None:
        write_predictions(self.path, self.rows, self.class_names)
        failed = sum(bool(row["error"]) for row in self.rows)
        note = f", {failed} of them with an error (see the column)" if failed else ""
        self.logger.info(f"{len(self.rows)} cases{note}: {self.path}")
