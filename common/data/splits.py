"""Seeded splits that keep groups (patients, scans, sites) whole and the mix of classes even."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

__all__ = ["combined_strata", "grouped_folds", "split_by_group"]

_MAX_FOLDS = 20


def grouped_folds(labels: Sequence[int], groups: Sequence[Hashable], num_folds: int, seed: int = 0) -> list[np.ndarray]:
    """Cut cases into folds of similar size and mix of classes; a group is never cut.

    Args:
        labels: class or stratum of each case, length N.
        groups: group of each case, length N.
        num_folds: number of folds, 2 or more; as many as groups hold out each group once, in order of first appearance.
        seed: which of the possible cuts.

    Returns:
        Sorted indices of the held-out cases of each fold; together they are 0 .. N - 1.

    Raises:
        ValueError: lengths differ, or there are fewer groups than folds.
    """
    y, codes = _encode(labels, groups, "grouped_folds")
    found = len(np.unique(codes))
    if not 2 <= num_folds <= found:
        raise ValueError(
            f"grouped_folds: num_folds is {num_folds}, and {found} groups allow 2 to {found} folds; "
            "take fewer folds or finer groups."
        )
    if num_folds == found:
        return [np.flatnonzero(codes == code) for code in range(found)]
    return _folds(y, codes, num_folds, seed)


def combined_strata(
    labels: Sequence[int], groups: Sequence[Hashable], entries: Sequence[Sequence[Hashable]], minimum: int
) -> list[int]:
    """Strata of class and further entries (site), fine only where there are enough groups to share out.

    A combination with fewer than ``minimum`` groups cannot reach every fold; such rare ones are joined within their
    class, and where even together they are too few, with the smallest of the others.

    Args:
        labels: class of each case, length N.
        groups: group of each case, length N.
        entries: further entries, each with one value a case; none gives the classes themselves.
        minimum: groups that a stratum needs, usually the number of folds.

    Returns:
        Code of the stratum of each case, for `labels` of :func:`grouped_folds` and :func:`split_by_group`.
    """
    keys = list(zip(labels, *entries, strict=True))
    sizes = Counter(key for key, _ in dict.fromkeys(zip(keys, groups, strict=True)))
    stratum: dict[tuple, tuple] = {}
    for label in dict.fromkeys(labels):
        own = sorted((key for key in sizes if key[0] == label), key=lambda key: sizes[key])
        rare = [key for key in own if sizes[key] < minimum]
        if rare and sum(sizes[key] for key in rare) < minimum:
            rare = own[: len(rare) + 1]
        stratum |= {key: (label, "rare") if key in rare else key for key in own}
    codes = {name: k for k, name in enumerate(dict.fromkeys(stratum[key] for key in keys))}
    return [codes[stratum[key]] for key in keys]


def split_by_group(
    labels: Sequence[int], groups: Sequence[Hashable], fractions: Sequence[float], seed: int = 0
) -> list[np.ndarray]:
    """Cut cases into parts of given sizes with a similar mix of classes; a group is never cut.

    Each part but the largest is taken in turn as m of k folds of `StratifiedGroupKFold`, with m / k nearest to its
    share of what is left.

    Args:
        labels: class or stratum of each case, length N.
        groups: group of each case, length N.
        fractions: size of each part; they sum to 1 and a 0 gives an empty part.
        seed: which of the possible cuts.

    Returns:
        Sorted indices of each part; together they are 0 .. N - 1.

    Raises:
        ValueError: lengths differ, fractions do not sum to 1, or a class has fewer groups than there are parts.
    """
    y, codes = _encode(labels, groups, "split_by_group")
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"split_by_group: fractions are {list(fractions)}; they must be >= 0 and sum to 1.")
    wanted = sum(fraction > 0 for fraction in fractions)
    _check_groups(y, codes, wanted)
    parts: list[np.ndarray] = [np.empty(0, dtype=np.int64) for _ in fractions]
    left: np.ndarray = np.arange(len(y))
    share = 1.0
    order = sorted((k for k in range(len(fractions)) if fractions[k] > 0), key=lambda k: fractions[k])
    for k in order[:-1]:
        # Keep at least one group of every class for each part that is still to come.
        most = _fewest_groups(y[left], codes[left])
        taken, folds = _nearest_ratio(fractions[k] / share, min(most, _MAX_FOLDS))
        chosen = np.concatenate(_folds(y[left], codes[left], folds, seed)[:taken])
        parts[k] = np.sort(left[chosen])
        left, share = np.setdiff1d(left, parts[k]), share - fractions[k]
    parts[order[-1]] = left
    return parts


def _encode(labels: Sequence[int], groups: Sequence[Hashable], name: str) -> tuple[np.ndarray, np.ndarray]:
    if len(labels) != len(groups) or len(labels) == 0:
        raise ValueError(f"{name}: there are {len(labels)} labels and {len(groups)} groups; give one of each per case.")
    codes = {group: k for k, group in enumerate(dict.fromkeys(groups))}
    return np.asarray(labels), np.array([codes[group] for group in groups])


def _check_groups(y: np.ndarray, codes: np.ndarray, parts: int) -> None:
    for label in np.unique(y):
        count = len(np.unique(codes[y == label]))
        if count < parts:
            raise ValueError(
                f"split_by_group: class {label} has {count} group(s), and {parts} parts need at least one each; "
                "add cases, set a fraction to 0, or assign sections by hand."
            )


def _fewest_groups(y: np.ndarray, codes: np.ndarray) -> int:
    return min(len(np.unique(codes[y == label])) for label in np.unique(y))


def _nearest_ratio(fraction: float, most: int) -> tuple[int, int]:
    ratios = [(taken, folds) for folds in range(2, max(most, 2) + 1) for taken in range(1, folds)]
    return min(ratios, key=lambda ratio: (round(abs(ratio[0] / ratio[1] - fraction), 9), ratio[1]))


def _folds(y: np.ndarray, codes: np.ndarray, num_folds: int, seed: int) -> list[np.ndarray]:
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    return [held_out for _, held_out in splitter.split(np.zeros(len(y)), y, codes)]
