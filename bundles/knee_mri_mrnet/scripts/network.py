"""MRNet: one plane, one question."""

from torch import Tensor, nn

from .backbones import Backbone, make_backbone
from .slice_head import SliceHead

__all__ = ["MRNet"]


class MRNet(nn.Module):
    """Backbone on every slice, global average pooling, pooling over slices, classifier.

    Args:
        backbone: name, see :func:`~scripts.backbones.make_backbone`, or a backbone to share with another network.
        head: ``"linear"``, ``"mlp"``, or a head to share (then `pooling` and `dropout` are its own).
        pooling: over slices, ``"max"`` or ``"attention"``.
        dropout: of the head.
        freeze_backbone: train the head only.

    Shapes:
        image (B, S, H, W) in [0, 1] -> logits (B, 1). A slice of zeros is empty and has no influence, so exams of
        different length can be padded into one batch: each gets the logit and gradient it has alone. The backbone
        stays in evaluation mode, see :class:`~scripts.backbones.Backbone`.

    Raises:
        ValueError: a name is unknown, `dropout` is out of range, or `head` is for another number of features.

    Reference:
        Bien et al., Deep-learning-assisted diagnosis for knee MRI, PLOS Medicine 15:e1002699 (2018). Departures: batches
        of several exams, and the backbones and poolings that are not AlexNet and max.
    """

    def __init__(
        self,
        backbone: str | Backbone = "efficientnet_lite0",
        head: str | SliceHead = "linear",
        pooling: str = "max",
        dropout: float = 0.0,
        freeze_backbone: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone) if isinstance(backbone, str) else backbone
        width = self.backbone.num_features
        self.head = SliceHead(width, head, pooling, dropout) if isinstance(head, str) else head
        if self.head.num_features != width:
            raise ValueError(
                f"MRNet: head takes {self.head.num_features} features and backbone {self.backbone.name} gives {width},"
                " which must be equal; make the head with the backbone's num_features."
            )
        if freeze_backbone:
            self.backbone.freeze()

    def slice_features(self, image: Tensor) -> Tensor:
        """Features (B, S, F) of exams (B, S, H, W), zeros for an empty slice."""
        return self.backbone.slice_features(image)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 1) of exams (B, S, H, W)."""
        return self.head(self.slice_features(image))
