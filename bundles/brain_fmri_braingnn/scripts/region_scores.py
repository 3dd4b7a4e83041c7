"""What the first pooling layer thinks of each region: scores by class, kept regions, and how stable they are."""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

__all__ = [
    "Scores",
    "agreement",
    "class_effect",
    "class_scores",
    "jaccard",
    "overlaps",
    "planted_auc",
    "region_table",
    "scores_of",
    "top_regions",
]


class Scores(NamedTuple):
    """Decisions of the first pooling layer.

    Attributes:
        values: (M, S, N) standardised score of region n in subject s by member m, NaN where it is missing.
        kept: (M, S, N) whether the layer kept it.
        labels: (S,) class.
    """

    values: NDArray[np.floating]
    kept: NDArray[np.bool_]
    labels: NDArray[np.integer]


@torch.no_grad()
def scores_of(network: nn.Module, images: Tensor, labels: Tensor, num_classes: int, batch_size: int = 32) -> Scores:
    """Run the network with its scores.

    Args:
        network: hands out (B, M (C + 2 N + 2)) with ``with_scores=True``; in evaluation mode.
        images: (S, channels, N, N).
        labels: (S,) class index, every case labelled.
        num_classes: C.
        batch_size: subjects at a time.

    Raises:
        ValueError: when a case has no label, or the output does not divide into members.
    """
    if bool((labels < 0).any()):
        raise ValueError(f"scores_of: {int((labels < 0).sum())} cases have no label; interpret a labelled section.")
    regions = images.shape[-1]
    output = torch.cat([network(batch, with_scores=True) for batch in images.split(batch_size)]).cpu()
    width = num_classes + 2 * regions + 2
    if output.shape[1] % width:
        raise ValueError(
            f"scores_of: the network hands out {output.shape[1]} columns, expected a multiple of {width}; num_classes "
            "and the number of regions must be those of the network."
        )
    members = output.view(len(output), -1, width).transpose(0, 1)
    first, second = members[..., num_classes:-2].split(regions, dim=2)
    # the second layer has a score for what the first one kept
    return Scores(first.numpy(), ~second.isnan().numpy(), labels.cpu().numpy())


def class_scores(scores: Scores, num_classes: int) -> NDArray[np.floating]:
    """Mean score (C, N) over the subjects of a class and over members; a missing region does not count.

    Raises:
        ValueError: when a class has no subject.
    """
    means = []
    for label in range(num_classes):
        own = scores.values[:, scores.labels == label].reshape(-1, scores.values.shape[2])
        if not len(own):
            raise ValueError(f"class_scores: class {label} has no subject in this section; take a section with all.")
        count = np.isfinite(own).sum(0)
        means.append(np.where(count > 0, np.nansum(own, 0) / np.maximum(count, 1), np.nan))
    return np.stack(means)


def class_effect(scores: Scores, num_classes: int) -> NDArray[np.floating]:
    """How differently the last and the first class score each region, (N,), >= 0; NaN where a class lacks the region.

    Cohen's d of the score (difference of the means over the standard deviation within classes), and over members the
    root mean square: which sign a score has is an accident of each member's projection vector, and a mean of signed
    differences would cancel.
    """
    first, last = (scores.values[:, scores.labels == label] for label in (0, num_classes - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a region that is missing in all subjects of a class
        variance = (np.nanvar(first, 1) + np.nanvar(last, 1)) / 2
        difference = np.nanmean(last, 1) - np.nanmean(first, 1)  # (M, N)
        effect = np.divide(difference, variance**0.5, out=np.full_like(difference, np.nan), where=variance > 0)
        return np.sqrt(np.nanmean(effect**2, 0))


def region_table(scores: Scores, places: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """One row a region, in the order of the atlas.

    Returns:
        Columns code, name, lobe, ``score_<class>``, effect (:func:`class_effect`), share_kept (of the subjects
        that have the region) and rank (1: highest score averaged over classes).
    """
    by_class = class_scores(scores, len(class_names))
    present = np.isfinite(scores.values)
    table = places[["code", "name", "lobe"]].reset_index(drop=True)
    for name, values in zip(class_names, by_class, strict=True):
        table[f"score_{name}"] = values
    table["effect"] = class_effect(scores, len(class_names))
    table["share_kept"] = (scores.kept & present).sum((0, 1)) / np.maximum(present.sum((0, 1)), 1)
    table["rank"] = pd.Series(by_class.mean(0)).rank(ascending=False, method="first", na_option="bottom").astype(int)
    return table


def top_regions(values: NDArray[np.floating], share: float = 0.25) -> NDArray[np.bool_]:
    """Mark the given share of the regions, those with the highest value (..., N); missing ones come last."""
    count = int(values.shape[-1] * share)
    index = np.argsort(-np.where(np.isnan(values), -np.inf, values), axis=-1, kind="stable")[..., :count]
    chosen = np.zeros(values.shape, bool)
    np.put_along_axis(chosen, index, True, axis=-1)
    return chosen & ~np.isnan(values)


def jaccard(sets: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Size of intersection over size of union of every pair of sets (S, N) -> (S, S); 1 for two empty sets."""
    numbers = sets.astype(float)
    both = numbers @ numbers.T
    union = numbers.sum(1)[:, None] + numbers.sum(1) - both
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


def overlaps(sets: NDArray[np.bool_], labels: NDArray[np.integer]) -> dict[str, float]:
    """Mean Jaccard over pairs of subjects.

    Args:
        sets: (M, S, N) regions chosen in each subject by each member; members are averaged.
        labels: (S,).

    Returns:
        ``within`` classes, ``between`` classes, and what ``chance`` gives to sets of this size.
    """
    same = labels[:, None] == labels
    pairs = ~np.eye(len(labels), dtype=bool)
    values = np.mean([jaccard(member) for member in sets], axis=0)
    p = float(sets.mean())
    figures = {"within": values[same & pairs], "between": values[~same]}
    return {name: float(v.mean()) if v.size else float("nan") for name, v in figures.items()} | {"chance": p / (2 - p)}


def agreement(sets: Sequence[NDArray[np.bool_]]) -> float:
    """Mean Jaccard over pairs of sets (N,), as of members or folds; NaN for a single set."""
    found = [jaccard(np.stack(pair))[0, 1] for pair in combinations(sets, 2)]
    return float(np.mean(found)) if found else float("nan")


def planted_auc(values: NDArray[np.floating], planted: NDArray[np.bool_]) -> float:
    """AUC (area under the ROC curve) with which values (N,) rank the planted regions (N,) above the others.

    Raises:
        ValueError: when no region or every region is planted.
    """
    if planted.all() or not planted.any():
        raise ValueError(f"planted_auc: {int(planted.sum())} of {planted.size} regions are planted; both kinds needed.")
    return float(roc_auc_score(planted, np.where(np.isnan(values), np.nanmin(values), values)))
