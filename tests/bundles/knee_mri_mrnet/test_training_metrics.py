"""Training figures are of plain exams and the epoch's last weights, not the epoch's running average."""

import torch
from ignite.engine import Engine
from scripts.training_metrics import TrainingMetrics


def test_the_figure_is_of_the_weights_at_the_end_of_the_epoch() -> None:
    weight = torch.zeros(1)

    def step(engine: Engine, batch: float) -> None:
        weight.add_(1)

    def measure(engine: Engine) -> None:
        engine.state.metrics = {"train_auc": float(weight)}

    trainer, evaluator = Engine(step), Engine(lambda engine, batch: None)
    evaluator.run = lambda epoch: measure(evaluator)  # type: ignore[method-assign, assignment, misc]
    TrainingMetrics(evaluator).attach(trainer)
    trainer.run([0.0] * 4, max_epochs=2)
    assert trainer.state.metrics["train_auc"] == 8  # a running average of the epoch would be 6.5
