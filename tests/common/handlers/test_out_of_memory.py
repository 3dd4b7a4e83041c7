import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import StatsHandler

from common.handlers import OutOfMemory
from common.handlers.out_of_memory import is_out_of_memory

PETA = 10**15


def too_large(*_: object, **__: object) -> torch.Tensor:
    return torch.empty(PETA)


def run_trainer(loss: Callable, *handlers: object) -> torch.nn.Linear:
    network = torch.nn.Linear(2, 1)
    SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": torch.ones(3, 2), "label": torch.ones(3, 1)}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=loss,
        train_handlers=list(handlers),
    ).run()
    return network


def raised(call: Callable) -> BaseException:
    try:
        call()
    except BaseException as problem:
        return problem
    raise AssertionError("nothing was raised")


def wrapped() -> None:
    try:
        np.zeros(PETA)
    except MemoryError as problem:
        raise RuntimeError("applying transform") from problem


def failing(problem: Exception) -> Callable:
    def call(*_: object) -> None:
        raise problem

    return call


class Huge(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> np.ndarray:
        return np.zeros(PETA)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(too_large, True, id="torch-cpu"),
        pytest.param(lambda: np.zeros(PETA), True, id="numpy"),
        pytest.param(wrapped, True, id="cause-of-another"),
        pytest.param(lambda: next(iter(DataLoader(Huge(), num_workers=1))), True, id="loader-process"),
        pytest.param(failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")), True, id="cuda"),
        pytest.param(failing(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")), True, id="cudnn"),
        pytest.param(lambda: torch.ones(2) @ torch.ones(3), False, id="shapes"),
        pytest.param(failing(ValueError("out of memory")), False, id="only-the-words"),
    ],
)
def test_errors_of_memory_are_told_from_others(call: Callable, expected: bool) -> None:
    assert is_out_of_memory(raised(call)) is expected


def test_training_ends_with_the_settings_and_the_ways_out_and_keeps_the_cause() -> None:
    settings = {"batch_size": 8, "accumulation_steps": 1, "patch_size": [48, 48], "amp": False}
    with pytest.raises(RuntimeError) as caught:
        run_trainer(too_large, OutOfMemory(settings), StatsHandler(iteration_log=False))
    assert str(caught.value) == (
        "OutOfMemory: cpu has no room for images of 3 x 2 in epoch 1, iteration 1; batch_size is 8; accumulation_steps is"
        " 1; patch_size is [48, 48]; amp is False; pass a smaller --batch_size with more --accumulation_steps, or a"
        " smaller --patch_size. The last checkpoint is good."
    )
    assert "DefaultCPUAllocator" in str(caught.value.__cause__)


@pytest.mark.parametrize("others", [[], [StatsHandler(iteration_log=False)]], ids=["alone", "before-stats"])
def test_other_errors_pass_unchanged_and_are_never_swallowed(others: list) -> None:
    problem = ValueError("something else")
    with pytest.raises(ValueError, match="something else") as caught:
        run_trainer(failing(problem), OutOfMemory(), *others)
    assert caught.value is problem


def test_a_gpu_is_offered_mixed_precision_and_a_batch_of_one_no_smaller_one() -> None:
    handler = OutOfMemory({"batch_size": 1, "amp": False})
    assert handler._ways_out(torch.device("cuda:0")) == "pass --amp true"
    assert handler._ways_out(torch.device("cpu")).startswith("give smaller images")


def test_a_good_run_is_left_alone() -> None:
    network = run_trainer(torch.nn.functional.mse_loss, OutOfMemory())
    assert torch.isfinite(network.weight).all()


def evaluator(skip: bool, seen: list, broken: type[Exception] | None = None) -> SupervisedEvaluator:
    def inferer(inputs: torch.Tensor, network: Callable) -> torch.Tensor:
        if inputs.shape[-1] == 5:
            raise broken("other") if broken else raised(too_large)
        return network(inputs)

    cases = [{"image": torch.rand(2, 4, size), "id": f"case{size}", "error": ""} for size in (4, 5, 6)]
    engine = SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(cases), batch_size=1),
        network=torch.nn.Conv2d(2, 1, 1),
        prepare_batch=lambda batch, device, *_, **__: (batch["image"], None),
        inferer=inferer,
        val_handlers=[OutOfMemory(skip=skip)],
    )
    engine.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda e: seen.extend(
            (case["id"], case["error"], tuple(output["pred"].shape))
            for case, output in zip(e.state.batch, e.state.output, strict=True)
        ),
    )
    return engine


def test_one_case_that_is_too_large_does_not_cost_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple] = []
    with caplog.at_level(logging.WARNING):
        evaluator(True, seen).run()
    sentence = "OutOfMemory: cpu has no room for images of 1 x 2 x 4 x 5; give smaller images, or take a device with more memory."
    assert seen == [("case4", "", (1, 4, 4)), ("case5", sentence, (1, 4, 5)), ("case6", "", (1, 4, 6))]
    assert f"case5: {sentence}" in caplog.text


def test_without_skip_the_evaluation_ends() -> None:
    with pytest.raises(RuntimeError, match=r"OutOfMemory: cpu has no room for images of 1 x 2 x 4 x 5; give smaller"):
        evaluator(False, []).run()


def test_skipping_is_for_memory_only() -> None:
    with pytest.raises(KeyError, match="other"):
        evaluator(True, [], KeyError).run()
