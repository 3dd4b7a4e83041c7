"""Images for the tests of fusion metrics."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate


def textured(batch: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Gray levels with structure at two scales and a black corner, as float32 (B, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, channels, 4, 5, generator=generator)
    smooth = interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
    image = (255 * (0.8 * smooth + 0.2 * torch.rand(batch, channels, height, width, generator=generator))).round()
    image[..., : height // 4, : width // 4] = 0
    return image


def fusion(batch: int, num_sources: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Fused images that resemble their sources."""
    sources = textured(batch, num_sources, height, width)
    noise = textured(batch, 1, height, width, seed=1)
    return (0.7 * sources.amax(1, keepdim=True) + 0.3 * noise).round(), sources


def arrays(fused: Tensor, sources: Tensor, index: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Fused image and sources of one case, in float64."""
    return fused[index, 0].double().numpy(), list(sources[index].double().numpy())
