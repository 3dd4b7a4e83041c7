"""Fuse images, volumes, and more sources than the network takes."""

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SliceInferer

__all__ = ["FusionInferer"]


class FusionInferer(Inferer):
    """Apply a 2-D fusion network to whatever a case holds.

    An image (rows, columns) goes through the network as it is, a volume (x, y, z) slice by slice along its last axis,
    turned so that y are the rows, as in pictures. A network of two sources
    takes more of them pairwise: the first two, then the result with the third, and so on; so their order matters. A
    network with as many inputs as the case has sources fuses them at once.

    Args:
        in_channels: sources that the network takes.
        sw_batch_size: slices of a volume at a time.
    """

    def __init__(self, in_channels: int = 2, sw_batch_size: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.sw_batch_size = sw_batch_size

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Fuse ``inputs`` (B, N, H, W) or (B, N, H, W, D) in [0, 1] to one channel.

        Raises:
            ValueError: when N is not what the network takes and cannot be folded.
        """
        sources = inputs.shape[1]
        if sources == self.in_channels:
            return self._apply(inputs, network, *args, **kwargs)
        if self.in_channels != 2 or sources < 2:
            raise ValueError(
                f"FusionInferer: the case has {sources} sources and the network takes {self.in_channels}; give as many,"
                " or two or more to a network of two."
            )
        fused = inputs[:, :1]
        for k in range(1, sources):
            fused = self._apply(torch.cat([fused, inputs[:, k : k + 1]], 1), network, *args, **kwargs)
        return fused

    def _apply(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        if inputs.ndim == 4:
            return network(inputs, *args, **kwargs)
        volume = inputs.transpose(2, 3)  # (B, N, W, H, D): a picture has rows first, a volume x
        slices = SliceInferer(roi_size=volume.shape[2:4], spatial_dim=2, sw_batch_size=self.sw_batch_size)
        return slices(volume, network, *args, **kwargs).transpose(2, 3)  # type: ignore[union-attr]
