"""Random transforms whose draws depend on the case, not on who computes it."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, RandomizableTrait

__all__ = ["CaseSeeded"]


class CaseSeeded(Compose, RandomizableTrait):
    """``Compose`` that seeds its transforms from (seed, epoch, case id) before each case.

    Augmentation is then the same for any number of loader workers, any rank, and after a resume. The trait stops
    caching data sets in front of it.

    Args:
        transforms: random dictionary transforms.
        seed: seed of the run.
        id_key: key of the case's name.
        lazy: join neighbouring spatial transforms into one resampling (3-D only: MONAI 1.6.1 fails on 2-D data when a
            random transform is skipped).
    """

    def __init__(
        self, transforms: Sequence[Callable], seed: int = 0, id_key: str = "id", lazy: bool | None = False
    ) -> None:
        super().__init__(transforms, lazy=lazy)
        self.seed = seed
        self.id_key = id_key
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see the change too

    @property
    def epoch(self) -> int:
        """Epoch that the next draws belong to; :class:`~..handlers.EpochSeed` sets it."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch.fill_(value)

    def __call__(self, input_: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Seed all transforms for this case, then apply them."""
        words = np.random.SeedSequence([self.seed, self.epoch, zlib.crc32(str(input_[self.id_key]).encode())])
        self.set_random_state(seed=int(words.generate_state(1)[0]))
        return super().__call__(input_, *args, **kwargs)
