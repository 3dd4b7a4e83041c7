import warnings

import pytest
import torch
from monai.engines import SupervisedTrainer

from common.handlers import StepSchedule


@pytest.mark.parametrize(
    ("accumulation_steps", "expected"),
    [
        pytest.param(1, [8.0, 4.0, 2.0, 1.0, 0.5], id="every-iteration"),
        # steps after 2, 4 and, at the end of the epoch, 5 iterations
        pytest.param(2, [8.0, 8.0, 4.0, 4.0, 2.0], id="every-second-and-the-last"),
    ],
)
def test_the_schedule_follows_the_steps_of_the_optimizer(accumulation_steps: int, expected: list[float]) -> None:
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=8.0)
    rates: list[float] = []

    def loss(pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        rates.append(optimizer.param_groups[0]["lr"])
        return 1e-6 * pred.mean()

    with warnings.catch_warnings():
        warnings.filterwarnings(
            "error", message=".*lr_scheduler.step.*"
        )  # torch's, for a schedule ahead of its optimizer
        SupervisedTrainer(
            device="cpu",
            max_epochs=1,
            train_data_loader=[{"image": torch.ones(1, 2), "label": torch.ones(1, 1)}] * 5,
            network=network,
            optimizer=optimizer,
            loss_function=loss,
            train_handlers=[StepSchedule(torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))],
            accumulation_steps=accumulation_steps,
        ).run()
    assert rates == expected
