"""Window jitter: the CT-correct form of brightness and contrast augmentation."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_tensor

__all__ = ["RandWindow", "RandWindowd"]


class RandWindow(RandomizableTransform):
    """Show a CT through a randomly shifted and stretched window.

    The input is in window units, u = (HU - low) / width, not yet clipped; the output is what the jittered window
    gives: u' = (u * width + low - low') / width'. Scaling the clipped image instead, as tutorials do, multiplies
    (HU + 1000): air stays and tissue moves by up to 140 HU at 10 %.

    Args:
        window_hu: (low, high) of the window in HU.
        level_hu: the level moves uniformly within +- this, HU.
        width: the width is multiplied by a factor uniformly within 1 +- this.
        prob: probability of a jitter.

    Raises:
        ValueError: when the window is empty or ``width`` is not in [0, 1).
    """

    def __init__(
        self, window_hu: tuple[float, float], level_hu: float = 50.0, width: float = 0.1, prob: float = 0.3
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        if window_hu[1] <= window_hu[0]:
            raise ValueError(f"RandWindow: window_hu is {tuple(window_hu)}, low must be below high.")
        if not 0 <= width < 1:
            raise ValueError(f"RandWindow: width is {width}, it must lie in [0, 1).")
        self.window_hu = tuple(window_hu)
        self.level_hu = level_hu
        self.width = width
        self._shift, self._factor = 0.0, 1.0

    def randomize(self, data: None = None) -> None:
        """Draw level shift (HU) and width factor."""
        super().randomize(None)
        self._shift = self.R.uniform(-self.level_hu, self.level_hu)
        self._factor = self.R.uniform(1 - self.width, 1 + self.width)

    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Apply to an image (C, X, Y, Z) in window units."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return img
        low, high = self.window_hu
        width = high - low
        new_width = width * self._factor
        new_low = (low + high) / 2 + self._shift - new_width / 2
        return (img * width + low - new_low) / new_width


class RandWindowd(MapTransform, RandomizableTransform):
    """Dictionary version of :class:`RandWindow`; one draw for all keys."""

    def __init__(
        self,
        keys: KeysCollection,
        window_hu: tuple[float, float],
        level_hu: float = 50.0,
        width: float = 0.1,
        prob: float = 0.3,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.transform = RandWindow(window_hu, level_hu, width, prob)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "RandWindowd":
        """Seed the array transform."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Draw once, apply to every key."""
        result = dict(data)
        self.transform.randomize()
        for key in self.key_iterator(result):
            result[key] = self.transform(convert_to_tensor(result[key]), randomize=False)
        return result
