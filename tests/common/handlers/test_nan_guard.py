import math

import pytest
import torch
from monai.engines import SupervisedTrainer

from common.handlers import NaNGuard


def trainer(loss: float) -> tuple[SupervisedTrainer, torch.nn.Linear]:
    network = torch.nn.Linear(2, 1)
    data = [{"image": torch.ones(1, 2), "label": torch.ones(1, 1)}]
    engine = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=data,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=lambda pred, label: pred.mean() * loss,
        train_handlers=[NaNGuard()],
    )
    return engine, network


@pytest.mark.parametrize("bad", [pytest.param(math.nan, id="nan"), pytest.param(math.inf, id="infinite")])
def test_a_bad_loss_stops_the_run_before_the_weights_change(bad: float) -> None:
    engine, network = trainer(bad)
    before = network.weight.detach().clone()
    with pytest.raises(RuntimeError, match="epoch 1, iteration 1; lower learning_rate"):
        engine.run()
    assert torch.equal(network.weight, before)


def test_a_good_loss_passes() -> None:
    engine, network = trainer(1.0)
    before = network.weight.detach().clone()
    engine.run()
    assert not torch.equal(network.weight, before)
