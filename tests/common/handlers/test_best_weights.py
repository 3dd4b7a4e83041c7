from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from common.handlers import BestWeights


def validate(handler: BestWeights, value: float, epoch: int) -> None:
    engine = Engine(lambda e, b: None)
    engine.state.metrics, engine.state.epoch = {"val_auc": value}, epoch
    with torch.no_grad():
        handler.network.weight.fill_(epoch)
    handler(engine)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.6, 0.9, 0.7], 2, id="highest"),
        pytest.param([0.8, 0.8], 1, id="first of equal ones"),
        pytest.param([float("nan"), 0.0], 2, id="zero beats nan"),
        pytest.param([0.3, float("nan")], 1, id="nan never wins"),
        pytest.param([float("nan"), float("nan")], 1, id="something is always written"),
    ],
)
def test_the_file_holds_the_best_epoch(tmp_path: Path, values: list[float], expected: int) -> None:
    handler = BestWeights(str(tmp_path / "models/model.pt"), torch.nn.Linear(1, 1, bias=False), "val_auc")
    for epoch, value in enumerate(values, 1):
        validate(handler, value, epoch)
    weights = torch.load(tmp_path / "models/model.pt", weights_only=True)
    assert weights["weight"].item() == expected == handler.best_epoch


def test_a_rank_that_must_not_write_does_not(tmp_path: Path) -> None:
    handler = BestWeights(str(tmp_path / "model.pt"), torch.nn.Linear(1, 1, bias=False), "val_auc", write=False)
    validate(handler, 0.5, 1)
    assert handler.best == 0.5
    assert not (tmp_path / "model.pt").exists()


def test_without_a_metric_the_last_weights_stay(tmp_path: Path) -> None:
    handler = BestWeights(str(tmp_path / "model.pt"), torch.nn.Linear(1, 1, bias=False), None)
    for epoch, value in enumerate([0.9, 0.1], 1):
        validate(handler, value, epoch)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 2
