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
    rows, labels, names = _table(training)
    features = network.features.fit(rows[:, _LEAD:], labels, seed)
    vectors = torch.cat([rows[:, :_LEAD], features], dim=1)
    network.training_vectors = dict(zip(names, vectors, strict=True))
    network.population.fit(vectors)
    if others is not None:
        more = [case for case in range(len(others)) if others[case]["id"] not in network.training_vectors]  # type: ignore[arg-type]
        if more:
            rows = torch.stack([torch.as_tensor(others[case]["image"]) for case in more])
            network.population.set_nodes(torch.cat([vectors, subject_vectors(network, rows)]))
    logging.getLogger("population").info(
        f"{int(network.population.count)} nodes, {network.num_features} features fitted on {len(vectors)} training subjects"
    )
    return network


def _table(dataset: Any) -> tuple[Tensor, Sequence[int], Sequence[str]]:
    items = [dataset[case] for case in range(len(dataset))]
    rows = torch.stack([torch.as_tensor(item["image"]) for item in items])
    return rows, [int(item["label"]) for item in items], [item["id"] for item in items]
