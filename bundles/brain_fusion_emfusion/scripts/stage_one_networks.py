"""The auxiliary networks of EMFusion: translators between two modalities and autoencoders of each."""

import copy
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .network import initialize, reflect_conv

__all__ = ["SOURCES", "Autoencoder", "ModalityPair", "Translator"]

SOURCES = ("functional", "mri")  # order of the channels of an image


class _EncoderDecoder(nn.Module):
    """Three convolutions to the features, three back to one channel, all of the size of the image."""

    def __init__(self, widths: Sequence[int], slope: float) -> None:
        super().__init__()
        one, two, three = widths
        self.encoder = nn.Sequential(
            *(reflect_conv(1, one), nn.LeakyReLU(slope)),
            *(reflect_conv(one, two), nn.LeakyReLU(slope)),
            *(reflect_conv(two, three), nn.LeakyReLU(slope)),
        )
        self.decoder = nn.Sequential(
            *(reflect_conv(three, two), nn.LeakyReLU(slope)),
            *(reflect_conv(two, one), nn.LeakyReLU(slope)),
            reflect_conv(one, 1),
        )
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, 1, H, W) in (0, 1)."""
        return torch.tanh(self.decoder(self.encoder(image))) / 2 + 0.5


class Translator(_EncoderDecoder):
    """Make an image of one modality look like the other: 1-32-64-96-64-32-1 channels, LeakyReLU 0.1.

    Shapes:
        image (B, 1, H, W) in [0, 1], H, W >= 2 -> (B, 1, H, W) in (0, 1).

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021), the generators of pseudo images.
    """

    def __init__(self) -> None:
        super().__init__((32, 64, 96), 0.1)


class Autoencoder(_EncoderDecoder):
    """Reproduce images of one modality: 1-32-64-128-64-32-1 channels, LeakyReLU 0.2, 185,217 parameters.

    Shapes:
        image (B, 1, H, W) in [0, 1], H, W >= 2 -> (B, 1, H, W) in (0, 1); ``encode`` -> (B, 128, H, W).

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021), the networks that extract deep features.
    """

    num_features = 128

    def __init__(self) -> None:
        super().__init__((32, 64, self.num_features), 0.2)

    def encode(self, image: Tensor) -> Tensor:
        """Features (B, 128, H, W) of image (B, 1, H, W)."""
        return self.encoder(image)

    def frozen_encoder(self, channels: Sequence[int]) -> nn.Sequential:
        """A frozen copy of the encoder that computes ``channels`` alone, a quarter of the work for 10 of 128."""
        encoder = copy.deepcopy(self.encoder)
        last = cast(nn.Conv2d, encoder[-2])
        narrow = reflect_conv(last.in_channels, len(channels)).to(last.weight)
        narrow.load_state_dict({name: value[list(channels)] for name, value in last.state_dict().items()})
        encoder[-2] = narrow
        return encoder.eval().requires_grad_(False)


class ModalityPair(nn.ModuleDict):
    """One network per source, by name, applied to the channel of its source.

    Args:
        make: called once for each of the two networks.

    Shapes:
        image (B, 2, H, W) -> (B, 2, H, W), in the order of ``SOURCES``.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__({name: make() for name in SOURCES})

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([self[name](part) for name, part in zip(SOURCES, image.split(1, dim=1), strict=True)], dim=1)
