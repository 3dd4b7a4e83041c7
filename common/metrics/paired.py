"""Paired comparison of two methods on the same cases."""

from collections.abc import Hashable, Sequence

import numpy as np

__all__ = ["sign_flip_test"]


def sign_flip_test(
    differences: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | None = None,
    num_permutations: int = 10000,
    seed: int = 0,
    max_exact: int = 16,
) -> float:
    """Two-sided p value of a mean paired difference: were the two methods alike, each sign could as well be the other.

    Pairs of one group (slices of one patient) are not independent, so that a group enters as its mean and flips as one.
    All 2^G sign patterns are counted for G <= ``max_exact`` groups, else a sample of them. The smallest possible value
    is 2 / 2^G: with 3 groups .25, with 5 groups .0625; fewer than 6 groups can never fall below .05.

    Args:
        differences: value of one method minus that of the other for each pair, length N; NaN is left out.
        groups: group (patient) of each pair; None is every pair by itself.
        num_permutations: sampled patterns P, for more than ``max_exact`` groups.
        seed: seed of the sample.
        max_exact: largest number of groups with all patterns.

    Returns:
        Share of the patterns with a mean as far from 0; ``(1 + number) / (1 + P)`` when sampled; NaN without pairs.

    Raises:
        ValueError: lengths disagree.

    Reference:
        Fisher, The Design of Experiments, 1935, section 21; Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 2010,
        9(1):39 for the sampled form.
    """
    values = np.asarray(differences, dtype=float)
    names = np.arange(len(values)) if groups is None else np.asarray(groups, dtype=str)
    if len(names) != len(values):
        raise ValueError(
            f"sign_flip_test: there are {len(values)} differences and {len(names)} groups; give one of each per pair."
        )
    kept = np.isfinite(values)
    if not kept.any():
        return float("nan")
    _, codes = np.unique(names[kept], return_inverse=True)
    means = np.bincount(codes, values[kept]) / np.bincount(codes)  # (G,)
    exact = len(means) <= max_exact
    if exact:
        signs = 1 - 2 * (np.arange(2 ** len(means))[:, None] >> np.arange(len(means)) & 1)  # (2^G, G)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(num_permutations, len(means)))
    limit = abs(means.sum()) - 1e-12 * np.abs(means).sum()
    reached = int((np.abs(signs @ means) >= limit).sum())
    return reached / len(signs) if exact else (1 + reached) / (1 + num_permutations)
