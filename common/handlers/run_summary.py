"""The last lines of a training run: what came out and where it is."""

import logging
from typing import Any

from ignite.engine import Engine, Events

from .best_weights import BestWeights

__all__ = ["RunSummary"]


class RunSummary:
    """Log data and device at the start, best metric and the files at the end.

    Args:
        best_weights: handler that kept the best weights.
        data: where the data come from.
        output_dir: folder with ``history.csv``, ``history.png`` and ``tensorboard``.
    """

    def __init__(self, best_weights: BestWeights, data: str, output_dir: str) -> None:
        self.best_weights = best_weights
        self.data = data
        self.output_dir = output_dir
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the trainer."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _begin(self, trainer: Any) -> None:
        batches = len(trainer.state.dataloader)
        self.logger.info(f"data {self.data}: {batches} batches an epoch, on {trainer.state.device}")

    def _end(self, trainer: Engine) -> None:
        best = self.best_weights
        if not best.metric:
            self.logger.info(f"weights of the last epoch: {best.path}")
        elif best.best is not None:
            self.logger.info(f"best {best.metric} {best.best:.4f} in epoch {best.best_epoch}; weights: {best.path}")
        self.logger.info(
            f"curves: {self.output_dir}/history.png and history.csv; TensorBoard: {self.output_dir}/tensorboard"
        )
