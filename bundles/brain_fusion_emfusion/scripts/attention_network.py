"""A three-scale fusion network with attention gates."""

import torch
from torch import Tensor, nn

from .network import reflect_conv

__all__ = ["AttentionFusionNet", "AttentionGate", "ConvBlock"]

NORMS = ("none", "instance")
SLOPE = 0.2


class ConvBlock(nn.Sequential):
    """Two 3 x 3 convolutions, each followed by the norm and LeakyReLU; the border is mirrored.

    Args:
        in_channels: of the input.
        out_channels: of both convolutions.
        norm: ``"none"`` or ``"instance"``.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str = "none") -> None:
        layers: list[nn.Module] = []
        for width in (in_channels, out_channels):
            layers.append(reflect_conv(width, out_channels))
            if norm == "instance":
                layers.append(nn.InstanceNorm2d(out_channels, affine=True))
            layers.append(nn.LeakyReLU(SLOPE))
        super().__init__(*layers)


class AttentionGate(nn.Module):
    r"""Keep of a skip connection what the coarser features ask for.

    .. math:: \alpha = \sigma(\psi^T \mathrm{ReLU}(W_x x + W_g g + b_g) + b_\psi), \qquad y = \alpha x

    Args:
        gate_channels: of g.
        skip_channels: of x.
        inner_channels: of the sum.

    Shapes:
        gate (B, G, h, w) of any size, skip (B, C, H, W) -> (B, C, H, W); the gate is resampled to H x W first.

    Reference:
        Oktay et al., Attention U-Net, arXiv:1804.03999 (2018), Eq. (1) and (2), without batch normalisation.
    """

    def __init__(self, gate_channels: int, skip_channels: int, inner_channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(gate_channels, inner_channels, 1)
        self.skip = nn.Conv2d(skip_channels, inner_channels, 1, bias=False)
        self.psi = nn.Conv2d(inner_channels, 1, 1)

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Weight the skip connection."""
        resampled = _resample(gate, skip)
        alpha = torch.sigmoid(self.psi(torch.relu(self.skip(skip) + self.gate(resampled))))  # Eq. (1), (2)
        return alpha * skip


class _DecoderStage(nn.Module):
    """Gate the skip connection by the coarser features, join both, convolve."""

    def __init__(self, coarse_channels: int, skip_channels: int, norm: str) -> None:
        super().__init__()
        self.gate = AttentionGate(coarse_channels, skip_channels, max(skip_channels // 2, 1))
        self.block = ConvBlock(coarse_channels + skip_channels, skip_channels, norm)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """(B, G, h, w) and (B, C, H, W) -> (B, C, H, W)."""
        joined = torch.cat([self.gate(coarse, skip), _resample(coarse, skip)], dim=1)
        return self.block(joined)


def _resample(image: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(image, size=like.shape[2:], mode="bilinear", align_corners=False)


class AttentionFusionNet(nn.Module):
    r"""Fuse N aligned images by an encoder with pooling and a decoder with attention gates on its skip connections.

    Args:
        in_channels: N images.
        features: channels of each scale, from fine to coarse.
        norm: ``"none"``, or ``"instance"``, which loses the gray level of an image.

    Shapes:
        image (B, N, H, W) in [0, 1] -> (B, 1, H, W) in (0, 1), of the same dtype; odd sizes too, H, W >= 5 for three
        scales (2^(scales - 1) + 1). Training and evaluation mode do the same, also for one image.

    Raises:
        ValueError: for an unknown norm, fewer than two scales, or an image with another number of channels.

    Reference:
        The multi-scale attention network that a tutorial describes as EMFusion, with its gates of Oktay et al.
        (arXiv:1804.03999) made to fit: the gate is resampled, batch normalisation is gone, the border is mirrored.
    """

    def __init__(
        self, in_channels: int = 2, features: tuple[int, ...] | list[int] = (16, 32, 64), norm: str = "none"
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"AttentionFusionNet: norm is {norm!r}, choose one of {list(NORMS)}.")
        if len(features) < 2:
            raise ValueError(
                f"AttentionFusionNet: features are {tuple(features)}, give one width for each of at least 2 scales."
            )
        self.in_channels = in_channels
        widths = [in_channels, *features]
        self.encoder = nn.ModuleList([ConvBlock(i, o, norm) for i, o in zip(widths[:-1], widths[1:], strict=True)])
        self.pool = nn.MaxPool2d(2, ceil_mode=True)  # an odd last row or column is kept
        coarse_to_fine = list(features[::-1])
        pairs = zip(coarse_to_fine[:-1], coarse_to_fine[1:], strict=True)
        self.decoder = nn.ModuleList([_DecoderStage(coarse, fine, norm) for coarse, fine in pairs])
        self.head = nn.Conv2d(features[0], 1, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: He for LeakyReLU, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.head.weight, std=0.05, a=-0.1, b=0.1)  # start far from the ends of tanh

    def forward(self, image: Tensor) -> Tensor:
        """Fuse image (B, N, H, W) to (B, 1, H, W)."""
        if image.shape[1] != self.in_channels:
            raise ValueError(
                f"AttentionFusionNet: image has {image.shape[1]} channels, in_channels is {self.in_channels}; stack as"
                " many images as the network was made for."
            )
        skips: list[Tensor] = []
        features = image
        for scale, block in enumerate(self.encoder):
            features = block(features if scale == 0 else self.pool(features))
            skips.append(features)
        for scale, stage in enumerate(self.decoder):
            features = stage(features, skips[len(skips) - 2 - scale])
        return torch.tanh(self.head(features)) / 2 + 0.5
