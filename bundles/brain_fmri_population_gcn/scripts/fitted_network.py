"""What is fitted before training: features, and the population."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .components import subject_vectors
from .network import PopulationGCN
from .phenotype import PHENOTYPE

__all__ = ["fit_population"]

_LEAD = len(PHENOTYPE)


def fit_population(
    network: PopulationGCN, training: Dataset, others: Dataset | None = None, seed: int = 0
) -> PopulationGCN:
    """Fit features and mean distance on the training subjects, and make the nodes, in place.

    Args:
        network: with initial weights.
        training: preprocessed training cases with ``image`` (3 + E,), ``label`` and ``id``.
        others: cases that are nodes too, without their labels (mode transductive); None: training subjects alone.
        seed: of the fit.

    Returns:
        The same network.

    Raises:
        ValueError: too few training subjects, or more nodes than ``capacity``.
    """
    items = _items(training)
    rows = _rows(items)
    features = network.features.fit(rows[:, _LEAD:], [int(item["label"]) for item in items], seed)
    vectors = torch.cat([rows[:, :_LEAD], features], dim=1)
    network.training_vectors = {item["id"]: vector for item, vector in zip(items, vectors, strict=True)}
    network.population.fit(vectors)
    if others is not None:
        more = [item for item in _items(others) if item["id"] not in network.training_vectors]
        if more:
            network.population.set_nodes(torch.cat([vectors, subject_vectors(network, _rows(more))]))
    logging.getLogger("population").info(
        f"{int(network.population.count)} nodes, {network.num_features} features fitted on {len(vectors)} training subjects"
    )
    return network


def _items(dataset: Any) -> list[dict[str, Any]]:
    """Items of a dataset, each read once."""
    return [dataset[case] for case in range(len(dataset))]


def _rows(items: Sequence[dict[str, Any]]) -> Tensor:
    return torch.stack([torch.as_tensor(item["image"]) for item in items])
