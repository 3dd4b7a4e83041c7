"""Dynamic graphs: one graph for each window of time."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from .brain_graph import BrainGraph
from .common.transforms import Connectivity, subject_text

__all__ = ["SlidingWindows", "SlidingWindowsd"]


class SlidingWindows(Transform):
    """Region series (T, N) to the graphs of its windows, (2 W, N, N).

    Window w has its node features in channel 2 w and its adjacency in channel 2 w + 1, each as
    :class:`~scripts.common.transforms.Connectivity` and :class:`~scripts.brain_graph.BrainGraph` make them of that stretch
    of time alone. Of more than W windows, W evenly spread ones are taken; padded windows are all zero. All windows of
    a subject are one case, so they cannot fall into different splits.

    A window should hold the slowest wave of the band, 1 / 0.01 Hz = 100 s for the usual filter.

    Args:
        window_seconds: length of a window.
        stride_seconds: from one start to the next.
        tr_seconds: time between frames.
        max_windows: W.
        connectivity: settings of `Connectivity`.
        graph: settings of `BrainGraph`.

    Raises:
        ValueError: when a window has fewer than 3 frames, a length is not positive, or a series is shorter than one
            window.
    """

    def __init__(
        self,
        window_seconds: float,
        stride_seconds: float,
        tr_seconds: float,
        max_windows: int,
        connectivity: Mapping[str, Any] | None = None,
        graph: Mapping[str, Any] | None = None,
    ) -> None:
        if min(window_seconds, stride_seconds, tr_seconds, max_windows) <= 0:
            raise ValueError(
                f"SlidingWindows: window_seconds {window_seconds}, stride_seconds {stride_seconds}, tr_seconds "
                f"{tr_seconds} and max_windows {max_windows} must be positive."
            )
        self.window_seconds = window_seconds
        self.stride_seconds = stride_seconds
        self.tr_seconds = tr_seconds
        self.max_windows = max_windows
        self.connectivity = Connectivity(**(connectivity or {}))
        self.graph = BrainGraph(**(graph or {}))

    def starts(self, frames: int, tr_seconds: float, subject: str = "") -> list[int]:
        """First frames of the windows of a series; each window has :meth:`window_frames` frames."""
        window, stride = self.window_frames(tr_seconds), max(1, round(self.stride_seconds / tr_seconds))
        if frames < window:
            raise ValueError(
                f"SlidingWindows: {subject_text(subject)} has {frames} frames ({frames * tr_seconds:.0f} s), fewer than "
                f"one window of {self.window_seconds:g} s; shorten the window or leave the case out."
            )
        every = list(range(0, frames - window + 1, stride))
        if len(every) <= self.max_windows:
            return every
        chosen = torch.linspace(0, len(every) - 1, self.max_windows).round().long().tolist()
        return [every[k] for k in chosen]

    def window_frames(self, tr_seconds: float) -> int:
        """Frames of a window, 3 or more."""
        frames = round(self.window_seconds / tr_seconds)
        if frames < 3:
            raise ValueError(
                f"SlidingWindows: window_seconds {self.window_seconds:g} at {tr_seconds:g} s a frame is {frames} "
                "frames, fewer than 3; lengthen the window."
            )
        return frames

    def __call__(self, img: torch.Tensor, subject: str = "", tr_seconds: float | None = None) -> torch.Tensor:
        """Make (2 W, N, N) of (T, N); `tr_seconds` of this subject wins over the setting."""
        if img.ndim != 2:
            raise ValueError(
                f"SlidingWindows: {subject_text(subject)} has shape {tuple(img.shape)}, expected (frames, regions)."
            )
        tr = tr_seconds or self.tr_seconds
        window = self.window_frames(tr)
        stretches = torch.stack([img[start : start + window] for start in self.starts(len(img), tr, subject)])
        image = torch.zeros(self.max_windows, 2, img.shape[1], img.shape[1])
        for k, matrices in enumerate(self.connectivity.batch(stretches, subject)):
            image[k] = self.graph(matrices, subject)
        return image.flatten(0, 1)


class SlidingWindowsd(MapTransform):
    """Dictionary version of :class:`SlidingWindows`.

    Errors name the item's `id`, and an item's own `tr_seconds` wins over the setting (sites differ).
    """

    def __init__(
        self,
        keys: KeysCollection,
        window_seconds: float,
        stride_seconds: float,
        tr_seconds: float,
        max_windows: int,
        connectivity: Mapping[str, Any] | None = None,
        graph: Mapping[str, Any] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = SlidingWindows(window_seconds, stride_seconds, tr_seconds, max_windows, connectivity, graph)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the graphs of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], str(result.get("id", "")), result.get("tr_seconds"))
        return result
