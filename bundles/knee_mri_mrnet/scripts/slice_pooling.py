"""Pooling over the slices of an exam that does not see empty slices."""

import torch
from torch import Tensor, nn

__all__ = ["GatedAttention", "MaxOverSlices", "make_pooling"]


class MaxOverSlices(nn.Module):
    """Largest value of every feature over the slices.

    Shapes:
        features (B, S, F), a vector of zeros is an empty slice -> (B, F), zeros when all slices are empty.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Pooled vectors (B, F) of slice features (B, S, F)."""
        occupied = (features != 0).any(dim=2, keepdim=True)  # (B, S, 1)
        pooled = features.masked_fill(~occupied, float("-inf")).amax(dim=1)
        return torch.where(occupied.any(dim=1), pooled, 0.0)


class GatedAttention(nn.Module):
    r"""Mean over the slices, weighted by learned attention.

    .. math:: z = \sum_k a_k h_k, \quad a = softmax_k(w^T (\tanh(V h_k) \odot \sigma(U h_k)))

    Args:
        num_features: F.
        hidden_channels: rows of V and U.

    Shapes:
        features (B, S, F), a vector of zeros is an empty slice -> (B, F), zeros when all slices are empty.

    Reference:
        Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018, Eq. (7) and (9); V and U have a bias
        here.
    """

    def __init__(self, num_features: int, hidden_channels: int = 128) -> None:
        super().__init__()
        self.content = nn.Linear(num_features, hidden_channels)
        self.gate = nn.Linear(num_features, hidden_channels)
        self.score = nn.Linear(hidden_channels, 1, bias=False)

    def attention(self, features: Tensor) -> Tensor:
        """Weights (B, S) of the slices, sum 1, 0 for an empty slice; all equal when all are empty."""
        scores = self.score(torch.tanh(self.content(features)) * torch.sigmoid(self.gate(features)))[:, :, 0]
        empty = (features == 0).all(dim=2)
        return torch.softmax(scores.float().masked_fill(empty, -1e9), dim=1)  # Eq. (9)

    def forward(self, features: Tensor) -> Tensor:
        """Pooled vectors (B, F) of slice features (B, S, F)."""
        return (self.attention(features).unsqueeze(2) * features).sum(dim=1)  # Eq. (7)


def make_pooling(pooling: str, num_features: int) -> nn.Module:
    """``"max"`` or ``"attention"``.

    Raises:
        ValueError: `pooling` is unknown.
    """
    if pooling not in ("max", "attention"):
        raise ValueError(
            f"make_pooling: pooling is {pooling!r}, and known are ['max', 'attention']; take one of those."
        )
    return MaxOverSlices() if pooling == "max" else GatedAttention(num_features)
