"""The fusion network of EMFusion."""

import torch
from torch import Tensor, nn

__all__ = ["EMFusionNet", "initialize", "reflect_conv"]


def reflect_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size (H, W >= 2) and mirrors the border, so that it makes no dark frame."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")


def initialize(network: nn.Module) -> None:
    """Draw every kernel from a normal of standard deviation 0.05, cut at two of them; biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.05, a=-0.1, b=0.1)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class EMFusionNet(nn.Module):
    r"""Fuse N aligned images by dense convolutions at one scale.

    Four layers of f channels, each of which sees all before it, then three that narrow to one channel; LeakyReLU 0.2
    between, :math:`\tanh(x)/2 + 0.5` at the end. No normalisation, no pooling: every image size >= 2 works, and a gray
    level depends on its 15 x 15 surroundings alone.

    Args:
        in_channels: N images.
        features: f.

    Shapes:
        image (B, N, H, W) in [0, 1] -> (B, 1, H, W) in (0, 1), of the same dtype.

    Raises:
        ValueError: when the image has another number of channels.

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021); sizes and order of the concatenation (new, old) as in
        the authors' code. 148,545 parameters with the defaults.
    """

    def __init__(self, in_channels: int = 2, features: int = 32) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv1 = reflect_conv(in_channels, features)
        self.conv2 = reflect_conv(features, features)
        self.conv3 = reflect_conv(2 * features, features)
        self.conv4 = reflect_conv(3 * features, features)
        self.conv6 = reflect_conv(4 * features, 2 * features)
        self.conv7 = reflect_conv(2 * features, features)
        self.conv8 = reflect_conv(features, 1)
        self.activation = nn.LeakyReLU(0.2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        """Fuse image (B, N, H, W) to (B, 1, H, W)."""
        if image.shape[1] != self.in_channels:
            raise ValueError(
                f"EMFusionNet: image has {image.shape[1]} channels, in_channels is {self.in_channels}; stack as many"
                " images as the network was made for."
            )
        dense = self.activation(self.conv1(image))
        dense = torch.cat([self.activation(self.conv2(dense)), dense], dim=1)  # (B, 2 f, H, W)
        dense = torch.cat([self.activation(self.conv3(dense)), dense], dim=1)
        dense = torch.cat([self.activation(self.conv4(dense)), dense], dim=1)  # (B, 4 f, H, W)
        narrow = self.activation(self.conv7(self.activation(self.conv6(dense))))
        return torch.tanh(self.conv8(narrow)) / 2 + 0.5
