"""What is fitted before training: features of cells, known effects, and the library of drugs."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bipartite_network import BipartiteNetwork
from .drug_library import DrugLibrary
from .gene_graph import coexpression_graph, interaction_graph
from .pretraining import PropertyPretraining, pretrain, property_items
from .response_network import ResponseNetwork
from .screen import Screen

__all__ = ["fit_network"]


def fit_network(
    network: ResponseNetwork,
    screen: Screen,
    library: DrugLibrary,
    pretraining_epochs: int = 0,
    seed: int = 0,
    gene_edges: str | os.PathLike | None = None,
) -> ResponseNetwork:
    """Fit omics features and effects on the training section, and set the library, in place.

    Args:
        network: with initial weights.
        screen: responses with a section ``training``.
        library: the drugs of the screen; those without a training pair stay unknown.
        pretraining_epochs: passes over the training drugs in which the drug tower learns properties that rdkit computes,
            before any response; 0 leaves it out.
        seed: of the pretraining.
        gene_edges: csv of interacting genes for the gene graph; None takes the co-expression of the training cells.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: no such file of genes.
        ValueError: no training pair, or a graph of genes that none of the genes is in.
    """
    table = screen.responses["training"]
    measured = np.isfinite(table)
    cells, drugs = np.flatnonzero(measured.any(axis=1)), np.flatnonzero(measured.any(axis=0))
    features = network.omics.fit(torch.from_numpy(screen.values[cells]), screen.sizes)
    network.known.fit(
        table[np.ix_(cells, drugs)], [library.parents[d] for d in drugs], [screen.cells[c] for c in cells]
    )
    network.set_library(library)
    if network.omics.num_genes:
        tower: Any = network.cell_tower
        tower.set_graph(_gene_graph(network, features, screen, gene_edges))
    if isinstance(network, BipartiteNetwork):
        offsets = torch.tensor([[network.known.cell_offset(screen.cells[c])] for c in cells])
        responses = torch.from_numpy(table[cells]).float()
        network.remember(torch.cat([offsets, features], dim=1), responses)
    elif pretraining_epochs:
        _pretrain(network, library, drugs, pretraining_epochs, seed)
    logging.getLogger("screen").info(
        f"{int(measured.sum())} training pairs of {len(drugs)} drugs and {len(cells)} cells;"
        f" {network.omics.num_features} features of a cell fitted on them"
    )
    return network


def _pretrain(network: ResponseNetwork, library: DrugLibrary, drugs: np.ndarray, epochs: int, seed: int) -> None:
    """Teach the drug tower the properties of the training drugs."""
    known = DrugLibrary(
        [library.names[d] for d in drugs],
        [library.parents[d] for d in drugs],
        library.rows[drugs],
        library.fingerprints[drugs],
    )
    tower: Any = network
    task = PropertyPretraining(tower.drug_tower, network.layout, tower.drug_head.in_features)
    history = pretrain(task, property_items(known, network.layout), epochs, seed=seed)
    logging.getLogger("screen").info(
        f"drug tower pretrained on properties of {len(drugs)} training drugs: error {history[-1]:.3f} (their means: 1)"
    )


def _gene_graph(network: ResponseNetwork, features: Tensor, screen: Screen, edges: str | os.PathLike | None) -> Tensor:
    """Graph (M, M) of the genes that the network takes."""
    if edges is None:
        return coexpression_graph(features[:, -network.omics.num_genes :])
    kinds = list(screen.sizes)
    first = sum(screen.sizes[kind] for kind in kinds[: kinds.index("expression")])
    return interaction_graph(Path(edges), [screen.features[first + int(k)] for k in network.omics.gene_index])
