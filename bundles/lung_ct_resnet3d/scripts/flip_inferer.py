"""Test-time flips for volumes whose class does not depend on the side."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["FlipInferer"]


class FlipInferer(Inferer):
    """Average the class probabilities over all combinations of flips.

    Args:
        spatial_axes: axes that may be flipped, 0..2 for (X, Y, Z); n axes cost 2**n forward passes, none costs one.
    """

    def __init__(self, spatial_axes: Sequence[int] = (0, 1, 2)) -> None:
        super().__init__()
        axes = [axis + 2 for axis in spatial_axes]
        self.flips = list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Log of the mean probability (B, C): a softmax of it gives the mean probability."""
        passes = [network(inputs.flip(axes), *args, **kwargs).log_softmax(1) for axes in self.flips]
        return torch.stack(passes).logsumexp(0) - torch.log(torch.tensor(float(len(passes))))
