"""Graphs of genes: by co-expression in the training cells, or from a list of interactions."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

__all__ = ["coexpression_graph", "interaction_graph"]


def coexpression_graph(expression: Tensor, neighbours: int = 10) -> Tensor:
    """Connect genes whose expression rises and falls together.

    An edge stands where one of two genes is among the nearest of the other; its weight is their Pearson correlation.
    Only positive correlations count. A gene that does not vary has no edge.

    Args:
        expression: (C, M) of training cells; rows with NaN, of cells without expression, are left out.
        neighbours: nearest genes of each, at most M - 1 are taken.

    Returns:
        Adjacency (M, M), symmetric, diagonal 0, weights 0 to 1.

    Raises:
        ValueError: for fewer than one neighbour, or fewer than three cells with expression.
    """
    if neighbours < 1:
        raise ValueError(f"coexpression_graph: neighbours is {neighbours}, it must be 1 or more.")
    known = expression[expression.isfinite().all(1)].double()
    if len(known) < 3:
        raise ValueError(
            f"coexpression_graph: {len(known)} of {len(expression)} cells have expression, 3 or more are needed for a "
            "correlation."
        )
    centred = known - known.mean(0)
    norm = centred.norm(dim=0)
    scaled = torch.where(norm > 1e-9 * norm.max(), centred / norm, 0.0)
    weight = (scaled.T @ scaled).clamp(0, 1).fill_diagonal_(0)
    nearest = weight.topk(min(neighbours, len(weight) - 1), dim=1)
    kept = torch.zeros_like(weight).scatter(1, nearest.indices, nearest.values)
    return torch.maximum(kept, kept.T).float()


def interaction_graph(path: str | Path, genes: Sequence[str]) -> Tensor:
    """Connect genes by a table of interactions, for example of their proteins.

    Args:
        path: CSV file with a heading: two columns of gene symbols and, if there is a third, the weight > 0 of the edge;
            without it weights are 1. Rows with a gene that is not in ``genes``, and of a gene with itself, are left out;
            a pair that stands twice keeps the larger weight.
        genes: M different symbols.

    Returns:
        Adjacency (M, M), symmetric, diagonal 0.

    Raises:
        FileNotFoundError: without the file.
        ValueError: for fewer than two columns, weights that are not positive numbers, or no pair of ``genes``.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"interaction_graph: {path} does not exist; give a CSV file with two columns of genes.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if table.shape[1] < 2:
        raise ValueError(f"interaction_graph: {path} has {table.shape[1]} column, expected two with gene symbols.")
    first, second = (pd.Index(genes).get_indexer(table.iloc[:, column]) for column in (0, 1))
    inside = (first >= 0) & (second >= 0) & (first != second)
    if not inside.any():
        raise ValueError(
            f"interaction_graph: none of the {len(table)} pairs of {path} is of two of the {len(genes)} genes; check that "
            "both use the same kind of gene symbol."
        )
    adjacency = np.zeros((len(genes), len(genes)), dtype=np.float32)
    np.maximum.at(adjacency, (first[inside], second[inside]), _weights(table, path)[inside])
    connected = len(np.unique(np.r_[first[inside], second[inside]]))
    logging.getLogger("gene_graph").info(
        f"{inside.sum()} of {len(table)} pairs connect {connected} of {len(genes)} genes, the other pairs are left out"
    )
    return torch.from_numpy(np.maximum(adjacency, adjacency.T))


def _weights(table: pd.DataFrame, path: str | Path) -> np.ndarray:
    """Weight of each row, 1 without a third column."""
    if table.shape[1] < 3:
        return np.ones(len(table))
    weight = pd.to_numeric(table.iloc[:, 2], errors="coerce").to_numpy(dtype=float)
    bad = ~(np.isfinite(weight) & (weight > 0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"interaction_graph: row {row + 1} of {path} has the weight {table.iloc[row, 2]!r}, expected a number > 0."
        )
    return weight
