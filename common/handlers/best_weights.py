"""Best weights by a validation metric, written so that no interruption can lose them."""

import math
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import nn

from ..data.atomic import atomic_path

__all__ = ["BestWeights"]


class BestWeights:
    """Write a bare state dict whenever the metric improves.

    Unlike MONAI's ``CheckpointSaver`` the file is replaced atomically, and the best value is part of the resumable
    state, so that a resumed run never overwrites better weights with worse ones. Of equal values the first is kept;
    NaN (one class only in a small validation set) counts as worst, but the first validation always writes.

    Args:
        path: file to write.
        network: module whose weights to write (the bare one, not its ``DistributedDataParallel`` wrapper).
        metric: name in ``evaluator.state.metrics``; higher is better. None keeps the last weights instead: right for a
            schedule that ends at a small learning rate, and when there is no validation to trust.
        write: False on ranks that must not write.
    """

    def __init__(self, path: str, network: nn.Module, metric: str | None, write: bool = True) -> None:
        self.path = Path(path)
        self.network = network
        self.metric = metric
        self.write = write
        self.best: float | None = None
        self.best_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Compare and write; ``engine.state.epoch`` is the trainer's epoch during validation."""
        value = float(engine.state.metrics[self.metric] if self.metric else engine.state.epoch)
        value = -math.inf if math.isnan(value) else value
        if self.best is not None and value <= self.best:
            return
        self.best, self.best_epoch = value, engine.state.epoch
        if self.write:
            with atomic_path(self.path) as temporary:
                torch.save(self.network.state_dict(), temporary)

    def state_dict(self) -> dict:
        """Best value and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict) -> None:
        """Restore best value and epoch."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
