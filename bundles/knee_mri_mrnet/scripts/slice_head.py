"""What follows the backbone: pooling over slices and a classifier, small enough to train on stored features."""

import torch
from torch import Tensor, nn

from .slice_pooling import make_pooling

__all__ = ["SliceHead", "make_classifier", "reset_linear_layers"]

HIDDEN = 256


class SliceHead(nn.Module):
    """Pool the slices of one plane and classify the pooled vector.

    Args:
        num_features: F.
        head: ``"linear"``: one layer, as the article's code; ``"mlp"``: linear, ReLU, dropout, linear, as its text.
        pooling: ``"max"`` (the article) or ``"attention"``.
        dropout: probability before the last linear layer, in [0, 1).
        num_outputs: K.

    Shapes:
        features (B, S, F), a vector of zeros is an empty slice -> logits (B, K). An exam without slices has the pooled
        vector 0. The last linear layer is ``classifier[-1]``.

    Raises:
        ValueError: `head` or `pooling` is unknown, `dropout` is out of range.

    Reference:
        Bien et al., Deep-learning-assisted diagnosis for knee MRI, PLOS Medicine 15:e1002699 (2018).
    """

    def __init__(
        self,
        num_features: int,
        head: str = "linear",
        pooling: str = "max",
        dropout: float = 0.0,
        num_outputs: int = 1,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.pooling = make_pooling(pooling, num_features)
        self.classifier = make_classifier(num_features, num_outputs, head, dropout)

    def pooled(self, features: Tensor) -> Tensor:
        """Pooled vectors (B, F) of slice features (B, S, F)."""
        return self.pooling(features)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of slice features (B, S, F)."""
        return self.classifier(self.pooled(features))

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw new weights, see :func:`reset_linear_layers`."""
        reset_linear_layers(self, seed)


def make_classifier(num_features: int, num_outputs: int, head: str, dropout: float) -> nn.Sequential:
    """Layers (B, F) -> (B, K); arguments as in :class:`SliceHead`.

    Raises:
        ValueError: `head` is unknown, `dropout` is out of range.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"make_classifier: dropout is {dropout}, which must lie in [0, 1); take 0 for none.")
    if head == "linear":
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_outputs))
    if head == "mlp":
        return nn.Sequential(
            nn.Linear(num_features, HIDDEN), nn.ReLU(), nn.Dropout(dropout), nn.Linear(HIDDEN, num_outputs)
        )
    raise ValueError(f"make_classifier: head is {head!r}, and known are ['linear', 'mlp']; take one of those.")


def reset_linear_layers(module: nn.Module, seed: int | None = None) -> None:
    """Draw new weights for every linear layer.

    Args:
        module: is changed in place.
        seed: None draws from the global generator; a number gives the same weights every time and leaves the global
            generator as it is.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
