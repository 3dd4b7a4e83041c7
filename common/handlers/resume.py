"""Exact resume: one checkpoint per epoch that holds everything a run depends on."""

import logging
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from ..data.atomic import atomic_path

__all__ = ["Resume"]


class Resume:
    """Write a checkpoint after every epoch and, on request, continue from it as if nothing had happened.

    Together with :class:`EpochSeed` a run that was killed and resumed ends with bitwise the weights of an undisturbed
    one (same machine, same ``num_workers``). Put it last in the train handlers, so that validation, early stopping and
    history of the epoch are in the file. Only plain numbers and tensors are stored (``weights_only=True`` loads it).

    Args:
        path: checkpoint file.
        objects: name -> object with ``state_dict`` and ``load_state_dict`` (network, optimizer, scheduler, ...).
        evaluator: validation engine whose best metric belongs to the state, or None.
        resume: continue from ``path`` if True.
        write: False on ranks that must not write.

    Raises:
        FileNotFoundError: at the start, when ``resume`` is True and there is no checkpoint.
        ValueError: at the start, when the checkpoint belongs to another set of objects or another epoch length.
    """

    def __init__(
        self,
        path: str,
        objects: dict[str, Any],
        evaluator: Engine | None = None,
        resume: bool = False,
        write: bool = True,
    ) -> None:
        self.path = Path(path)
        self.objects = objects
        self.evaluator = evaluator
        self.resume = resume
        self.write = write
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the trainer."""
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        if self.write:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, trainer: Any) -> None:
        """Write the state after ``trainer.state.epoch`` epochs."""
        scaler = getattr(trainer, "scaler", None)
        state = {
            "epoch": trainer.state.epoch,
            "iteration": trainer.state.iteration,
            "engines": {name: _best(engine) for name, engine in self._engines(trainer).items()},
            "scaler": scaler.state_dict() if scaler else {},
            "objects": {name: item.state_dict() for name, item in self.objects.items()},
        }
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self, trainer: Any) -> None:
        """Restore everything from the checkpoint before the first epoch."""
        if not self.path.is_file():
            raise FileNotFoundError(
                f"Resume: resume is true but there is no checkpoint {self.path}; start without --resume true."
            )
        state = torch.load(self.path, map_location=trainer.state.device, weights_only=True)
        if set(state["objects"]) != set(self.objects):
            raise ValueError(
                f"Resume: {self.path} holds {sorted(state['objects'])} but this run has {sorted(self.objects)};"
                " resume with the configuration that wrote it."
            )
        length = trainer.state.epoch_length
        if length and state["iteration"] != state["epoch"] * length:
            raise ValueError(
                f"Resume: {self.path} has {state['iteration']} iterations in {state['epoch']} epochs but this run has"
                f" {length} an epoch; resume with the same data and batch_size."
            )
        for name, item in self.objects.items():
            item.load_state_dict(state["objects"][name])
        if state["scaler"] and getattr(trainer, "scaler", None):
            trainer.scaler.load_state_dict(state["scaler"])
        trainer.state.epoch, trainer.state.iteration = state["epoch"], state["iteration"]
        for name, engine in self._engines(trainer).items():
            engine.state.best_metric, engine.state.best_metric_epoch = state["engines"][name]
        self.logger.info(f"resumed after epoch {state['epoch']} from {self.path}")

    def _engines(self, trainer: Any) -> dict[str, Any]:
        return {"trainer": trainer} | ({"evaluator": self.evaluator} if self.evaluator else {})


def _best(engine: Any) -> tuple[float, int]:
    """Best metric and its epoch; a NumPy number would make the checkpoint unreadable with ``weights_only``."""
    return float(engine.state.best_metric), int(engine.state.best_metric_epoch)
