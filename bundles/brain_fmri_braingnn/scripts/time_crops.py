"""Two views of a recording for contrastive pretraining: graphs of two random stretches of time."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from .brain_graph import BrainGraph
from .common.transforms import Connectivity, subject_text

__all__ = ["RandTimeCrops", "RandTimeCropsd"]


class RandTimeCrops(RandomizableTransform):
    """Region series (T, N) to the graphs of two random crops of time, (4, N, N).

    Channels are features and adjacency of the first crop, then of the second. Crops may overlap; both are of one
    subject, so the pair cannot fall into different splits.

    Args:
        fraction: length of a crop as a share of T.
        connectivity: settings of :class:`~scripts.common.transforms.Connectivity`.
        graph: settings of :class:`~scripts.brain_graph.BrainGraph`.

    Raises:
        ValueError: when ``fraction`` is not in (0, 1], the input is not (T, N), or a crop has fewer than 3 frames.
    """

    def __init__(
        self,
        fraction: float = 0.5,
        connectivity: Mapping[str, Any] | None = None,
        graph: Mapping[str, Any] | None = None,
    ) -> None:
        RandomizableTransform.__init__(self, 1.0)
        if not 0 < fraction <= 1:
            raise ValueError(f"RandTimeCrops: fraction is {fraction}, it must lie in (0, 1].")
        self.fraction = fraction
        self.connectivity = Connectivity(**(connectivity or {}))
        self.graph = BrainGraph(**(graph or {}))
        self._starts = (0.0, 0.0)

    def randomize(self, data: None = None) -> None:
        """Draw both starts as shares of the room there is."""
        super().randomize(None)
        self._starts = (self.R.uniform(), self.R.uniform())

    def __call__(self, img: torch.Tensor, subject: str = "", randomize: bool = True) -> torch.Tensor:
        """Make (4, N, N) of (T, N)."""
        if randomize:
            self.randomize()
        frames = round(self.fraction * len(img))
        if img.ndim != 2 or frames < 3:
            raise ValueError(
                f"RandTimeCrops: {subject_text(subject)} has shape {tuple(img.shape)}, expected (frames, regions) with"
                f" 3 frames or more in a share of {self.fraction:g}; leave the case out or raise fraction."
            )
        starts = [round(share * (len(img) - frames)) for share in self._starts]
        crops = torch.stack([img[start : start + frames] for start in starts])
        return torch.cat([self.graph(pair, subject) for pair in self.connectivity.batch(crops, subject)])


class RandTimeCropsd(MapTransform, RandomizableTransform):
    """Dictionary version of :class:`RandTimeCrops`; errors name the item's `id`."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **settings: Any) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.transform = RandTimeCrops(**settings)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "RandTimeCropsd":
        """Seed the array transform."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw once, apply to every key."""
        result = dict(data)
        for k, key in enumerate(self.key_iterator(result)):
            result[key] = self.transform(result[key], str(result.get("id", "")), randomize=k == 0)
        return result
