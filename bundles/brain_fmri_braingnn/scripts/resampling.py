"""Augmentation of a subject: replicates of its voxels, and blocks of its time. A subject stays one case."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

__all__ = ["RandBlockBootstrap", "RandBlockBootstrapd", "RandVoxelResample", "RandVoxelResampled"]


class RandVoxelResample(RandomizableTransform):
    """Pick one of the replicates (R, T, N) that ``LoadRegionSeries(num_resamples=R)`` gives.

    Replicate 0 is the mean of all voxels: what validation sees (``prob`` 0), and what is taken whenever none is drawn.
    Series (T, N) without replicates pass unchanged.

    Args:
        prob: probability of one of the random replicates.

    Raises:
        ValueError: when the input is neither (T, N) nor (R, T, N).
    """

    def __init__(self, prob: float = 1.0) -> None:
        RandomizableTransform.__init__(self, prob)
        self._draw = 0.0

    def randomize(self, data: None = None) -> None:
        """Draw whether, and which replicate as a share of their number."""
        super().randomize(None)
        self._draw = self.R.uniform()

    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Return (T, N)."""
        if randomize:
            self.randomize()
        if img.ndim not in (2, 3):
            raise ValueError(
                f"RandVoxelResample: the series have shape {tuple(img.shape)}, expected (frames, regions) or "
                "(replicates, frames, regions)."
            )
        if img.ndim == 2:
            return img
        others = len(img) - 1
        return img[1 + int(self._draw * others)] if self._do_transform and others else img[0]


class RandBlockBootstrap(RandomizableTransform):
    """Moving-block bootstrap: a series of the same length made of random stretches of time, with replacement.

    All regions take the same frames, so their correlation survives; stretches keep the correlation in time.

    Args:
        block_seconds: length of a stretch in seconds; or
        tr_seconds: time between frames, needed with ``block_seconds``.
        block_frames: length of a stretch in frames, instead of the two above.
        prob: probability of a bootstrap.

    Raises:
        ValueError: unless exactly one length of at least 1 frame is given, or when a series is shorter than it.

    Reference:
        Künsch, 1989, doi:10.1214/aos/1176347265.
    """

    def __init__(
        self,
        block_seconds: float | None = None,
        tr_seconds: float | None = None,
        block_frames: int | None = None,
        prob: float = 1.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        if (block_seconds is None) == (block_frames is None) or (block_seconds is None) != (tr_seconds is None):
            raise ValueError(
                f"RandBlockBootstrap: block_seconds is {block_seconds}, tr_seconds {tr_seconds} and block_frames "
                f"{block_frames}; give block_seconds with tr_seconds, or block_frames alone."
            )
        frames = block_frames if block_seconds is None or tr_seconds is None else round(block_seconds / tr_seconds)
        if frames is None or frames < 1:
            raise ValueError(f"RandBlockBootstrap: a block has {frames} frames, it must have 1 or more.")
        self.block_frames = frames
        self._frames: np.ndarray = np.empty(0, dtype=np.int64)

    def randomize(self, data: int) -> None:
        """Draw the frames to take from `data` frames."""
        super().randomize(None)
        if data < self.block_frames:
            raise ValueError(
                f"RandBlockBootstrap: the series has {data} frames, fewer than a block of {self.block_frames}; "
                "shorten the block."
            )
        starts = self.R.randint(0, data - self.block_frames + 1, size=-(-data // self.block_frames))
        self._frames = (starts[:, None] + np.arange(self.block_frames)).ravel()[:data]

    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Apply to (T, N)."""
        if randomize:
            self.randomize(len(img))
        return img[torch.from_numpy(self._frames)] if self._do_transform else img


class _RandSeriesd(MapTransform, RandomizableTransform):
    """Apply `transform` to every key with one draw."""

    transform: RandVoxelResample | RandBlockBootstrap

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "_RandSeriesd":
        """Seed the array transform."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Draw once, apply to every key."""
        result = dict(data)
        for k, key in enumerate(self.key_iterator(result)):
            result[key] = self.transform(result[key], randomize=k == 0)
        return result


class RandVoxelResampled(_RandSeriesd):
    """Dictionary version of :class:`RandVoxelResample`; one draw for all keys."""

    def __init__(self, keys: KeysCollection, prob: float = 1.0, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.transform = RandVoxelResample(prob)


class RandBlockBootstrapd(_RandSeriesd):
    """Dictionary version of :class:`RandBlockBootstrap`; one draw for all keys."""

    def __init__(
        self,
        keys: KeysCollection,
        block_seconds: float | None = None,
        tr_seconds: float | None = None,
        block_frames: int | None = None,
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.transform = RandBlockBootstrap(block_seconds, tr_seconds, block_frames, prob)
