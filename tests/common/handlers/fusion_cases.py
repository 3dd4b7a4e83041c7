"""Small pairs and an engine run, for the tests of the fusion handlers."""

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor


def pair(seed: int = 0, size: tuple[int, ...] = (20, 16), sources: int = 2) -> Tensor:
    """Smooth images in [0, 1] with a black border of 2 pixels, (N, *size)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, sources, *(max(side // 4, 2) for side in size), generator=generator)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    image = torch.nn.functional.interpolate(coarse, size=size, mode=mode)[0]
    image[:, :2] = image[:, -2:] = image[:, :, :2] = image[:, :, -2:] = 0
    return image


def case(name: str, image: Tensor, error: str = "", group: str = "g", section: str = "test", **more: Any) -> dict:
    return {"id": name, "group": group, "section": section, "label": -1, "error": error, "image": image} | more


def run(handler: Any, cases: list[dict], fused: list[Tensor], epoch: int = 1) -> None:
    """What an evaluator of batch size 1 fires."""
    engine = Engine(lambda e, b: None)
    handler.attach(engine)
    engine.fire_event(Events.STARTED)
    engine.state.epoch = epoch
    engine.fire_event(Events.EPOCH_STARTED)
    for item, image in zip(cases, fused, strict=True):
        engine.state.batch, engine.state.output = [item], [{"pred": image}]
        engine.fire_event(Events.ITERATION_COMPLETED)
    engine.fire_event(Events.COMPLETED)
