"""Fuse images, volumes, and more sources than the network takes."""

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from tqdm import tqdm

__all__ = ["FusionInferer"]


class FusionInferer(Inferer):
    """Apply a 2-D fusion network to whatever a case holds.

    An image (rows, columns) goes through the network as it is, a volume (x, y, z) slice by slice along its last axis,
    turned so that y are the rows, as in pictures. A network of two sources takes more of them pairwise: the first two,
    then the result with the third, and so on; so their order matters. A network with as many inputs as the case has
    sources fuses them at once.

    Of a volume the network sees at most ``sw_batch_size`` slices at a time, and beside the input only the result is as
    large as a volume. Slices in which every source is 0 are background: they stay 0 and do not go through the network.

    Args:
        in_channels: sources that the network takes.
        sw_batch_size: slices of a volume at a time, 1 or more.
        progress: show a bar over the slices of a volume.

    Raises:
        ValueError: ``sw_batch_size`` is below 1.
    """

    def __init__(self, in_channels: int = 2, sw_batch_size: int = 1, progress: bool = False) -> None:
        super().__init__()
        if sw_batch_size < 1:
            raise ValueError(f"FusionInferer: sw_batch_size is {sw_batch_size}; it must be 1 or more slices at a time.")
        self.in_channels = in_channels
        self.sw_batch_size = sw_batch_size
        self.progress = progress

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Fuse ``inputs`` (B, N, H, W) or (B, N, X, Y, Z) in [0, 1] to one channel.

        Raises:
            ValueError: when N is not what the network takes and cannot be folded.
        """
        sources = inputs.shape[1]
        if sources != self.in_channels and (self.in_channels != 2 or sources < 2):
            raise ValueError(
                f"FusionInferer: the case has {sources} sources and the network takes {self.in_channels}; give as many,"
                " or two or more to a network of two."
            )
        fuse = self._fuse if inputs.ndim == 4 else self._fuse_volume
        return fuse(inputs, network, *args, **kwargs)

    def _fuse(
        self, image: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        if image.shape[1] == self.in_channels:
            return network(image, *args, **kwargs)
        fused = image[:, :1]
        for k in range(1, image.shape[1]):
            fused = network(torch.cat([fused, image[:, k : k + 1]], 1), *args, **kwargs)
        return fused

    def _fuse_volume(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        volume = inputs.as_subclass(torch.Tensor)  # (B, N, X, Y, Z)
        fused = volume.new_zeros(len(volume), 1, *volume.shape[2:])
        filled = [(b, z) for b in range(len(volume)) for z in range(volume.shape[-1]) if volume[b, ..., z].any()]
        with tqdm(total=len(filled), desc="fuse", unit="slice", disable=not self.progress) as bar:
            for start in range(0, len(filled), self.sw_batch_size):
                places = filled[start : start + self.sw_batch_size]
                # a picture has rows first, a volume x
                slices = torch.stack([volume[b, ..., z].mT for b, z in places])  # (S, N, Y, X)
                for (b, z), result in zip(places, self._fuse(slices, network, *args, **kwargs), strict=True):
                    fused[b, ..., z] = result.mT
                bar.update(len(places))
        return convert_to_dst_type(fused, inputs)[0]
