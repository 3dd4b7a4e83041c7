"""``predictions.csv`` of an inference run over exams."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from .exam_results import write_exam_predictions
from .names import PLANES, TASKS

__all__ = ["ExamWriter", "case_head", "decide_exam", "missing_note", "present_planes"]


def present_planes(case: Mapping[str, Any], output: Mapping[str, Any]) -> np.ndarray:
    """Which planes an exam has, (3,) bool: ``present`` of the output, else every plane with a pixel that is not 0."""
    if "present" in output:
        return np.asarray(torch.as_tensor(output["present"]).cpu(), dtype=bool)
    image = torch.as_tensor(case["image"] if "image" in case else output["image"])
    return np.asarray(image.flatten(1).any(dim=1).cpu(), dtype=bool)


def missing_note(present: np.ndarray) -> str:
    """``without sagittal`` for an exam that lacks this plane, empty for a complete one."""
    lacking = [plane for plane, there in zip(PLANES, present, strict=True) if not there]
    return f"without {', '.join(lacking)}" if lacking else ""


def decide_exam(probabilities: np.ndarray, present: np.ndarray, threshold: torch.Tensor) -> np.ndarray:
    """Answers (T,) 0 or 1: probability at or above the threshold that belongs to the planes at hand.

    Args:
        probabilities: (T,).
        present: planes of the exam (3,) bool.
        threshold: (8, T), row by bit pattern: bit k is ``PLANES[k]``.
    """
    row = sum(1 << k for k, there in enumerate(present) if there)
    return (probabilities >= np.asarray(threshold[row].detach().cpu(), dtype=float)).astype(int)


def case_head(case: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """``id``, ``group``, ``section``, ``error`` and ``label`` (T,) of a case; a label it lacks is -1."""
    head = {key: case[key] for key in ("id", "group", "section")} | {"error": case.get("error", "")}
    return head | {"label": [int(case.get(task, -1)) for task in tasks]}


class ExamWriter:
    """Collect the probabilities of every exam and write the table at the end.

    An exam with an ``error`` keeps its row, without a prediction; so does one in which all planes are empty. An exam
    without one or two planes is decided at the thresholds of the remaining ones and says so in ``note``. Attach it
    after the postprocessing, which must turn ``pred`` into probabilities (T,).

    Args:
        output_dir: folder for ``predictions.csv``.
        stacker: has ``threshold`` (8, T), see :func:`decide_exam`; it is read while the evaluator runs, so weights may
            be loaded after this handler is made.
        tasks: names of the T tasks.
    """

    def __init__(self, output_dir: str, stacker: Any, tasks: Sequence[str] = TASKS) -> None:
        self.path = Path(output_dir) / "predictions.csv"
        self.stacker = stacker
        self.tasks = tuple(tasks)
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
            row = case_head(case, self.tasks)
            if not row["error"]:
                present = present_planes(case, output)
                if not present.any():
                    row["error"] = "ExamWriter: all planes are empty; check the files of this exam."
                    self.rows.append(row)
                    continue
                probabilities = np.asarray(output["pred"].cpu(), dtype=float)
                row["prob"] = probabilities.tolist()
                row["pred"] = decide_exam(probabilities, present, self.stacker.threshold).tolist()
                row["note"] = missing_note(present)
            self.rows.append(row)

    def _write(self, engine: Engine) -> None:
        write_exam_predictions(self.path, self.rows, self.tasks)
        failed = sum(bool(row["error"]) for row in self.rows)
        partial = sum(bool(row.get("note")) for row in self.rows)
        text = f", {partial} of them without all planes (see the column note)" if partial else ""
        text += f", {failed} of them with an error (see the column error)" if failed else ""
        self.logger.info(f"{len(self.rows)} exams{text}: {self.path}")
