"""Gradient clipping for ``SupervisedTrainer``, which has no hook of its own for it."""

from typing import Any

from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from torch.nn.utils import clip_grad_norm_

__all__ = ["GradientClip", "steps_optimizer"]


class GradientClip:
    """Clip the global gradient norm in the iterations that step the optimizer.

    With gradient accumulation the other iterations are left alone; with AMP the gradients are unscaled first.

    Args:
        max_norm: largest L2 norm of all gradients together, > 0; 0 clips nothing.

    Raises:
        ValueError: when ``max_norm`` is negative.
    """

    def __init__(self, max_norm: float = 0.0) -> None:
        if max_norm < 0:
            raise ValueError(f"GradientClip: max_norm is {max_norm}, it must be positive; use 0 to clip nothing.")
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Register between backward pass and optimizer step."""
        if self.max_norm:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Clip if this iteration steps."""
        if not steps_optimizer(engine):
            return
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        clip_grad_norm_(engine.network.parameters(), self.max_norm)


def steps_optimizer(engine: Any) -> bool:
    """Whether the trainer steps its optimizer in this iteration (the rule of ``SupervisedTrainer._iteration``)."""
    done = (engine.state.iteration - 1) % engine.state.epoch_length + 1
    return done % engine.accumulation_steps == 0 or done == engine.state.epoch_length
