"""Permutation test of the area under the curve of given scores."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import rankdata

__all__ = ["permutation_test"]


def permutation_test(
    probabilities: np.ndarray,
    labels: Sequence[int],
    strata: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
    num_permutations: int = 1000,
    seed: int = 0,
) -> float:
    """One-sided p value of the AUROC of out-of-fold scores: labels are permuted, scores stay.

    scikit-learn's ``permutation_test_score`` fits the model again for each permutation, which hours of training
    forbid; this tests whether the scores that there are depend on the labels. Labels move within strata only, so that
    a difference of prevalence between sites does not count as skill. A group moves as one, with groups of its size.

    Args:
        probabilities: (N, C), or (R, N, C) of R repeats whose AUROCs (macro one-versus-rest for C > 2) are averaged.
        labels: class of each case, length N.
        strata: stratum (site) of each case; None is one stratum.
        groups: group (patient) of each case; None is every case by itself.
        num_permutations: number of permutations P.
        seed: seed of the permutations.

    Returns:
        ``(1 + number of permutations with an AUROC as large) / (1 + P)``; NaN when a class is absent.

    Raises:
        ValueError: lengths disagree.

    Reference:
        Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 2010, 9(1):39; Ojala and Garriga, JMLR 2010, 11:1833-1863.
    """
    scores = np.atleast_3d(np.asarray(probabilities, dtype=float).reshape(-1, *np.shape(probabilities)[-2:]))
    y = np.asarray(labels)
    count, num_classes = scores.shape[1:]
    strata = [0] * count if strata is None else strata
    groups = range(count) if groups is None else groups
    if not count == len(y) == len(strata) == len(groups):
        raise ValueError(
            f"permutation_test: {count} rows of probabilities, {len(y)} labels, {len(strata)} strata and {len(groups)}"
            " groups; give one of each per case."
        )
    sizes = np.bincount(y, minlength=num_classes)
    if not sizes.all():
        return float("nan")
    # The AUROC is linear in the ranks: mean over repeats first, then one sum per permutation.
    ranks = rankdata(scores, axis=1).mean(axis=0) / (sizes * (count - sizes))  # (N, C)
    units, classes, blocks = _units(ranks, y, strata, groups)
    generator = np.random.default_rng(seed)
    observed = _statistic(units, classes)
    reached = 0
    for _ in range(num_permutations):
        permuted = classes.copy()
        for block in blocks:
            permuted[block] = generator.permutation(classes[block])
        reached += _statistic(units, permuted) >= observed - 1e-12
    return float((1 + reached) / (1 + num_permutations))


def _units(
    ranks: np.ndarray, labels: np.ndarray, strata: Sequence[Hashable], groups: Sequence[Hashable]
) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Summed ranks (U, C) and class (U,) of the cases of one group and class, and the units that change places."""
    members: dict[tuple, list[int]] = {}
    for k, key in enumerate(zip(strata, groups, labels.tolist(), strict=True)):
        members.setdefault(key, []).append(k)
    blocks: dict[tuple, list[int]] = {}
    for unit, (key, cases) in enumerate(members.items()):
        blocks.setdefault((key[0], len(cases)), []).append(unit)
    sums = np.stack([ranks[cases].sum(axis=0) for cases in members.values()])
    return sums, np.array([key[2] for key in members]), list(blocks.values())


def _statistic(units: np.ndarray, classes: np.ndarray) -> float:
    return float(units[np.arange(len(classes)), classes].sum())
