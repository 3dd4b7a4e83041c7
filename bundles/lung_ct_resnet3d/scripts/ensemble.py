"""Several small networks as one."""

from typing import Any

import torch
from monai.networks.nets import ResNet
from torch import nn

__all__ = ["ResNetEnsemble"]


class ResNetEnsemble(nn.Module):
    r"""Members of one architecture that differ in their initial weights, trained and stored together.

    The output is the mean of the members' log probabilities, :math:`\frac{1}{M} \sum_m \log p_m(x)`. With
    ``torch.nn.NLLLoss`` the loss is the mean of the members' cross entropies, so each member learns as if it were
    alone; a cross entropy of the output would tie them to each other. A softmax of the output is the normalised
    geometric mean of their probabilities.

    Args:
        num_members: number of members M; time and size grow with it.
        arguments: arguments of MONAI's ``ResNet``.

    Shape:
        image ``(B, C, X, Y, Z)``, output ``(B, num_classes)``.

    Raises:
        ValueError: when ``num_members`` is not positive.
    """

    def __init__(self, num_members: int, **arguments: Any) -> None:
        super().__init__()
        if num_members < 1:
            raise ValueError(f"ResNetEnsemble: num_members is {num_members}, it must be at least 1.")
        self.members = nn.ModuleList(ResNet(**arguments) for _ in range(num_members))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Mean log probability (B, num_classes)."""
        return torch.stack([member(image).log_softmax(1) for member in self.members]).mean(0)
