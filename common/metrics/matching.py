"""Pairs of cases of both classes that agree in a nuisance variable."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["matched_pairs"]


def matched_pairs(
    labels: Sequence[int],
    values: Sequence[float],
    strata: Sequence[Hashable] | None = None,
    caliper: float | None = None,
) -> np.ndarray:
    """Match cases of class 0 and class 1 one to one within strata by the nearest value (motion within site).

    In each stratum as many pairs as the caliper allows are formed, with the least sum of differences (optimal, not
    greedy, so the order of the cases does not matter).

    Args:
        labels: 0 or 1 of each case, length N.
        values: number to match on, NaN where unknown: such a case is left out.
        strata: stratum of each case; None is one stratum.
        caliper: largest difference within a pair; None is 0.2 standard deviations of the values.

    Returns:
        Indices (P, 2) of the pairs, class 0 first, sorted by stratum.

    Raises:
        ValueError: lengths disagree, or a label is neither 0 nor 1.

    Reference:
        Austin, Pharmaceutical Statistics 2011, 10:150-161 (width of the caliper); Rosenbaum, JASA 1989, 84:1024-1032.
    """
    y, x = np.asarray(labels), np.asarray(values, dtype=float)
    strata = [0] * len(y) if strata is None else strata
    if not len(y) == len(x) == len(strata) or not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"matched_pairs: {len(y)} labels {np.unique(y).tolist()}, {len(x)} values and {len(strata)} strata; give one"
            " of each per case, labels 0 or 1."
        )
    width = 0.2 * float(np.nanstd(x)) if caliper is None else caliper
    pairs = []
    for stratum in dict.fromkeys(strata):
        known = np.array([name == stratum for name in strata]) & np.isfinite(x)
        pairs.append(_nearest(np.flatnonzero(known & (y == 0)), np.flatnonzero(known & (y == 1)), x, width))
    return np.concatenate(pairs)


def _nearest(first: np.ndarray, second: np.ndarray, values: np.ndarray, width: float) -> np.ndarray:
    distance = np.abs(values[first][:, None] - values[second][None])  # (n0, n1)
    outside = 1 + distance.sum()  # costs more than all pairs together: inside pairs come first
    rows, columns = linear_sum_assignment(np.where(distance <= width, distance, outside))
    kept = distance[rows, columns] <= width
    return np.stack([first[rows[kept]], second[columns[kept]]], axis=1)
