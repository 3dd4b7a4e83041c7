"""How good predicted responses are, beyond what the means of drugs and cells explain."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_PAIRS", "grouped_correlation", "response_metrics"]

MIN_PAIRS = 5  # a drug or cell with fewer pairs has no correlation
_CONSTANT = 1e-6  # standard deviation, relative to the mean, that counts as constant: rounding of float32


def response_metrics(
    y: np.ndarray, pred: np.ndarray, naive: np.ndarray, drugs: np.ndarray, cells: np.ndarray
) -> dict[str, float]:
    r"""Figures of one fold.

    ``rmse``, ``mae`` (ln units), ``r2`` and ``pearson`` pool all pairs; drugs differ much more from each other than
    cells do for a drug, so the drug means alone reach a pooled r of .84 to .90. The others take that away. With the
    naive mean-effects prediction :math:`n` of the same fold and :math:`e = y - n`

    .. math::
        \text{normalised\_r2} = 1 - \frac{\sum (y - \hat y)^2}{\sum (e - \bar e)^2}, \qquad
        \text{normalised\_r} = r(e, \hat y - n)

    ``drug_r`` is the mean over drugs of the correlation over cells, for unseen cells; ``cell_r`` the mean over cells of
    the correlation over drugs, for unseen drugs. Drugs or cells with fewer than 5 pairs do not count.

    Args:
        y: measured ln IC50 (P,).
        pred: predicted ln IC50 (P,).
        naive: prediction (P,) of ``NaiveMeanEffects`` fitted on the training pairs of the fold.
        drugs: index of the drug (P,), 0 or more.
        cells: index of the cell (P,), 0 or more.

    Returns:
        The eight figures; a correlation with a constant is 0; NaN where a figure is undefined (constant y, no drug or
        cell with 5 pairs).

    Raises:
        ValueError: no pair, unequal lengths, or a number that is not finite.

    Reference:
        Bernett et al., DrEval, Nature Communications 17:4238 (2026): normalised metrics; constant prediction has r = 0.
    """
    y, pred, naive = (np.asarray(values, dtype=np.float64) for values in (y, pred, naive))
    lengths = [len(values) for values in (y, pred, naive, drugs, cells)]
    if len(set(lengths)) > 1 or not len(y):
        raise ValueError(
            f"response_metrics: y, pred, naive, drugs, cells have {lengths} entries; give one of each per pair, one pair"
            " or more."
        )
    for name, values in (("y", y), ("pred", pred), ("naive", naive)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"response_metrics: {name} has {int((~np.isfinite(values)).sum())} values that are not finite; leave"
                " unmeasured and failed pairs out."
            )
    error = y - pred
    residual = y - naive
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.abs(error).mean()),
        "r2": _explained(error, y),
        "pearson": _correlation(y, pred),
        "normalised_r2": _explained(error, residual),
        "normalised_r": _correlation(residual, pred - naive),
        "drug_r": _mean_correlation(y, pred, drugs),
        "cell_r": _mean_correlation(y, pred, cells),
    }


def grouped_correlation(
    y: np.ndarray, pred: np.ndarray, groups: np.ndarray
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Pearson correlation within each group.

    Args:
        y: (P,).
        pred: (P,).
        groups: index of the group (P,), 0 or more; G is the largest plus 1.

    Returns:
        Correlation (G,), 0 where y or pred is constant within the group, NaN without a pair; number of pairs (G,).
    """
    counts = np.bincount(groups)
    filled = np.maximum(counts, 1)
    centred, constant = [], np.zeros(len(counts), dtype=bool)
    for values in (np.asarray(y, dtype=np.float64), np.asarray(pred, dtype=np.float64)):
        means = np.bincount(groups, values) / filled
        deviation = values - means[groups]
        sd = np.sqrt(np.bincount(groups, deviation**2) / filled)
        flat = sd <= _CONSTANT * np.maximum(np.abs(means), 1)
        constant |= flat
        centred.append(deviation / np.where(flat, 1, sd)[groups])
    correlation = np.bincount(groups, centred[0] * centred[1]) / filled
    return np.where(counts == 0, np.nan, np.where(constant, 0.0, correlation)), counts


def _correlation(y: np.ndarray, pred: np.ndarray) -> float:
    return float(grouped_correlation(y, pred, np.zeros(len(y), dtype=np.intp))[0][0])


def _mean_correlation(y: np.ndarray, pred: np.ndarray, groups: np.ndarray) -> float:
    """Mean over groups with enough pairs; NaN if there is none."""
    correlation, counts = grouped_correlation(y, pred, groups)
    enough = counts >= MIN_PAIRS
    return float(correlation[enough].mean()) if enough.any() else float("nan")


def _explained(error: np.ndarray, target: np.ndarray) -> float:
    """1 - sum of squared errors / sum of squares of the centred target."""
    total = float(((target - target.mean()) ** 2).sum())
    return 1 - float((error**2).sum()) / total if total > 0 else float("nan")
