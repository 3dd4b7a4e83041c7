"""How much each edge of a graph contributes to a decision of BrainGNN."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .held_network import guided_relu, held
from .network import BrainGNN

__all__ = [
    "METHODS",
    "edge_effect",
    "gradient_times_input",
    "guided_backpropagation",
    "importance",
    "integrated_gradients",
    "margin",
    "symmetrise",
]


def margin(logits: Tensor, target: int) -> Tensor:
    """Logit of class `target` minus the mean logit of the others, (B, C) -> (B,)."""
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - others.mean(1)


def gradient_times_input(network: BrainGNN, image: Tensor, target: int) -> Tensor:
    """Gradient of the margin by the adjacency, times the adjacency, (B, N, N).

    Weights are normalised to a sum of 1 over the edges into a region, so the first layer's shares of the edges into a
    region cancel: this measures an edge against the others of the same region.

    Args:
        network: one network, in evaluation mode.
        image: (B, 2, N, N), features and adjacency.
        target: class whose margin is explained.
    """
    return _gradient(network, image, image[:, 1], target) * image[:, 1]


def guided_backpropagation(network: BrainGNN, image: Tensor, target: int) -> Tensor:
    """As :func:`gradient_times_input`, with every ReLU passing back positive gradients only (Springenberg 2015).

    It often looks sharper and fails sanity checks: it changes little when the weights are randomised (Adebayo et al.,
    NeurIPS 2018). Take it as a picture, not as evidence.
    """
    with guided_relu():
        return gradient_times_input(network, image, target)


def integrated_gradients(network: BrainGNN, image: Tensor, target: int, num_steps: int = 16) -> Tensor:
    """Integrated gradients from no edges to the edges of the subject, (B, N, N) (Sundararajan et al. 2017).

    On the way kept regions and the normalisation of the edges stay those of the subject
    (:func:`~.held_network.held`): as it stands the network jumps where a region is dropped, and does not feel a common
    factor of all edges at all. So the sum over edges is the margin with the edges minus that without them, the
    same regions kept.

    Args:
        network: one network, in evaluation mode.
        image: (B, 2, N, N).
        target: class whose margin is explained.
        num_steps: points of the midpoint rule.

    Raises:
        ValueError: when the network normalises edges otherwise than by their sum.
    """
    total = torch.zeros_like(image[:, 1])
    with held(network, image):
        for step in range(num_steps):
            total += _gradient(network, image, image[:, 1] * (step + 0.5) / num_steps, target)
    return total * image[:, 1] / num_steps


METHODS: dict[str, Callable[..., Tensor]] = {
    "integrated_gradients": integrated_gradients,
    "gradient_times_input": gradient_times_input,
    "guided_backpropagation": guided_backpropagation,
}


def importance(
    network: nn.Module, images: Tensor, method: str, target: int, batch_size: int = 32, **arguments: Any
) -> NDArray[np.floating]:
    """Importance of every undirected edge in every subject, mean over the members of an ensemble.

    Args:
        network: :class:`~.network.BrainGNN` or an ensemble of them; put into evaluation mode.
        images: (S, 2, N, N).
        method: one of `METHODS`.
        target: class whose margin is explained; positive numbers speak for it.
        batch_size: subjects at a time.
        arguments: further ones of the method.

    Returns:
        (S, N, N) symmetric: entry (i, j) is the sum of both directions, so the upper triangle sums to the total.

    Raises:
        ValueError: when the network cuts its edges, or images have other channels than two.
    """
    function = METHODS[method]
    members = _members(network, images)
    batches = [
        torch.stack([function(member, batch, target, **arguments) for member in members]).mean(0)
        for batch in images.split(batch_size)
    ]
    return symmetrise(torch.cat(batches)).cpu().numpy()


@torch.no_grad()
def edge_effect(network: nn.Module, images: Tensor, target: int, batch_size: int = 32) -> NDArray[np.floating]:
    """Margin with the edges minus that without them, decisions held: what integrated gradients add up to, (S,).

    Args:
        network: :class:`~.network.BrainGNN` or an ensemble of them, of which the mean is taken.
        images: (S, 2, N, N).
        target: class whose margin is explained.
        batch_size: subjects at a time.
    """
    members = _members(network, images)
    batches = [
        torch.stack([_effect(member, batch, target) for member in members]) for batch in images.split(batch_size)
    ]
    return torch.cat(batches, dim=1).mean(0).cpu().numpy()


def symmetrise(directed: Tensor) -> Tensor:
    """Sum of both directions of each edge, (B, N, N)."""
    return directed + directed.mT


def _members(network: nn.Module, images: Tensor) -> list[BrainGNN]:
    members = [module for module in network.eval().modules() if isinstance(module, BrainGNN)]
    if images.shape[1] != 2 or not members or not all(member.edges for member in members):
        raise ValueError(
            f"importance: edges of images with {images.shape[1]} channels in {type(network).__name__} cannot be "
            "explained; take BrainGNN or an ensemble of it with edges=True."
        )
    return members


def _effect(network: BrainGNN, image: Tensor, target: int) -> Tensor:
    without = torch.stack([image[:, 0], torch.zeros_like(image[:, 1])], dim=1)
    with held(network, image):
        return margin(network(image), target) - margin(network(without), target)


def _gradient(network: BrainGNN, image: Tensor, adjacency: Tensor, target: int) -> Tensor:
    adjacency = adjacency.detach().requires_grad_()
    logits = network(torch.stack([image[:, 0], adjacency], dim=1))
    return torch.autograd.grad(margin(logits, target).sum(), adjacency)[0]
