"""What a trained BrainGNN attends to, computed; :mod:`~.interpretation` writes it down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from .communities import aligned_mean, community_table, stability
from .edge_importance import METHODS, edge_effect, importance
from .edge_table import edge_table
from .held_network import can_be_held
from .network import BrainGNN
from .region_scores import (
    Scores,
    agreement,
    class_scores,
    overlaps,
    planted_auc,
    region_table,
    scores_of,
    top_regions,
)

__all__ = ["Findings", "find"]

MAIN = "integrated_gradients"


@dataclass(frozen=True)
class Findings:
    """Results of an interpretation.

    Args:
        places: region table.
        class_names: C names.
        labels: class of each subject, (S,).
        by_class: mean score, (C, N).
        strength: relu(alpha) of the first convolution, mean of the aligned networks, (N, K).
        regions: one row a region.
        communities: one row a region.
        edges: one row an edge; empty where edges cannot be explained.
        numbers: figures by name.
        num_networks: M.
    """

    places: pd.DataFrame
    class_names: Sequence[str]
    labels: NDArray[np.integer]
    by_class: NDArray[np.floating]
    strength: NDArray[np.floating]
    regions: pd.DataFrame
    communities: pd.DataFrame
    edges: pd.DataFrame
    numbers: dict[str, Any]
    num_networks: int


def find(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    places: pd.DataFrame,
    class_names: Sequence[str],
    planted: NDArray[np.bool_] | None = None,
    num_steps: int = 16,
    num_edges: int = 20,
) -> Findings:
    """Compute everything.

    Args:
        network: contains :class:`~.network.BrainGNN`; in evaluation mode.
        images: (S, channels, N, N).
        labels: (S,), of every class.
        places: region table.
        class_names: C names.
        planted: which regions differ in truth, (N,).
        num_steps: of integrated gradients.
        num_edges: rows of the table of edges.
    """
    scores = scores_of(network, images, labels, len(class_names))
    strengths = _strengths(network)
    by_class, strength = class_scores(scores, len(class_names)), aligned_mean(strengths)
    regions = region_table(scores, places, class_names)
    maps, edge_numbers = _edge_maps(network, images, len(class_names) - 1, num_steps)
    edges = edge_table(maps, images, scores.labels, places, class_names, num_edges) if maps else pd.DataFrame()
    numbers = _stabilities(scores, class_names) | {"communities over networks": stability(strengths)} | edge_numbers
    if planted is not None:
        numbers["planted-region AUC"] = _recovery(by_class, regions["effect"].to_numpy(), maps, planted)
    return Findings(
        *(places, class_names, scores.labels, by_class, strength, regions),
        *(community_table(strength, places), edges, numbers, len(strengths)),
    )


def _strengths(network: nn.Module) -> list[NDArray[np.floating]]:
    found = [m.conv1.alpha.detach().relu().cpu().numpy() for m in network.modules() if isinstance(m, BrainGNN)]
    if not found:
        raise ValueError(f"find: {type(network).__name__} contains no BrainGNN; nothing to interpret.")
    return found


def _edge_maps(
    network: nn.Module, images: Tensor, target: int, num_steps: int
) -> tuple[dict[str, NDArray[np.floating]], dict[str, float]]:
    """Importance (S, N, N) by method; nothing where a subject has several graphs or the network takes no edges."""
    members = [module for module in network.modules() if isinstance(module, BrainGNN)]
    if images.shape[1] != 2 or not all(member.edges for member in members):
        return {}, {}
    methods = [name for name in METHODS if name != MAIN or all(can_be_held(member) for member in members)]
    steps = {MAIN: {"num_steps": num_steps}}
    maps = {name: importance(network, images, name, target, **steps.get(name, {})) for name in methods}
    if MAIN not in maps:
        return maps, {}
    effect = edge_effect(network, images, target)
    error = np.abs(maps[MAIN].sum((1, 2)) / 2 - effect).max()
    return maps, {
        "edges change the margin by (mean size)": float(np.abs(effect).mean()),
        "completeness error": float(error),
    }


def _stabilities(scores: Scores, class_names: Sequence[str]) -> dict[str, Any]:
    """Jaccard of kept regions and of the top quarter over subjects, and of each class's top quarter over networks."""
    numbers: dict[str, Any] = {
        "Jaccard of kept regions over subjects": overlaps(scores.kept, scores.labels),
        "Jaccard of the top quarter over subjects": overlaps(top_regions(scores.values), scores.labels),
    }
    single = [class_scores(scores._replace(values=values[None]), len(class_names)) for values in scores.values]
    tops = top_regions(np.stack(single))  # (M, C, N)
    p = float(tops.mean())
    over = {name: agreement(list(tops[:, k])) for k, name in enumerate(class_names)}
    between = agreement(list(top_regions(class_scores(scores, len(class_names)))))
    numbers["Jaccard of the top quarter over networks"] = over | {"chance": p / (2 - p)}
    numbers["Jaccard of the top quarter between classes"] = {"mean": between, "chance": p / (2 - p)}
    return numbers


def _recovery(
    by_class: NDArray[np.floating],
    effect: NDArray[np.floating],
    maps: dict[str, NDArray[np.floating]],
    planted: NDArray[np.bool_],
) -> dict[str, float]:
    """AUC of each way to rank regions; the first two are by pooling scores."""
    ways = {"effect of class on the score": effect, "mean score": by_class.mean(0)}
    ways |= {name.replace("_", " "): np.abs(values).mean(0).sum(0) for name, values in maps.items()}
    return {name: planted_auc(values, planted) for name, values in ways.items()}
