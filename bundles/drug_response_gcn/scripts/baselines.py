"""What a sceptic would ask: how far do drug means, one ridge regression per drug, or boosted trees get?"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor

from .naive import NaiveMeanEffects

__all__ = ["ALPHAS", "DrugMean", "GradientBoosting", "RidgePerDrug"]

ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0, 200.0, 400.0, 700.0, 1000.0, 2000.0, 5000.0, 20000.0)
MIN_PAIRS = 10  # a drug with fewer training pairs gets no regression of its own

Array = NDArray[np.float64]


class DrugMean:
    """Mean of the drug over its training pairs, whatever the cell.

    An unseen drug has no mean; it gets what is known then: the mean over the training pairs of the cell, or over all
    pairs where the cell is unseen too. For unseen drugs this is ``NaiveMeanEffects``, as it is for unseen cells.
    """

    naive: NaiveMeanEffects

    def fit(
        self, y: np.ndarray, drugs: np.ndarray, cells: np.ndarray, cell_features: np.ndarray, fingerprints: np.ndarray
    ) -> "DrugMean":
        """Fit on training pairs; of features and fingerprints only the numbers of cells and drugs count.

        Args:
            y: ln IC50 (P,).
            drugs: index of the drug (P,).
            cells: index of the cell (P,).
            cell_features: (C, K).
            fingerprints: (D, bits).

        Returns:
            Itself.
        """
        self.naive = NaiveMeanEffects().fit(y, drugs, cells, len(fingerprints), len(cell_features))
        return self

    def predict(self, drugs: np.ndarray, cells: np.ndarray) -> Array:
        """Ln IC50 (P,) of pairs of drug and cell indices."""
        known = self.naive.drug_known[drugs]
        effect = np.where(known, self.naive.drug_effect[drugs], self.naive.cell_effect[cells])
        return np.asarray(self.naive.mean + effect)


class RidgePerDrug:
    r"""One ridge regression on the cell features for each drug; one strength for all.

    .. math::
        \hat y_{dc} = b_d + w_d \cdot f_c, \qquad
        \min_{w_d, b_d} \sum_{c} (y_{dc} - b_d - w_d \cdot f_c)^2 + \alpha \|w_d\|^2

    over the training cells of the drug. :math:`\alpha` has the least leave-one-out error, summed over all training
    pairs, of ``ALPHAS``; the error has a closed form, residual / (1 - leverage), after one eigendecomposition per drug,
    because each drug has cells of its own. An unseen drug, or one with fewer than 10 pairs, gets ``NaiveMeanEffects``.

    Attributes:
        alpha: the chosen strength.
        errors: leave-one-out mean squared error of each of ``ALPHAS``.

    Reference:
        Allen, Technometrics 16:125-127 (1974): PRESS.
    """

    alpha: float
    errors: Array
    naive: NaiveMeanEffects

    def fit(
        self, y: np.ndarray, drugs: np.ndarray, cells: np.ndarray, cell_features: np.ndarray, fingerprints: np.ndarray
    ) -> "RidgePerDrug":
        """Fit on training pairs.

        Args:
            y: ln IC50 (P,).
            drugs: index of the drug (P,).
            cells: index of the cell (P,).
            cell_features: (C, K), of all cells, fitted on the training cells.
            fingerprints: (D, bits); only D counts.

        Returns:
            Itself.

        Raises:
            ValueError: a feature is not finite.
        """
        features = _finite("RidgePerDrug", "cell_features", cell_features)
        self.naive = NaiveMeanEffects().fit(y, drugs, cells, len(fingerprints), len(features))
        parts = {}
        for drug in range(len(fingerprints)):
            rows = np.flatnonzero(drugs == drug)
            if len(rows) >= MIN_PAIRS:
                parts[drug] = _Spectrum(features[cells[rows]], np.asarray(y, dtype=np.float64)[rows])
        total = sum((part.squared_errors for part in parts.values()), np.zeros(len(ALPHAS)))
        self.errors = total / max(sum(part.number for part in parts.values()), 1)
        self.alpha = ALPHAS[int(self.errors.argmin())]
        self._regressed = np.zeros(len(fingerprints), dtype=bool)
        self._grid = np.zeros((len(features), len(fingerprints)))
        for drug, part in parts.items():
            self._regressed[drug] = True
            self._grid[:, drug] = part.intercept + (features - part.centre) @ part.weights(self.alpha)
        return self

    def predict(self, drugs: np.ndarray, cells: np.ndarray) -> Array:
        """Ln IC50 (P,) of pairs of drug and cell indices."""
        return np.where(self._regressed[drugs], self._grid[cells, drugs], self.naive.predict(drugs, cells))


class _Spectrum:
    """Ridge regressions of one drug for every strength, from one eigendecomposition.

    Args:
        features: (n, K).
        y: (n,).
    """

    def __init__(self, features: Array, y: Array) -> None:
        self.number = len(y)
        self.centre, self.intercept = features.mean(axis=0), float(y.mean())
        centred, target = features - self.centre, y - self.intercept
        values, self._vectors = np.linalg.eigh(centred.T @ centred)
        self._values = values.clip(min=0)
        scores = centred @ self._vectors  # (n, K)
        self._moments = scores.T @ target
        shrunk = 1 / (self._values[:, None] + np.array(ALPHAS))  # (K, A)
        fitted = scores @ (shrunk * self._moments[:, None])
        leverage = 1 / self.number + scores**2 @ shrunk  # the intercept has leverage 1 / n
        self.squared_errors = (((target[:, None] - fitted) / (1 - leverage)) ** 2).sum(axis=0)  # (A,)

    def weights(self, alpha: float) -> Array:
        """Weights (K,)."""
        return np.asarray(self._vectors @ (self._moments / (self._values + alpha)))


class GradientBoosting:
    """Boosted trees on 64 cell features and 64 components of the fingerprints, on top of what is known of the pair.

    A tree that sees the mean effect of a cell in training, where every cell has one, learns to rely on it and fails on
    cells that have none. So there is a model for each kind of pair (drug seen or not, cell seen or not), made when the
    first such pair comes: its target is y minus the effects that such a pair has, and those effects are also features.

    Args:
        num_components: cell features used, the first of each cell, and components of the fingerprints.
        num_trees: boosting rounds.
        seed: of the components and of the trees.

    Reference:
        Bernett et al., DrEval, Nature Communications 17:4238 (2026): tuned tree ensembles lead. Friedman, Annals of
        Statistics 29:1189-1232 (2001).
    """

    naive: NaiveMeanEffects

    def __init__(self, num_components: int = 64, num_trees: int = 150, seed: int = 0) -> None:
        self.num_components = num_components
        self.num_trees = num_trees
        self.seed = seed

    def fit(
        self, y: np.ndarray, drugs: np.ndarray, cells: np.ndarray, cell_features: np.ndarray, fingerprints: np.ndarray
    ) -> "GradientBoosting":
        """Fit means and components on training pairs; trees follow with the first pair to predict.

        Args:
            y: ln IC50 (P,).
            drugs: index of the drug (P,).
            cells: index of the cell (P,).
            cell_features: (C, K), of all cells, fitted on the training cells, strongest component first.
            fingerprints: (D, bits); the components are those of the training drugs.

        Returns:
            Itself.

        Raises:
            ValueError: a feature is not finite.
        """
        bits = _finite("GradientBoosting", "fingerprints", fingerprints)
        self._cells = _finite("GradientBoosting", "cell_features", cell_features)[:, : self.num_components]
        self.naive = NaiveMeanEffects().fit(y, drugs, cells, len(bits), len(self._cells))
        known = bits[self.naive.drug_known]
        count = min(self.num_components, *known.shape)
        self._drugs = PCA(count, svd_solver="full").fit(known).transform(bits)
        self._training = np.asarray(y, dtype=np.float64), np.asarray(drugs), np.asarray(cells)
        self._models: dict[tuple[bool, bool], HistGradientBoostingRegressor] = {}
        return self

    def predict(self, drugs: np.ndarray, cells: np.ndarray) -> Array:
        """Ln IC50 (P,) of pairs of drug and cell indices."""
        pred = np.zeros(len(drugs))
        seen_drug, seen_cell = self.naive.drug_known[drugs], self.naive.cell_known[cells]
        for kind in ((True, True), (True, False), (False, True), (False, False)):
            rows = np.flatnonzero((seen_drug == kind[0]) & (seen_cell == kind[1]))
            if len(rows):
                table, offset = self._table(drugs[rows], cells[rows], kind)
                pred[rows] = offset + self._model(kind).predict(table)
        return pred

    def _model(self, kind: tuple[bool, bool]) -> HistGradientBoostingRegressor:
        if kind not in self._models:
            y, drugs, cells = self._training
            table, offset = self._table(drugs, cells, kind)
            model = HistGradientBoostingRegressor(
                learning_rate=0.1,
                max_iter=self.num_trees,
                max_leaf_nodes=63,
                max_features=0.25,
                l2_regularization=1.0,
                min_samples_leaf=50,
                early_stopping=False,  # its random pairs would share drugs and cells with the others
                random_state=self.seed,
            )
            self._models[kind] = model.fit(table, y - offset)
        return self._models[kind]

    def _table(self, drugs: np.ndarray, cells: np.ndarray, kind: tuple[bool, bool]) -> tuple[np.ndarray, Array]:
        """Features (P, F) and offset (P,) of pairs of this kind."""
        effects = [
            e
            for e, seen in ((self.naive.drug_effect[drugs], kind[0]), (self.naive.cell_effect[cells], kind[1]))
            if seen
        ]
        offset = np.asarray(sum(effects, np.full(len(drugs), self.naive.mean)))
        return np.column_stack([self._cells[cells], self._drugs[drugs], *effects]).astype(np.float32), offset


def _finite(who: str, name: str, values: np.ndarray) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(
            f"{who}: {name} have the shape {values.shape} and {int((~np.isfinite(values)).sum())} values that are not"
            " finite; give one row of finite numbers for each."
        )
    return values
