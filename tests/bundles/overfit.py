"""Train a fusion network on one pair until it knows it by heart: what cannot do that cannot learn anything."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from common.data.brain_phantoms import PhantomSettings, make_phantom

__all__ = ["overfit", "phantom_pair"]


def phantom_pair(seed: int = 0, modality: str = "CT", size: int = 64) -> Tensor:
    """One slice of a phantom, CT and MRI: (1, 2, size, size) in [0, 1]."""
    phantom = make_phantom(seed, modality, PhantomSettings(size=size, slices=1))
    return torch.stack([torch.from_numpy(image) for image in (phantom.image, phantom.mri)], dim=1).float() / 255


def overfit(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    sources: Tensor,
    steps: int,
    lr: float,
    **kwargs: Any,
) -> tuple[list[float], Tensor]:
    """Train on one batch alone.

    Args:
        network: sources (B, N, H, W) -> fused (B, 1, H, W); trained in place.
        loss: (output, sources) -> scalar.
        sources: (B, N, H, W) in [0, 1].
        steps: of Adam.
        lr: of Adam.
        **kwargs: for the network, in training only.

    Returns:
        The loss before each step, and what the trained network makes of the sources, (B, 1, H, W).
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(network.train()(sources, **kwargs), sources)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    with torch.no_grad():
        return losses, network.eval()(sources)
