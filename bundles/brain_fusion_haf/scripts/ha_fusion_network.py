"""A light fusion network: depthwise-separable blocks at three scales, aggregated by a feature pyramid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = ["DepthwiseSeparableBlock", "HAFusionNet", "SelectiveAggregation"]

SLOPE = 0.2
DARKEST = 0.02  # of the maximum, whose logit would be infinite at 0 and 1


class DepthwiseSeparableBlock(nn.Module):
    """A 3 x 3 convolution of each channel by itself, then a 1 x 1 over channels, LeakyReLU 0.2 after both.

    No batch norm: at batch size one it would tie a gray level to the rest of its image, and gray levels are the output.

    Args:
        in_channels: C.
        out_channels: K; where it equals C and the stride is 1, the input is added to the result.
        stride: of the 3 x 3 convolution; 2 halves the size, rounding up.
        multiplier: maps that the 3 x 3 convolution makes of each channel.

    Shapes:
        (B, C, H, W) -> (B, K, ceil(H / stride), ceil(W / stride)); H, W >= 2, for the border is mirrored.

    Reference:
        Howard et al., MobileNets, arXiv:1704.04861 (2017), Sec. 3.1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, multiplier: int = 1) -> None:
        super().__init__()
        wide = in_channels * multiplier
        self.depthwise = nn.Conv2d(in_channels, wide, 3, stride, 1, groups=in_channels, padding_mode="reflect")
        self.pointwise = nn.Conv2d(wide, out_channels, 1)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.residual = in_channels == out_channels and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = self.activation(self.pointwise(self.activation(self.depthwise(x))))
        return x + y if self.residual else y


class SelectiveAggregation(nn.Module):
    r"""Weigh feature maps of several scales by what all of them hold, as a selective kernel does.

    .. math::
        s = \sum_l \mathrm{mean}(x_l), \quad z = \mathrm{ReLU}(W s), \quad a_l = L\, \mathrm{softmax}_l (V_l z),
        \quad y_l = a_l \odot x_l

    The factor L makes the weights 1 on average, so that an undecided module passes what it gets.

    Args:
        channels: C of every scale.
        num_scales: L.
        reduction: C / size of z; z has at least 4 values.

    Shapes:
        L tensors (B, C, H_l, W_l) -> L tensors of the same shapes.

    Reference:
        Li et al., Selective Kernel Networks, CVPR 2019, Eq. (2)-(6), with scales in the place of kernel sizes.
    """

    def __init__(self, channels: int, num_scales: int, reduction: int = 2) -> None:
        super().__init__()
        self.num_scales = num_scales
        self.squeeze = nn.Linear(channels, max(channels // reduction, 4))
        self.select = nn.Linear(self.squeeze.out_features, num_scales * channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """See the class."""
        pooled = torch.stack([one.mean(dim=(2, 3)) for one in maps]).sum(0)  # Eq. (2), (3): (B, C)
        code = F.relu(self.squeeze(pooled))  # Eq. (4)
        logits = self.select(code).unflatten(1, (self.num_scales, -1))  # (B, L, C)
        weights = self.num_scales * logits.softmax(dim=1)  # Eq. (5)
        return [weights[:, k, :, None, None] * one for k, one in enumerate(maps)]  # Eq. (6), summed by the pyramid


class HAFusionNet(nn.Module):
    r"""Fuse N aligned images by features of three scales, summed from coarse to fine.

    Each scale is a stage of depthwise-separable blocks at full, half and quarter size. A 1 x 1 convolution brings each to
    the channels of the pyramid, :class:`SelectiveAggregation` weighs them, and they are resized (bilinear, to the very
    size of the finer one, so any image size works) and summed from the top down. A 3 x 3 convolution smooths the sum
    beside the images themselves, and the head corrects the pixelwise maximum:

    .. math:: F = \sigma\big(\mathrm{head} + \mathrm{logit}(\max_i S_i)\big)

    with the maximum cut to [0.02, 0.98]. The last layer starts at 0, so an untrained network is the maximum, which is a
    strong fusion by itself, and training begins there.

    Args:
        in_channels: N images.
        features: channels of the stages, fine to coarse.
        pyramid_channels: channels of the pyramid.
        blocks: residual blocks of each stage after its first.

    Shapes:
        image (B, N, H, W) in [0, 1], H, W >= 5 -> (B, 1, H, W) in (0, 1), of the same dtype.

    Raises:
        ValueError: when the image has another number of channels.

    Reference:
        The design that a tutorial gives for HAF (depthwise-separable convolutions, feature pyramid), with a learned
        weight of each scale; not the searched network of Liu et al., ACM MM 2021, doi:10.1145/3474085.3475299. Pyramid:
        Lin et al., Feature Pyramid Networks, CVPR 2017, Sec. 3.
    """

    def __init__(
        self,
        in_channels: int = 2,
        features: Sequence[int] = (16, 32, 64),
        pyramid_channels: int = 24,
        blocks: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.darkest = DARKEST
        self.stages = nn.ModuleList()
        channels = in_channels
        for scale, (wanted, number) in enumerate(zip(features, blocks, strict=True)):
            first = DepthwiseSeparableBlock(channels, wanted, min(scale, 1) + 1, 1 if scale else 8)
            self.stages.append(nn.Sequential(first, *(DepthwiseSeparableBlock(wanted, wanted) for _ in range(number))))
            channels = wanted
        self.laterals = nn.ModuleList([nn.Conv2d(wanted, pyramid_channels, 1) for wanted in features])
        self.aggregation = SelectiveAggregation(pyramid_channels, len(features))
        self.smooth = _reflect_conv(pyramid_channels + in_channels, pyramid_channels)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.head = nn.Sequential(
            _reflect_conv(pyramid_channels, pyramid_channels // 2),
            nn.LeakyReLU(SLOPE, inplace=True),
            _reflect_conv(pyramid_channels // 2, 1),
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights by He's rule; those of the last layer are 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, nn.Linear):
                module.reset_parameters()
        nn.init.zeros_(self.head[-1].weight)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Fuse image (B, N, H, W) to (B, 1, H, W)."""
        if image.shape[1] != self.in_channels:
            raise ValueError(
                f"HAFusionNet: image has {image.shape[1]} channels, in_channels is {self.in_channels}; stack as many"
                " images as the network was made for."
            )
        maps: list[Tensor] = []
        features = image.contiguous(memory_format=torch.channels_last)  # a fifth less CPU time
        for stage, lateral in zip(self.stages, self.laterals):  # noqa: B905 - TorchScript knows no strict
            features = stage(features)
            maps.append(lateral(features))
        maps = self.aggregation(maps)
        total = maps[-1]
        for finer in maps[-2::-1]:
            total = finer + F.interpolate(total, size=finer.shape[2:], mode="bilinear")
        smooth = self.activation(self.smooth(torch.cat([total, image], dim=1)))
        maximum = image.amax(dim=1, keepdim=True)
        return torch.sigmoid(self.head(smooth) + torch.logit(maximum, eps=self.darkest))


def _reflect_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")
