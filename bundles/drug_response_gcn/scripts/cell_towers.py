"""Cell towers by name."""

from collections.abc import Sequence

from torch import nn

from .attention_tower import OmicsAttention
from .gene_tower import GeneTower
from .omics_mlp import OmicsMLP

__all__ = ["CELL_ENCODERS", "build_cell_tower"]

CELL_ENCODERS = ("mlp", "attention", "gene_graph")


def build_cell_tower(
    encoder: str,
    parts: Sequence[int],
    hidden_channels: int,
    out_channels: int,
    dropout: float,
    num_genes: int = 0,
) -> nn.Module:
    """Make the network that maps fitted features (B, K) of cells to (B, out_channels).

    Args:
        encoder: ``mlp`` (:class:`~.omics_mlp.OmicsMLP`), ``attention`` (:class:`~.attention_tower.OmicsAttention`) or
            ``gene_graph`` (:class:`~.gene_tower.GeneTower`, whose graph ``set_graph`` gives).
        parts: features of each part of a cell, :attr:`~.omics_features.OmicsFeatures.parts`, with sum K.
        hidden_channels: width of the hidden layers; of a token in ``attention``.
        out_channels: O.
        dropout: probability.
        num_genes: genes in the last part, for ``gene_graph``; 0: none.

    Raises:
        ValueError: for an encoder that does not exist, or genes that do not fit.
    """
    if encoder not in CELL_ENCODERS:
        raise ValueError(f"build_cell_tower: encoder is {encoder!r}, choose one of {', '.join(CELL_ENCODERS)}.")
    if num_genes and num_genes != parts[-1]:
        raise ValueError(
            f"build_cell_tower: num_genes is {num_genes} and the last of the parts {list(parts)} holds {parts[-1]}; "
            "take both from the same OmicsFeatures."
        )
    if encoder == "gene_graph":
        return GeneTower(sum(parts) - num_genes, num_genes, hidden_channels, out_channels, dropout)
    if encoder == "attention":
        return OmicsAttention(parts, hidden_channels, out_channels, dropout)
    return OmicsMLP(sum(parts), hidden_channels, out_channels, dropout)
