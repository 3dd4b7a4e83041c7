"""BrainGNN over windows of time."""

from typing import Any

import torch
from torch import Tensor, nn

from .network import BrainGNN

__all__ = ["DynamicBrainGNN"]


class DynamicBrainGNN(nn.Module):
    """One encoder for all windows of a subject; their features are averaged over the present windows.

    Features are pooled and not regions, whose order after pooling differs from window to window.

    Args:
        arguments: arguments of :class:`~.network.BrainGNN`.

    Shapes:
        ``image`` (B, 2 W, N, N), channels 2 w and 2 w + 1 the features and the adjacency of window w; a window of
        zeros is padding -> as :class:`~.network.BrainGNN`, with scores averaged over the windows that have them.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.encoder = BrainGNN(**arguments)

    def forward(self, image: Tensor, with_scores: bool = False) -> Tensor:
        """See the class."""
        subjects, windows = image.shape[0], image.shape[1] // 2
        graphs = image.reshape(subjects * windows, 2, image.shape[2], image.shape[3])
        z, first, second = self.encoder.encode(graphs)
        present = (graphs != 0).flatten(1).any(1).view(subjects, windows, 1)
        pooled = (z.view(subjects, windows, -1) * present).sum(1) / present.sum(1).clamp(min=1)
        logits = self.encoder.classify(pooled)
        if not with_scores:
            return logits
        scores = self.encoder.scores(first, second).view(subjects, windows, -1)
        norms = self.encoder.norms().expand(subjects, 2)
        return torch.cat([logits, scores.masked_fill(~present, torch.nan).nanmean(1), norms], dim=1)

    def set_feature_scale(self, std: Tensor) -> None:
        """As in :class:`~.network.BrainGNN`, from the first window, which every subject has."""
        self.encoder.set_feature_scale(std)
