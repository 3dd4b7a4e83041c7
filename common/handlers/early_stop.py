"""Early stopping on a validation metric."""

from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping

__all__ = ["EarlyStop"]


class EarlyStop:
    """ignite's ``EarlyStopping`` as a train handler.

    In a config MONAI's ``EarlyStopHandler`` needs trainer and evaluator to refer to each other; this one gets the
    trainer in :meth:`attach`. It listens to the evaluator, so an epoch without validation does not count.

    Args:
        evaluator: engine that computes the metric.
        metric: name in ``evaluator.state.metrics``; higher is better.
        patience: validations without improvement after which training ends, >= 1.
    """

    def __init__(self, evaluator: Engine, metric: str, patience: int) -> None:
        self.evaluator = evaluator
        self.metric = metric
        self.patience = patience
        self.stopping: EarlyStopping | None = None

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator; also end a resumed run that had stopped already."""
        self.stopping = EarlyStopping(self.patience, self._score, engine)
        self.evaluator.add_event_handler(Events.COMPLETED, self.stopping)
        engine.add_event_handler(Events.EPOCH_STARTED, self._end_resumed)

    def state_dict(self) -> dict:
        """Counter and best score."""
        return dict(self.stopping.state_dict()) if self.stopping else {}

    def load_state_dict(self, state: dict) -> None:
        """Restore counter and best score."""
        if self.stopping:
            self.stopping.load_state_dict(state)

    def _score(self, evaluator: Engine) -> float:
        return float(evaluator.state.metrics[self.metric])

    def _end_resumed(self, trainer: Engine) -> None:
        if self.stopping and self.stopping.counter >= self.patience:
            trainer.state.epoch -= 1  # this epoch does not take place
            trainer.terminate()
