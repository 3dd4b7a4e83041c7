"""The squeeze-and-decomposition network."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

__all__ = ["DecodedSDNet", "SDNet"]

FEATURES = 16  # of every convolution of a branch
LAYERS = 4  # of a branch
SLOPE = 0.2
PaddingMode = Literal["reflect", "zeros"]


class _Branch(nn.Module):
    """Four convolutions of one source, each sees all before it, the oldest first."""

    def __init__(self, padding_mode: PaddingMode) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, FEATURES, 5, padding=2, padding_mode=padding_mode)
        self.conv2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1, padding_mode=padding_mode)
        self.conv3 = nn.Conv2d(2 * FEATURES, FEATURES, 3, padding=1, padding_mode=padding_mode)
        self.conv4 = nn.Conv2d(3 * FEATURES, FEATURES, 3, padding=1, padding_mode=padding_mode)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 1, H, W) in [-1, 1] -> four maps (B, 16, H, W)."""
        one = self.activation(self.conv1(image))
        two = self.activation(self.conv2(one))
        three = self.activation(self.conv3(torch.cat([one, two], dim=1)))
        four = self.activation(self.conv4(torch.cat([one, two, three], dim=1)))
        return [one, two, three, four]


class _Decoder(nn.Sequential):
    """Find one source in the features of the fused image: (B, F, H, W) -> (B, 1, H, W) in (-1, 1)."""

    def __init__(self, in_channels: int, padding_mode: PaddingMode) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 16, 3, padding=1, padding_mode=padding_mode),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(16, 4, 3, padding=1, padding_mode=padding_mode),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(4, 1, 3, padding=1, padding_mode=padding_mode),
            nn.Tanh(),
        )


class SDNet(nn.Module):
    r"""Squeeze N aligned images to one, from which a decoder, used in training only, finds all of them again.

    Squeeze: each source has its own dense branch of four convolutions (5 x 5, then three 3 x 3) with 16 channels; all
    maps, in the order 1A, 1B, 2A, 2B, ..., go through one 1 x 1 convolution and tanh. Decomposition: a 1 x 1
    convolution spreads the fused image to as many channels again, then each source has three 3 x 3 convolutions to 16,
    4 and 1 channels and tanh. LeakyReLU 0.2 between. Inside, gray levels are in [-1, 1]: :math:`2x - 1` at the start,
    :math:`(y + 1)/2` at the end. No normalisation, no pooling: every image size >= 3 works, and a gray level depends on
    its 11 x 11 surroundings alone.

    Args:
        in_channels: N images, N >= 2. The published network has 2; more get a branch and a decoder each.
        padding_mode: ``"reflect"`` mirrors the border. ``"zeros"`` is what the authors' code does: 0 is a medium gray
            in [-1, 1], so the dark background gets a frame.

    Shapes:
        image (B, N, H, W) in [0, 1] -> (B, 1, H, W), or with ``with_sources`` (B, 1 + N, H, W): the fused image, then
        the decoded sources; in [0, 1], of the same dtype.

    Raises:
        ValueError: for fewer than two images, an unknown padding mode, or an image with another number of channels.

    Reference:
        Zhang and Ma, SDNet, IJCV 129:2761-2785 (2021); sizes and order of the concatenation as in the authors' code for
        medical images. 67,091 parameters with the defaults, of which fusion uses 28,705. The authors draw kernels with a
        standard deviation of 0.001, which starts slowly. Larger ones than 0.05, as by He's rule, left the dark background
        gray in some starts.
    """

    def __init__(self, in_channels: int = 2, padding_mode: PaddingMode = "reflect") -> None:
        super().__init__()
        if in_channels < 2:
            raise ValueError(f"SDNet: in_channels is {in_channels}; fusion needs at least 2 images.")
        if padding_mode not in get_args(PaddingMode):
            raise ValueError(f"SDNet: padding_mode is {padding_mode!r}, choose one of {list(get_args(PaddingMode))}.")
        self.in_channels = in_channels
        maps = in_channels * LAYERS * FEATURES
        self.branches = nn.ModuleList([_Branch(padding_mode) for _ in range(in_channels)])
        self.squeeze = nn.Conv2d(maps, 1, 1)
        self.spread = nn.Conv2d(1, maps, 1)
        self.activation = nn.LeakyReLU(SLOPE)
        self.decoders = nn.ModuleList([_Decoder(maps, padding_mode) for _ in range(in_channels)])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: a normal of standard deviation 0.05, cut at two of them; biases are 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.05, a=-0.1, b=0.1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def num_inference_parameters(self) -> int:
        """Parameters that fusion alone uses: those of branches and squeeze, 28,705 for two images."""
        return sum(p.numel() for part in (self.branches, self.squeeze) for p in part.parameters())

    def forward(self, image: Tensor, with_sources: bool = False) -> Tensor:
        """Fuse image (B, N, H, W) to (B, 1, H, W), or to (B, 1 + N, H, W) with the decoded sources."""
        if image.shape[1] != self.in_channels:
            raise ValueError(
                f"SDNet: image has {image.shape[1]} channels, in_channels is {self.in_channels}; stack as many images as"
                " the network was made for."
            )
        signed = 2 * image - 1
        branches: list[list[Tensor]] = []
        for k, branch in enumerate(self.branches):
            branches.append(branch(signed[:, k : k + 1]))
        maps: list[Tensor] = []
        for layer in range(len(branches[0])):  # 1A, 1B, 2A, 2B, ...
            for branch_maps in branches:
                maps.append(branch_maps[layer])
        fused = torch.tanh(self.squeeze(torch.cat(maps, dim=1)))
        images = [fused]
        if with_sources:
            features = self.activation(self.spread(fused))
            for decoder in self.decoders:
                images.append(decoder(features))
        return (torch.cat(images, dim=1) + 1) / 2


class DecodedSDNet(nn.Module):
    """An SDNet that gives the decoded sources too, for MONAI's learning-rate finder, which passes nothing but the image.

    Args:
        network: whose parameters it shares.

    Shapes:
        image (B, N, H, W) in [0, 1] -> (B, 1 + N, H, W) in [0, 1].
    """

    def __init__(self, network: SDNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.network(image, True)
