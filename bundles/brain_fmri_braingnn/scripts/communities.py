"""Communities that a region-aware convolution has learnt: membership, and whether runs agree on them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["align", "aligned_mean", "community_order", "community_table", "memberships", "stability"]


def memberships(strength: NDArray[np.floating]) -> NDArray[np.bool_]:
    r"""Regions that belong to each community.

    .. math:: \alpha^+_{iu} > \mathrm{mean}(\alpha^+_{i\cdot}) + \mathrm{std}(\alpha^+_{i\cdot})

    with mean and standard deviation (of the population) over the communities of a region, so a region may belong to
    none or to several.

    Args:
        strength: relu(alpha), (N, K).

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), section 2.5.1.
    """
    return strength > strength.mean(1, keepdims=True) + strength.std(1, keepdims=True)


def correlations(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    """Correlation over regions of every community of one run with every one of another, (K, K); 0 where constant."""
    a, b = (values - values.mean(0) for values in (first, second))
    norms = np.linalg.norm(a, axis=0)[:, None] * np.linalg.norm(b, axis=0)
    return np.divide(a.T @ b, norms, out=np.zeros_like(norms), where=norms > 0)


def align(reference: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.integer]:
    """Order of the communities of `other` that fits those of `reference` best: the number of a community is arbitrary.

    Args:
        reference: relu(alpha) of one run, (N, K).
        other: of another run, (N, K).

    Returns:
        (K,) such that ``other[:, order]`` has the largest sum of correlations with `reference` (Hungarian method).
    """
    if reference.shape != other.shape:
        raise ValueError(f"align: runs have shapes {reference.shape} and {other.shape}; take equal regions and K.")
    return linear_sum_assignment(correlations(reference, other), maximize=True)[1]


def aligned_mean(runs: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Mean over runs of relu(alpha), (N, K), each aligned to the first and scaled to a mean of 1."""
    scaled = [run / max(run.mean(), 1e-12) for run in runs]
    return np.mean([run[:, align(scaled[0], run)] for run in scaled], axis=0)


def stability(runs: Sequence[NDArray[np.floating]], num_shuffles: int = 20, seed: int = 0) -> dict[str, float]:
    """Mean correlation of aligned communities over pairs of runs.

    Args:
        runs: relu(alpha) of members or folds, each (N, K).
        num_shuffles: how often the regions of one run of a pair are shuffled to see what alignment gives by chance.
        seed: of the shuffles.

    Returns:
        ``correlation`` and ``chance``, NaN for a single run.
    """
    rng = np.random.default_rng(seed)
    found, chance = [], []
    for a, b in combinations(runs, 2):
        found.append(_matched(a, b))
        chance += [_matched(a, rng.permutation(b)) for _ in range(num_shuffles)]
    return {name: float(np.mean(v)) if v else float("nan") for name, v in (("correlation", found), ("chance", chance))}


def community_order(strength: NDArray[np.floating]) -> NDArray[np.integer]:
    """Order (N,) of the regions by strongest community, in it by strength from high to low."""
    return np.lexsort((-strength.max(1), strength.argmax(1)))


def community_table(strength: NDArray[np.floating], places: pd.DataFrame) -> pd.DataFrame:
    """One row a region: strength in each community, the strongest one, and those it is a member of."""
    table = places[["code", "name", "lobe"]].reset_index(drop=True)
    for k, values in enumerate(strength.T, 1):
        table[f"community_{k}"] = values
    table["strongest"] = strength.argmax(1) + 1
    table["member_of"] = [" ".join(str(k + 1) for k in np.flatnonzero(row)) for row in memberships(strength)]
    return table


def _matched(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(correlations(a, b[:, align(a, b)]).diagonal().mean())
