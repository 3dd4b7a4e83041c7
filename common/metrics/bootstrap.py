"""Percentile bootstrap over groups (patients, scans, sites)."""

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["bootstrap_intervals"]


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
