"""Training history as a table and a figure."""

import csv
import time
from pathlib import Path

from ignite.engine import Engine, Events
from torch.optim import Optimizer

from ..data.atomic import atomic_path
from ..visualize.history import plot_history

__all__ = ["History"]


class History:
    """Write ``history.csv`` after every epoch and ``history.png`` at the end of training.

    A row holds epoch, seconds, learning rate, and all metrics of trainer and evaluator; the evaluator's are empty in
    epochs without validation. Rows are part of the resumable state.

    Args:
        output_dir: folder for both files.
        evaluator: validation engine.
        optimizer: source of the learning rate (first parameter group).
        write: False on ranks that must not write.
    """

    def __init__(self, output_dir: str, evaluator: Engine, optimizer: Optimizer, write: bool = True) -> None:
        self.output_dir = Path(output_dir)
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.write = write
        self.rows: list[dict[str, float]] = []
        self._start = 0.0
        self._learning_rate = 0.0

    def attach(self, engine: Engine) -> None:
        """Register on the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._append)
        if self.write:
            engine.add_event_handler(Events.COMPLETED, self._draw)

    def state_dict(self) -> dict:
        """All rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict) -> None:
        """Restore the rows."""
        self.rows = list(state["rows"])

    def _begin(self, trainer: Engine) -> None:
        self._start = time.monotonic()
        self._learning_rate = float(self.optimizer.param_groups[0]["lr"])  # schedulers step before the epoch's end

    def _append(self, trainer: Engine) -> None:
        validated = self.evaluator.state.epoch == trainer.state.epoch
        metrics = trainer.state.metrics | (self.evaluator.state.metrics if validated else {})
        row = {"epoch": trainer.state.epoch, "seconds": round(time.monotonic() - self._start, 3)}
        row["learning_rate"] = self._learning_rate
        self.rows.append(row | {name: float(value) for name, value in metrics.items()})
        if self.write:
            self._write()

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_path(self.output_dir / "history.csv") as temporary:
            with open(temporary, "w", newline="") as handle:
                writer = csv.DictWriter(handle, columns)
                writer.writeheader()
                writer.writerows(self.rows)

    def _draw(self, trainer: Engine) -> None:
        if self.rows:
            plot_history(self.rows, self.output_dir / "history.png")
