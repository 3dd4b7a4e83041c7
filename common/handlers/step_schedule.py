"""A learning rate schedule that counts the steps of the optimizer."""

from typing import Any

from ignite.engine import Engine, Events
from torch.optim.lr_scheduler import LRScheduler

from .gradient_clip import steps_optimizer

__all__ = ["StepSchedule"]


class StepSchedule:
    """Step a scheduler after every step of the optimizer.

    MONAI's ``LrScheduleHandler`` steps it in every iteration, also in those that only accumulate gradients; a run with
    accumulation would then follow another schedule than the run with the larger batch that it stands for.

    Args:
        lr_scheduler: scheduler whose length is given in steps of the optimizer.
    """

    def __init__(self, lr_scheduler: LRScheduler) -> None:
        self.lr_scheduler = lr_scheduler

    def attach(self, engine: Engine) -> None:
        """Register on the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Step if this iteration has stepped the optimizer."""
        if steps_optimizer(engine):
            self.lr_scheduler.step()
