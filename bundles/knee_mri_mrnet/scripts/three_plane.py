"""MRNet3Plane: one network for the three planes and the three questions of an exam."""

import torch
from torch import Tensor, nn

from .backbones import make_backbone
from .names import PLANES, TASKS
from .slice_head import make_classifier, reset_linear_layers
from .slice_pooling import make_pooling

__all__ = ["MRNet3Plane", "PlanesHead"]


class PlanesHead(nn.Module):
    """Pool the slices of every plane, join the pooled vectors, classify.

    Args:
        num_features: F.
        head: ``"linear"`` or ``"mlp"``.
        pooling: over slices, ``"max"`` or ``"attention"`` (of its own for every plane).
        dropout: probability before the last linear layer, in [0, 1).

    Shapes:
        features (B, 3 planes, S, F), a vector of zeros is an empty slice -> logits (B, 3 tasks). A plane without
        slices gives the vector 0.

    Raises:
        ValueError: `head` or `pooling` is unknown, `dropout` is out of range.
    """

    def __init__(self, num_features: int, head: str = "linear", pooling: str = "max", dropout: float = 0.0) -> None:
        super().__init__()
        self.num_features = num_features
        self.poolings = nn.ModuleList([make_pooling(pooling, num_features) for _ in PLANES])
        self.classifier = make_classifier(len(PLANES) * num_features, len(TASKS), head, dropout)

    def pooled(self, features: Tensor) -> Tensor:
        """Joined vectors (B, 3 F) of slice features (B, 3, S, F)."""
        vectors = []
        for plane, pooling in enumerate(self.poolings):
            vectors.append(pooling(features[:, plane]))
        return torch.cat(vectors, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, 3) of slice features (B, 3, S, F)."""
        return self.classifier(self.pooled(features))

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw new weights, see :func:`~scripts.slice_head.reset_linear_layers`."""
        reset_linear_layers(self, seed)


class MRNet3Plane(nn.Module):
    """One backbone for the slices of all planes and one head for all tasks.

    Args:
        backbone: name, see :func:`~scripts.backbones.make_backbone`.
        head: ``"linear"`` or ``"mlp"``.
        pooling: over slices, ``"max"`` or ``"attention"``.
        dropout: of the head.
        freeze_backbone: train the head only.

    Shapes:
        image (B, 3, S, H, W) in [0, 1], planes in the order of ``PLANES``, short planes padded with slices of zeros ->
        logits (B, 3) in the order of ``TASKS``. A plane of zeros is absent.

    Raises:
        ValueError: a name is unknown or `dropout` is out of range.

    Reference:
        After MRNet (Bien et al., PLOS Medicine 15:e1002699, 2018); joint planes and tasks are not in the article.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        head: str = "linear",
        pooling: str = "max",
        dropout: float = 0.0,
        freeze_backbone: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone)
        self.head = PlanesHead(self.backbone.num_features, head, pooling, dropout)
        if freeze_backbone:
            self.backbone.freeze()

    def slice_features(self, image: Tensor) -> Tensor:
        """Features (B, 3, S, F) of exams (B, 3, S, H, W), zeros for an empty slice."""
        return self.backbone.slice_features(image.flatten(0, 1)).unflatten(0, (-1, 3))

    def head_from_features(self, features: Tensor) -> Tensor:
        """Logits (B, 3) of stored slice features (B, 3, S, F)."""
        return self.head(features)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 3) of exams (B, 3, S, H, W)."""
        return self.head_from_features(self.slice_features(image))
