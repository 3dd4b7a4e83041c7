"""Drug towers by name."""

import torch
from torch import Tensor, nn

from .distance_tower import DistanceTower
from .graph_tower import GRAPH_ENCODERS, GraphTower
from .molecule_graph import ATOM_FEATURES, BOND_CODES
from .pair_layout import PairLayout
from .vector_towers import EmbeddingTower, FingerprintTower

__all__ = ["DRUG_ENCODERS", "JoinedTowers", "build_drug_tower"]

DRUG_ENCODERS = (*GRAPH_ENCODERS, "distance", "gine_distance", "fingerprint", "embedding")


class JoinedTowers(nn.Module):
    """Outputs of towers side by side.

    Shapes:
        ``drug`` (B, N, W), ``vector`` (B, L) -> (B, sum of the towers' channels).
    """

    def __init__(self, *towers: nn.Module) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)

    def forward(self, drug: Tensor, vector: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([tower(drug, vector) for tower in self.towers], 1)


def build_drug_tower(
    encoder: str,
    layout: PairLayout,
    hidden_channels: int,
    num_layers: int,
    out_channels: int,
    dropout: float,
    capacity: int,
) -> nn.Module:
    """Tower of a drug; a drug's output never depends on the other drugs of a batch.

    Args:
        encoder: ``gine``, ``gin``, ``gcn``, ``gat``, ``gat_transformer`` (:class:`~.graph_tower.GraphTower`, which also
            has ``forward_packed``), ``distance`` (3-D, :class:`~.distance_tower.DistanceTower`), ``gine_distance`` (both,
            half of the channels each), ``fingerprint`` or ``embedding``.
        layout: of the image; ``conformer`` for the 3-D towers, ``fingerprint_bits`` for ``fingerprint``.
        hidden_channels: width of the hidden layers.
        num_layers: convolutions; not read by ``fingerprint`` and ``embedding``.
        out_channels: O.
        dropout: in [0, 1).
        capacity: most drugs of a library, for ``embedding``.

    Returns:
        Module of ``drug`` (B, N, W) and ``vector`` (B, L) -> (B, O).

    Raises:
        ValueError: for an unknown ``encoder``, or a layout that lacks what it reads.
    """
    if encoder not in DRUG_ENCODERS:
        raise ValueError(f"build_drug_tower: encoder is {encoder!r}, choose one of {list(DRUG_ENCODERS)}.")
    if encoder == "embedding":
        return EmbeddingTower(capacity, out_channels, dropout)
    if encoder == "fingerprint":
        return FingerprintTower(layout.fingerprint_bits, hidden_channels, out_channels, dropout)
    if encoder in GRAPH_ENCODERS:
        return GraphTower(encoder, ATOM_FEATURES, BOND_CODES, hidden_channels, num_layers, out_channels, dropout)
    if not layout.conformer:
        raise ValueError(
            f"build_drug_tower: encoder is {encoder!r}, which reads distances; set conformer of PairLayout."
        )
    if encoder == "distance":
        return DistanceTower(ATOM_FEATURES, hidden_channels, num_layers, out_channels, dropout)
    half = out_channels // 2
    return JoinedTowers(
        GraphTower("gine", ATOM_FEATURES, BOND_CODES, hidden_channels, num_layers, out_channels - half, dropout),
        DistanceTower(ATOM_FEATURES, hidden_channels, num_layers, half, dropout),
    )
