"""A stacker with known thresholds and an engine that hands over one batch, for the tests of exam handlers."""

from types import SimpleNamespace

import torch
from ignite.engine import Engine, Events

TASKS = ("abnormal", "acl", "meniscus")


def stacker(complete: float = 0.5, partial: float = 0.2) -> SimpleNamespace:
    """Threshold ``complete`` for exams with three planes, ``partial`` for all others."""
    threshold = torch.full((8, 3), partial)
    threshold[7] = complete
    return SimpleNamespace(threshold=threshold)


def run(handler: object, batch: list[dict], output: list[dict]) -> None:
    engine = Engine(lambda e, b: None)
    handler.attach(engine)
    engine.fire_event(Events.STARTED)
    engine.state.batch, engine.state.output = batch, output
    engine.fire_event(Events.ITERATION_COMPLETED)
    engine.fire_event(Events.COMPLETED)


def exam(number: int, section: str = "test", labels: tuple = (0, 0, 0), error: str = "") -> dict:
    head = {"id": f"{section}{number:04d}", "group": f"{section}{number:04d}", "section": section, "error": error}
    return head | dict(zip(TASKS, labels, strict=True))
