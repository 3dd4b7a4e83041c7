"""Drug towers without a molecule graph, the controls: fingerprint, and a free embedding per drug."""

import torch
from torch import Tensor, nn

from .pair_layout import DRUG_CODE, LEAD

__all__ = ["EmbeddingTower", "FingerprintTower"]


class FingerprintTower(nn.Module):
    """Two linear layers on the bits of a fingerprint: chemistry without a learnt graph.

    Args:
        fingerprint_bits: at least 1.
        hidden_channels: width of the hidden layer.
        out_channels: O.
        dropout: behind both layers, in [0, 1).

    Shapes:
        ``drug`` (B, N, W), which is not read; ``vector`` (B, L) of :class:`~.pair_layout.PairLayout` -> (B, O).

    Raises:
        ValueError: for no bits.
    """

    def __init__(self, fingerprint_bits: int, hidden_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        if fingerprint_bits < 1:
            raise ValueError(
                f"FingerprintTower: fingerprint_bits is {fingerprint_bits}, it must be 1 or more; 2048 is usual."
            )
        self.start = LEAD
        self.end = LEAD + fingerprint_bits
        self.network = nn.Sequential(
            nn.Linear(fingerprint_bits, hidden_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, out_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
        )

    def forward(self, drug: Tensor, vector: Tensor) -> Tensor:
        """See the class."""
        return self.network(vector[:, self.start : self.end])


class EmbeddingTower(nn.Module):
    """A free vector per drug of the training library: no chemistry, so an unknown drug (code 0) gets zeros.

    Args:
        capacity: largest code.
        out_channels: O.
        dropout: in [0, 1).

    Shapes:
        ``drug`` (B, N, W), which is not read; ``vector`` (B, L) of :class:`~.pair_layout.PairLayout`, whose drug code
        is rounded and held in 0 .. capacity -> (B, O).
    """

    def __init__(self, capacity: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.capacity = capacity
        self.place = DRUG_CODE
        self.embedding = nn.Embedding(capacity + 1, out_channels, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw from N(0, 0.3^2); the unknown drug stays at 0."""
        nn.init.normal_(self.embedding.weight, std=0.3)
        with torch.no_grad():
            self.embedding.weight[0] = 0

    def forward(self, drug: Tensor, vector: Tensor) -> Tensor:
        """See the class."""
        code = vector[:, self.place].round().clamp(0, self.capacity).long()
        return self.dropout(self.embedding(code))
