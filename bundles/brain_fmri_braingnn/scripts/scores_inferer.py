"""Forward pass of training: the loss needs the pooling scores beside the logits."""

from collections.abc import Callable
from typing import Any

from monai.inferers import SimpleInferer
from torch import Tensor

__all__ = ["ScoresInferer"]


class ScoresInferer(SimpleInferer):
    """Call the network with ``with_scores=True``, through its wrapper, so that DistributedDataParallel sees all."""

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Output of the network with the scores appended."""
        return super().__call__(inputs, network, *args, with_scores=True, **kwargs)
