"""Intervals around predicted responses that hold the measured one with a chosen probability."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["ResponseIntervals"]

PRIOR_PAIRS = 20  # weight of the global scale in the scale of a drug, in pairs


@dataclass(frozen=True)
class ResponseIntervals:
    r"""Split-conformal intervals :math:`\hat y \pm q \, s_d` whose width depends on the drug.

    Drugs differ in how well they are predicted, so residuals of a validation section are divided by a scale of the drug,
    its root mean square residual shrunk to the global one as if 20 further pairs had that. q is the quantile of the
    scaled residuals. Pairs of one cell err together, so what counts as one draw is a group (the unit of the split):
    each group has the weight 1 / (G + 1), shared by its pairs, and the weight 1 / (G + 1) lies at infinity, as for the
    group to come. A drug without a scale has the global one and a quantile of its own.

    The promise is marginal: a new pair of a group from the same population is inside with probability ``level`` or more,
    asymptotically in the number of pairs per group; not for every drug, and not beyond what the validation section
    holds. Intervals fitted on unseen cells of known drugs are too narrow for unseen drugs.

    Attributes:
        level: chosen probability, in (0, 1).
        quantile: q for drugs with a scale.
        new_drug_quantile: q for other drugs, in units of the global scale.
        scale: global root mean square residual, ln units.
        drug_scales: scale by drug, ln units.

    Reference:
        Lei et al., JASA 113:1094-1111 (2018), section 5.2: locally weighted split conformal. Dunn, Wasserman and Ramdas,
        JASA 118:2491-2502 (2023), section 3.1: pooling the distributions of groups.
    """

    level: float
    quantile: float
    new_drug_quantile: float
    scale: float
    drug_scales: dict[str, float]

    @classmethod
    def fit(
        cls, y: np.ndarray, pred: np.ndarray, drugs: Sequence[str], groups: Sequence[object], level: float = 0.9
    ) -> "ResponseIntervals":
        """Fit on a validation section that the model has not seen.

        Args:
            y: measured ln IC50 (P,).
            pred: predicted ln IC50 (P,).
            drugs: parent SMILES, or name, of the drug of each pair.
            groups: cell, drug or block of each pair, whatever the split keeps whole.
            level: probability to hold. With fewer than level / (1 - level) groups, 9 for .9, it cannot be promised:
                the largest scaled residual is taken.

        Returns:
            The intervals.

        Raises:
            ValueError: no pair, unequal lengths, numbers that are not finite, or a level outside (0, 1).
        """
        residual = np.abs(np.asarray(y, dtype=np.float64) - np.asarray(pred, dtype=np.float64))
        if not len(residual) == len(drugs) == len(groups) or not len(residual) or not np.isfinite(residual).all():
            raise ValueError(
                f"ResponseIntervals: {len(residual)} residuals, {len(drugs)} drugs and {len(groups)} groups; give one of"
                " each per validation pair, one pair or more, all finite."
            )
        if not 0 < level < 1:
            raise ValueError(f"ResponseIntervals: level is {level}, it must lie between 0 and 1.")
        names, codes = np.unique(np.asarray(drugs, dtype=str), return_inverse=True)
        scale = float(np.sqrt(np.mean(residual**2))) or 1.0  # all residuals 0: any scale will do
        squares = np.bincount(codes, residual**2) + PRIOR_PAIRS * scale**2
        scales = np.sqrt(squares / (np.bincount(codes) + PRIOR_PAIRS))
        units = pd.factorize(pd.Series(list(groups)))[0]
        known = _grouped_quantile(residual / scales[codes], units, level)
        unknown = _grouped_quantile(residual / scale, units, level)
        return cls(level, known, unknown, scale, dict(zip(names.tolist(), scales.tolist(), strict=True)))

    def interval(self, pred: np.ndarray, drugs: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Low and high (P,) around predictions (P,) for drugs by the name that ``fit`` was given."""
        half = [
            self.quantile * self.drug_scales[drug] if drug in self.drug_scales else self.new_drug_quantile * self.scale
            for drug in drugs
        ]
        pred = np.asarray(pred, dtype=np.float64)
        return pred - np.array(half), pred + np.array(half)


def _grouped_quantile(values: np.ndarray, units: np.ndarray, level: float) -> float:
    """Smallest value whose share of the G + 1 equally weighted groups reaches the level; the largest if none does."""
    counts = np.bincount(units)
    order = np.argsort(values)
    share = np.cumsum(1 / counts[units[order]]) / (len(counts) + 1)
    place = int(np.searchsorted(share, level - 1e-12))
    return float(values[order[min(place, len(values) - 1)]])
