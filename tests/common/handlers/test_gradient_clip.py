from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents

from common.handlers import GradientClip

from .engines import make_trainer


class NormBeforeStep:
    """Record the gradient norm that the optimizer sees in each iteration."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        gradients = [p.grad for p in engine.network.parameters() if p.grad is not None]
        self.norms.append(float(torch.cat([g.ravel() for g in gradients]).norm()))


def norms(tmp_path: Path, max_norm: float, accumulation_steps: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr("tests.common.handlers.engines.GradientClip", lambda _: GradientClip(max_norm))
    record = NormBeforeStep()
    make_trainer(tmp_path, 1, accumulation_steps=accumulation_steps, extra=(record,)).run()
    return record.norms


def test_the_norm_is_clipped_before_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = norms(tmp_path, 0, 1, monkeypatch)
    assert max(free) > 0.05
    assert max(norms(tmp_path, 0.01, 1, monkeypatch)) <= 0.01 * 1.001


def test_only_stepping_iterations_are_clipped_when_accumulating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 44 cases in batches of 8: 6 iterations, steps after 4 and after the last
    clipped = norms(tmp_path, 0.01, 4, monkeypatch)
    assert [norm <= 0.01 * 1.001 for norm in clipped] == [False, False, False, True, False, True]


def test_gradients_are_unscaled_before_clipping_under_amp() -> None:
    calls = []

    class Scaler:
        def unscale_(self, optimizer: object) -> None:
            calls.append("unscale")

    engine = Engine(lambda e, b: None)
    engine.state.iteration, engine.state.epoch_length = 1, 1
    engine.amp, engine.scaler, engine.accumulation_steps = True, Scaler(), 1
    engine.network, engine.optimizer = torch.nn.Linear(1, 1), None
    GradientClip(1.0)(engine)
    assert calls == ["unscale"]


def test_a_negative_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="GradientClip: max_norm is -1"):
        GradientClip(-1)
