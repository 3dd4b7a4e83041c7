"""Percentile bootstrap over groups (patients, scans, sites)."""

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["bootstrap_intervals", "bootstrap_means"]


def bootstrap_intervals(
    statistic: Callable[[np.ndarray], dict[str, float]],
    groups: Sequence,
    num_samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Point estimate and percentile interval of several statistics, resampling whole groups.

    Cases of one patient are not independent; drawing groups keeps them together (cluster bootstrap). A resample in
    which a statistic is undefined (NaN: one class only) is left out for that statistic.

    Args:
        statistic: maps an index array (N',) into the cases to named values.
        groups: group of each case, length N.
        num_samples: bootstrap resamples.
        level: coverage of the interval.
        seed: seed of the resampling.

    Returns:
        ``{name: {"value", "low", "high", "n"}}``; ``n`` is the number of cases.

    Reference:
        Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    value = statistic(np.arange(len(codes)))
    generator = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in value}
    for _ in range(num_samples):
        picked = generator.integers(len(members), size=len(members))
        for name, number in statistic(np.concatenate([members[k] for k in picked])).items():
            if not np.isnan(number):
                draws[name].append(number)
    tail = 100 * (1 - level) / 2
    result = {}
    for name, numbers in draws.items():
        low, high = np.percentile(numbers, [tail, 100 - tail]) if numbers else (np.nan, np.nan)
        result[name] = {"value": float(value[name]), "low": float(low), "high": float(high), "n": len(codes)}
    return result


def bootstrap_means(
    values: np.ndarray, groups: Sequence, num_samples: int = 1000, level: float = 0.95, seed: int = 0
) -> np.ndarray:
    """Means of columns with percentile intervals, resampling whole groups: a fast form of :func:`bootstrap_intervals`.

    A mean needs only the sum and the number of each group, so that all resamples are one matrix product.

    Args:
        values: one row a case and one column a figure (N, M); NaN is left out of its column.
        groups: group of each case, length N.
        num_samples: bootstrap resamples.
        level: coverage of the interval.
        seed: seed of the resampling.

    Returns:
        Mean, low, high and number of values of each column (M, 4); NaN means where a column has no value.
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    finite = np.isfinite(values)
    sums, counts = np.zeros((2, len(names), values.shape[1]))  # (G, M) each
    np.add.at(sums, codes, np.where(finite, values, 0))
    np.add.at(counts, codes, finite)
    picked = np.random.default_rng(seed).integers(len(names), size=(num_samples, len(names)))
    weights = np.apply_along_axis(np.bincount, 1, picked, minlength=len(names)).astype(float)  # (S, G)
    tail = 100 * (1 - level) / 2
    result = np.full((values.shape[1], 4), np.nan)
    result[:, 3] = number = counts.sum(axis=0)
    drawn = weights @ counts
    means = np.divide(weights @ sums, drawn, out=np.full_like(drawn, np.nan), where=drawn > 0)
    filled = number > 0
    result[filled, 0] = sums.sum(axis=0)[filled] / number[filled]
    if filled.any():
        result[filled, 1:3] = np.nanpercentile(means[:, filled], [tail, 100 - tail], axis=0).T
    return result
