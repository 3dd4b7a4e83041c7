"""The predictor that every other has to beat: mean effects of drugs and of cells."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["NaiveMeanEffects"]


class NaiveMeanEffects:
    r"""Mean effects of the training pairs; no chemistry, no omics.

    .. math::
        \hat y_{dc} = \mu + (\bar y_d - \mu) + (\bar y_c - \mu)

    with the mean over all training pairs, over those of the drug and over those of the cell. The effect of a drug or a
    cell without a training pair is 0, so that for unseen cells the drug mean is left, for unseen drugs the cell mean.

    Attributes:
        mean: mean over the training pairs, ln IC50.
        drug_effect: (D,) mean of each drug minus ``mean``; 0 where unseen.
        cell_effect: (C,) mean of each cell minus ``mean``; 0 where unseen.
        drug_known: (D,) whether the drug has a training pair.
        cell_known: (C,) whether the cell has a training pair.

    Reference:
        Bernett et al., DrEval, Nature Communications 17:4238 (2026): NaiveMeanEffectsPredictor.
    """

    mean: float
    drug_effect: NDArray[np.float64]
    cell_effect: NDArray[np.float64]
    drug_known: NDArray[np.bool_]
    cell_known: NDArray[np.bool_]

    def fit(
        self, y: np.ndarray, drugs: np.ndarray, cells: np.ndarray, num_drugs: int, num_cells: int
    ) -> "NaiveMeanEffects":
        """Fit on training pairs only.

        Args:
            y: ln IC50 (P,).
            drugs: index of the drug (P,), in [0, D).
            cells: index of the cell (P,), in [0, C).
            num_drugs: D.
            num_cells: C.

        Returns:
            Itself.

        Raises:
            ValueError: no pair, unequal lengths, a number that is not finite, or an index outside its range.
        """
        y = np.asarray(y, dtype=np.float64)
        drugs, cells = np.asarray(drugs, dtype=np.intp), np.asarray(cells, dtype=np.intp)
        if not len(y) == len(drugs) == len(cells) or not len(y) or not np.isfinite(y).all():
            raise ValueError(
                f"NaiveMeanEffects: {len(y)} responses, {len(drugs)} drugs and {len(cells)} cells; give one of each per"
                " training pair, one pair or more, all responses finite."
            )
        for name, codes, number in (("drug", drugs, num_drugs), ("cell", cells, num_cells)):
            if codes.min() < 0 or codes.max() >= number:
                raise ValueError(
                    f"NaiveMeanEffects: {name} indices lie in [{codes.min()}, {codes.max()}], they must lie in"
                    f" [0, {number}); code the {name}s of the training pairs first."
                )
        self.mean = float(y.mean())
        self.drug_effect, self.drug_known = _effects(y - self.mean, drugs, num_drugs)
        self.cell_effect, self.cell_known = _effects(y - self.mean, cells, num_cells)
        return self

    def predict(self, drugs: np.ndarray, cells: np.ndarray) -> NDArray[np.float64]:
        """Ln IC50 (P,) of pairs; index -1 is a drug or a cell outside the fitted range, its effect is 0."""
        drug_effect, cell_effect = np.append(self.drug_effect, 0.0), np.append(self.cell_effect, 0.0)
        return np.asarray(self.mean + drug_effect[drugs] + cell_effect[cells])


def _effects(residual: np.ndarray, codes: np.ndarray, number: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean residual of each code (number,), 0 without a pair, and whether there is a pair."""
    counts = np.bincount(codes, minlength=number)
    return np.bincount(codes, residual, number) / np.maximum(counts, 1), counts > 0
