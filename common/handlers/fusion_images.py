"""Fused images in TensorBoard while a network trains."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch.utils.tensorboard import SummaryWriter

from .fusion_case import case_picture, rgb_levels

__all__ = ["FusionImages"]


class FusionImages:
    """Show the first validation pairs as strips: sources, fused image, and fused minus each source.

    Gray 0.5 of a difference is none. The tag is ``fusion/<id>``, so that TensorBoard's slider runs over epochs. MONAI's
    own ``TensorBoardImageHandler`` shows each tensor by itself, without differences and colours. Attach it to the
    evaluator.

    Args:
        log_dir: folder of the event file.
        interval: epochs between two strips.
        num_images: number of pairs.

    Raises:
        ValueError: ``interval`` or ``num_images`` is below 1.
    """

    def __init__(self, log_dir: str, interval: int = 1, num_images: int = 4) -> None:
        if interval < 1 or num_images < 1:
            raise ValueError(
                f"FusionImages: interval is {interval} and num_images {num_images}; give 1 or more, or leave the handler"
                " out."
            )
        self.log_dir = Path(log_dir)
        self.interval = interval
        self.num_images = num_images
        self.writer: SummaryWriter | None = None
        self.shown = 0

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._show)
        engine.add_event_handler(Events.COMPLETED, self._flush)

    def _begin(self, engine: Engine) -> None:
        self.shown = 0

    def _show(self, engine: Any) -> None:
        if engine.state.epoch % self.interval:
            return
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if self.shown >= self.num_images:
                return
            self.writer = self.writer or SummaryWriter(str(self.log_dir))
            self.writer.add_image(
                f"fusion/{case['id']}", _strip(case_picture(case, output["pred"])), engine.state.epoch
            )
            self.shown += 1

    def _flush(self, engine: Engine) -> None:
        if self.writer is not None:
            self.writer.flush()


def _strip(picture: dict[str, Any]) -> np.ndarray:
    """(3, H, W (2 N + 1)), levels 0..255."""
    sources, fused, chroma = picture["sources"], picture["fused"], picture["chroma"]
    images = [_levels(sources[0], chroma), *(_levels(source) for source in sources[1:]), _levels(fused, chroma)]
    images += [_levels(0.5 + (fused - source) / 2) for source in sources]
    return np.concatenate(images, axis=2)


def _levels(gray: np.ndarray, chroma: np.ndarray | None = None) -> np.ndarray:
    if chroma is None:
        return np.repeat((255 * gray[None]).round().clip(0, 255).astype(np.uint8), 3, axis=0)
    y, colours = (torch.from_numpy(np.ascontiguousarray(part)) for part in (gray[None], chroma))
    return rgb_levels(y, colours).numpy().astype(np.uint8)
