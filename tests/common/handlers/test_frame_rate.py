import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator

from common.handlers import FrameRate

from .fusion_cases import case, pair

LINE = r"fused (\d+) frames of (.+): ([\d.]+) frames/s in the network, ([\d.]+) frames/s from file to file \((.+)\)"
NETWORK_S, WRITE_S, WARM_UP_S = 0.02, 0.03, 5.0


class Clock:
    """Seconds that pass only where the test lets them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Network(torch.nn.Module):
    """Takes WARM_UP_S for the first batch, then NETWORK_S for each."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.calls = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.clock.seconds += NETWORK_S if self.calls else WARM_UP_S
        self.calls += 1
        return image[:, :1]


@pytest.fixture
def rate(caplog: pytest.LogCaptureFixture) -> Callable[[list[dict[str, Any]]], str]:
    """Run an evaluator on cases of batch size 1; what FrameRate logged."""

    def run(cases: list[dict[str, Any]]) -> str:
        clock = Clock()
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"), val_data_loader=DataLoader(Dataset(cases), batch_size=1), network=Network(clock)
        )

        @evaluator.on(Events.ITERATION_COMPLETED)
        def write() -> None:
            clock.seconds += WRITE_S

        FrameRate(clock).attach(evaluator)
        with caplog.at_level(logging.INFO, logger="FrameRate"):
            evaluator.run()
        (record,) = [record for record in caplog.records if record.name == "FrameRate"]
        return record.getMessage()

    return run


def parsed(line: str) -> tuple[int, str, float, float, str]:
    match = re.fullmatch(LINE, line)
    assert match, line
    return int(match[1]), match[2], float(match[3]), float(match[4]), match[5]


def test_rates_are_frames_over_seconds_without_the_first(rate: Callable) -> None:
    line = rate([case(str(k), pair()) for k in range(6)])
    assert parsed(line) == (6, "20 x 16", 1 / NETWORK_S, 1 / (NETWORK_S + WRITE_S), "the first 1 not timed")


def test_each_slice_of_a_volume_is_a_frame(rate: Callable) -> None:
    frames, size, network, files, note = parsed(rate([case(str(k), pair(k, (16, 12, 5))) for k in range(3)]))
    assert (frames, size, note) == (15, "16 x 12", "the first 5 not timed")
    assert (network, files) == (5 / NETWORK_S, 5 / (NETWORK_S + WRITE_S))


def test_the_only_case_is_timed_and_the_line_says_so(rate: Callable) -> None:
    frames, _, network, _, note = parsed(rate([case("v", pair(0, (16, 12, 10)))]))
    assert (frames, network, note) == (10, 10 / WARM_UP_S, "warm-up included")


def test_a_broken_case_is_no_frame_and_its_network_time_does_not_count(rate: Callable) -> None:
    good = [case(str(k), pair()) for k in range(3)]
    broken = case("x", torch.zeros(2, 8, 8), "torn")
    frames, size, network, files, _ = parsed(rate([good[0], broken, *good[1:]]))
    assert (frames, size, network) == (3, "20 x 16", 1 / NETWORK_S)
    assert files == pytest.approx(2 / (3 * (NETWORK_S + WRITE_S)), abs=0.05)


def test_a_broken_first_case_does_not_warm_up(rate: Callable) -> None:
    line = rate([case("x", torch.zeros(2, 8, 8), "torn"), *(case(str(k), pair()) for k in range(3))])
    assert parsed(line)[2:4] == (1 / NETWORK_S, 1 / (NETWORK_S + WRITE_S))


def test_different_sizes_are_counted(rate: Callable) -> None:
    assert parsed(rate([case("a", pair()), case("b", pair(0, (24, 16)))]))[1] == "2 sizes"


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        pytest.param(["torn", "torn"], "no frame was fused, so there is no rate; the column error says why", id="none"),
        pytest.param(["", "torn"], "1 frame fused as warm-up, none after it to time", id="one"),
    ],
)
def test_nothing_to_time_is_one_sentence(rate: Callable, errors: list[str], sentence: str) -> None:
    assert rate([case(str(k), pair(), error) for k, error in enumerate(errors)]) == sentence
