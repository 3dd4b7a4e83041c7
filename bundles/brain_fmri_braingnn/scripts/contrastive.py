"""Contrastive pretraining of the encoder on crops of time."""

from typing import Any

from monai.losses import ContrastiveLoss
from torch import Tensor, nn

from .network import BrainGNN

__all__ = ["ContrastiveBrainGNN", "TwoViewsLoss"]


class ContrastiveBrainGNN(nn.Module):
    """Encoder with a projection head for two views of every subject.

    Args:
        projection_channels: P, width of the projections.
        arguments: arguments of :class:`~.network.BrainGNN`.

    Shapes:
        ``image`` (B, 4, N, N), features and adjacency of two crops of one recording -> projections (B, 2 P), the two
        views side by side.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020 (SimCLR).
    """

    def __init__(self, projection_channels: int = 64, **arguments: Any) -> None:
        super().__init__()
        self.encoder = BrainGNN(**arguments)
        width = self.encoder.out_channels
        self.project = nn.Sequential(
            nn.BatchNorm1d(width), nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, projection_channels)
        )

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        z, _, _ = self.encoder.encode(image.reshape(2 * image.shape[0], 2, image.shape[2], image.shape[3]))
        return self.project(z).view(image.shape[0], -1)

    def set_feature_scale(self, std: Tensor) -> None:
        """As in :class:`~.network.BrainGNN`."""
        self.encoder.set_feature_scale(std)


class TwoViewsLoss(nn.Module):
    """NT-Xent loss (MONAI's ``ContrastiveLoss``) between the two halves of each output.

    Args:
        temperature: of the softmax over similarities.

    Shapes:
        output (B, 2 P), label ignored -> scalar.
    """

    def __init__(self, temperature: float = 0.2) -> None:
        super().__init__()
        self.temperature = temperature
        self.loss = ContrastiveLoss(temperature=temperature)

    def forward(self, output: Tensor, label: Tensor | None = None) -> Tensor:
        """See the class."""
        first, second = output.chunk(2, dim=1)
        return self.loss(first, second)
