"""Frames per second of an inference run."""

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

__all__ = ["FrameRate"]


class FrameRate:
    """Log at the end how many frames a second the network fused, and how many went from file to file.

    A 2-D image is a frame, a volume has one for each slice along its last axis. The time in the network runs from a
    loaded batch to the output of the inferer; on CUDA the device is waited for at both ends. The time from file to file
    is that of the whole run: reading, the network, writing. The first batch warms up: it is not timed unless it is the
    only one. A case with an ``error`` is no frame, and the time it took, in a batch of its own, counts only from file to
    file.

    Put it last in the list of handlers, so that what the others write is timed.

    Args:
        clock: seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.logger = logging.getLogger(type(self).__name__)
        self._begin()

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_STARTED, self._enter)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._leave)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _begin(self, *_: Any) -> None:
        self.frames = self.warm_up = 0
        self.network_s = self._forward_s = self._entered = 0.0
        self.sizes: set[str] = set()
        self.started = self.clock()

    def _enter(self, engine: Any) -> None:
        self._entered = self._now(engine)

    def _leave(self, engine: Any) -> None:
        self._forward_s = self._now(engine) - self._entered

    def _now(self, engine: Any) -> float:
        if engine.state.device.type == "cuda":
            torch.cuda.synchronize(engine.state.device)
        return self.clock()

    def _count(self, engine: Any) -> None:
        images = [case["image"] for case in engine.state.batch if not case["error"]]
        frames = sum(image.shape[3] if image.ndim == 4 else 1 for image in images)
        self.sizes |= {f"{image.shape[1]} x {image.shape[2]}" for image in images}
        if frames:
            self.network_s += self._forward_s
        if frames and not self.frames and engine.state.iteration < engine.state.epoch_length:
            self.warm_up, self.network_s, self.started = frames, 0.0, self._now(engine)
        self.frames += frames

    def _finish(self, engine: Any) -> None:
        if not self.frames:
            self.logger.warning("no frame was fused, so there is no rate; the column error says why")
            return
        seconds, timed = self._now(engine) - self.started, self.frames - self.warm_up
        if not timed:  # broken cases follow the only good one
            self.logger.warning(f"{self.frames} frame{'s' * (self.frames > 1)} fused as warm-up, none after it to time")
            return
        size = self.sizes.pop() if len(self.sizes) == 1 else f"{len(self.sizes)} sizes"
        left_out = f"the first {self.warm_up} not timed" if self.warm_up else "warm-up included"
        self.logger.info(
            f"fused {self.frames} frames of {size}: {timed / self.network_s:.1f} frames/s in the network,"
            f" {timed / seconds:.1f} frames/s from file to file ({left_out})"
        )
