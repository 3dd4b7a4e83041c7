"""Stop a training run at the first loss that is no number."""

from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents

__all__ = ["NaNGuard"]


class NaNGuard:
    """End training with one sentence when the loss is NaN or infinite, before it reaches the weights.

    ignite's ``TerminateOnNan`` stops after the optimizer has stepped, so that the weights it leaves are spoilt; here the
    last checkpoint and the best weights are the last good ones. A gradient that overflows in mixed precision is left to
    the gradient scaler.
    """

    def attach(self, engine: Engine) -> None:
        """Register on the trainer, between loss and backward pass."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Check the loss of this iteration.

        Raises:
            RuntimeError: it is NaN or infinite.
        """
        loss = engine.state.output["loss"]
        if not torch.isfinite(loss).all():
            raise RuntimeError(
                f"NaNGuard: the loss is {loss.detach().mean().item()} in epoch {engine.state.epoch}, iteration"
                f" {engine.state.iteration}; lower learning_rate or look for bad images. The last checkpoint is good."
            )
