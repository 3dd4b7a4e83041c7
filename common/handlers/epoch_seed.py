"""Random state that depends on (seed, epoch, rank) only, so that a resumed run repeats an undisturbed one."""

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

__all__ = ["EpochSeed"]


class EpochSeed:
    """Reseed every generator at the start of each epoch.

    PyTorch (shuffling, dropout), NumPy and ``random`` get numbers from ``SeedSequence([seed, epoch, rank])``;
    a transform with an ``epoch`` attribute (:class:`~..transforms.CaseSeeded`) is told the epoch. ignite builds the
    data iterator after this event, so the order of cases follows from the epoch as well.

    Args:
        seed: seed of the run, >= 0.
        transform: transform of the training set that draws per case, or None.
        rank: rank of this process in distributed training.
    """

    def __init__(self, seed: int, transform: Any | None = None, rank: int = 0) -> None:
        self.seed = seed
        self.transform = transform
        self.rank = rank

    def attach(self, engine: Engine) -> None:
        """Register at ``EPOCH_STARTED`` of the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the epoch that ``engine`` is about to run."""
        epoch = engine.state.epoch
        words = np.random.SeedSequence([self.seed, epoch, self.rank]).generate_state(3)
        torch.manual_seed(int(words[0]))
        np.random.seed(int(words[1]))
        random.seed(int(words[2]))
        if self.transform is not None:
            self.transform.epoch = epoch
