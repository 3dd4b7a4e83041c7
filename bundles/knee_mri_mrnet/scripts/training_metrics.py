"""Figures of the training section that are comparable with those of the validation section."""

from ignite.engine import Engine, Events

__all__ = ["TrainingMetrics"]


class TrainingMetrics:
    """Evaluate the training exams after the epoch, without augmentation and with the weights of its end.

    A running average over the epoch's batches, as in the tutorial, mixes augmented exams and changing weights and is no
    match for a validation figure. The metrics join those of the trainer, for history and TensorBoard.

    Args:
        evaluator: engine over the plain training exams.
        interval: epochs between evaluations, >= 1.
    """

    def __init__(self, evaluator: Engine, interval: int = 1) -> None:
        self.evaluator = evaluator
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Register on the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self)

    def __call__(self, engine: Engine) -> None:
        """Evaluate and hand the metrics to the trainer."""
        self.evaluator.run(engine.state.epoch)  # type: ignore[arg-type]
        engine.state.metrics |= self.evaluator.state.metrics
