import time

import numpy as np
import pytest
from scripts import baselines
from scripts.baselines import ALPHAS, DrugMean, GradientBoosting, RidgePerDrug
from scripts.naive import NaiveMeanEffects
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

Screen = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def screen(num_drugs: int = 8, num_cells: int = 60, width: int = 5, missing: float = 0.2) -> Screen:
    """Responses linear in the cell features with weights that the bits of the drug decide, plus noise."""
    rng = np.random.default_rng(0)
    features, bits = rng.normal(size=(num_cells, width)), rng.integers(0, 2, (num_drugs, 16)).astype(float)
    weights = bits @ rng.normal(size=(16, width)) / 4
    grid = weights @ features.T + 2 * bits[:, :1] + features[:, 0] + 0.3 * rng.normal(size=(num_drugs, num_cells))
    drugs, cells = np.nonzero(rng.random(grid.shape) > missing)
    return grid[drugs, cells], drugs, cells, features, bits


def without(data: Screen, drugs: tuple[int, ...] = (), cells: tuple[int, ...] = ()) -> Screen:
    y, d, c, features, bits = data
    kept = ~np.isin(d, drugs) & ~np.isin(c, cells)
    return y[kept], d[kept], c[kept], features, bits


def rmse(y: np.ndarray, pred: np.ndarray) -> float:
    return float(np.sqrt(np.mean((y - pred) ** 2)))


def test_drug_mean_ignores_the_cell_and_falls_back_to_the_cell_for_unseen_drugs() -> None:
    y, drugs, cells = np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]), np.array([0, 1, 1])
    model = DrugMean().fit(y, drugs, cells, np.zeros((3, 2)), np.zeros((3, 4)))
    pred = model.predict(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 0, 1, 2]))
    assert pred.tolist() == [2, 2, 5, 4, 3]


def test_ridge_weights_equal_sklearn_for_each_drug() -> None:
    data = screen()
    y, drugs, cells, features, _ = data
    model = RidgePerDrug().fit(*data)
    for drug in range(8):
        rows = drugs == drug
        twin = Ridge(alpha=model.alpha).fit(features[cells[rows]], y[rows])
        pred = model.predict(np.full(60, drug), np.arange(60))
        np.testing.assert_allclose(pred, twin.predict(features), atol=1e-8)


def test_leave_one_out_errors_equal_refitting_and_choose_the_strength() -> None:
    data = screen(num_drugs=3, num_cells=25)
    y, drugs, cells, features, _ = data
    model = RidgePerDrug().fit(*data)
    for k in (0, 4, 9):
        squares = 0.0
        for drug in range(3):
            rows = drugs == drug
            left_out = cross_val_predict(Ridge(alpha=ALPHAS[k]), features[cells[rows]], y[rows], cv=LeaveOneOut())
            squares += float(((left_out - y[rows]) ** 2).sum())
        assert model.errors[k] == pytest.approx(squares / len(y))
    assert model.alpha == ALPHAS[int(np.argmin(model.errors))]


def test_ridge_beats_the_drug_mean_on_unseen_cells() -> None:
    data, unseen = screen(), tuple(range(40, 60))
    y, drugs, cells, *_ = data
    rows = np.isin(cells, unseen)
    known = without(data, cells=unseen)
    errors = {
        kind: rmse(y[rows], kind().fit(*known).predict(drugs[rows], cells[rows])) for kind in (RidgePerDrug, DrugMean)
    }
    assert errors[RidgePerDrug] < 0.6 * errors[DrugMean]


@pytest.mark.parametrize("pairs", [pytest.param(0, id="unseen"), pytest.param(9, id="too-few-pairs")])
def test_ridge_of_a_drug_without_enough_pairs_is_naive(pairs: int) -> None:
    y, drugs, cells, features, bits = screen()
    rows = np.flatnonzero(drugs == 3)[pairs:]
    kept = np.setdiff1d(np.arange(len(y)), rows)
    data = y[kept], drugs[kept], cells[kept]
    naive = NaiveMeanEffects().fit(*data, 8, 60).predict(drugs[rows], cells[rows])
    model = RidgePerDrug().fit(*data, features, bits)
    np.testing.assert_array_equal(model.predict(drugs[rows], cells[rows]), naive)


def test_ridge_takes_fewer_cells_than_features_and_empty_components() -> None:
    y, drugs, cells, features, bits = screen(num_cells=20)
    wide = np.hstack([features, np.random.default_rng(1).normal(size=(20, 40)), np.zeros((20, 30))])
    assert np.isfinite(RidgePerDrug().fit(y, drugs, cells, wide, bits).predict(drugs, cells)).all()


def test_ridge_without_any_regression_is_naive() -> None:
    y, drugs, cells, features, bits = (values[:5] for values in screen())
    model = RidgePerDrug().fit(y, drugs, np.arange(5), features, bits)
    assert np.isfinite(model.predict(drugs, np.arange(5))).all()


def test_ridge_of_a_large_screen_is_fast() -> None:
    rng = np.random.default_rng(0)
    drugs, cells = np.divmod(np.arange(40 * 800), 800)
    start = time.process_time()
    RidgePerDrug().fit(rng.normal(size=len(drugs)), drugs, cells, rng.normal(size=(800, 256)), np.zeros((40, 4)))
    assert time.process_time() - start < 10


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small screens need small leaves."""
    trees = baselines.HistGradientBoostingRegressor
    monkeypatch.setattr(
        baselines, "HistGradientBoostingRegressor", lambda **settings: trees(**settings | {"min_samples_leaf": 10})
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("drugs_out", "cells_out"),
    [
        pytest.param((), tuple(range(100, 120)), id="unseen-cells"),
        pytest.param((3, 9, 15, 21), (), id="unseen-drugs"),
        pytest.param((3, 9, 15), tuple(range(90, 120)), id="both-unseen"),
    ],
)
def test_boosting_beats_naive_on_what_it_has_not_seen(drugs_out: tuple[int, ...], cells_out: tuple[int, ...]) -> None:
    data = screen(num_drugs=24, num_cells=120)
    y, drugs, cells, *_ = data
    known = without(data, drugs_out, cells_out)
    rows = np.isin(drugs, drugs_out or drugs) & np.isin(cells, cells_out or cells)
    naive = NaiveMeanEffects().fit(*known[:3], 24, 120).predict(drugs[rows], cells[rows])
    pred = GradientBoosting(num_trees=60).fit(*known).predict(drugs[rows], cells[rows])
    assert rmse(y[rows], pred) < 0.9 * rmse(y[rows], naive)


@pytest.mark.usefixtures("quick")
def test_boosting_for_unseen_cells_has_not_learned_from_mean_effects_of_cells() -> None:
    """A cell effect that no feature tells: subtracting it in training would leave it unlearnable, using it misleads."""
    rng = np.random.default_rng(0)
    drugs, cells = np.divmod(np.arange(20 * 80), 80)
    features, bits = rng.normal(size=(80, 4)), rng.integers(0, 2, (20, 16)).astype(float)
    y = 2 * features[cells, 0] + 0.2 * rng.normal(size=len(drugs))
    rows = cells >= 60
    model = GradientBoosting(num_trees=60).fit(y[~rows], drugs[~rows], cells[~rows], features, bits)
    assert rmse(y[rows], model.predict(drugs[rows], cells[rows])) < 0.5 * float(y[rows].std())


def test_boosting_is_the_same_in_any_order_and_company_of_pairs() -> None:
    data = screen()
    known = without(data, drugs=(2,), cells=(0, 1))
    drugs, cells = data[1], data[2]
    together = GradientBoosting(num_trees=10).fit(*known).predict(drugs, cells)
    rows = np.random.default_rng(0).permutation(len(drugs))[:50]
    np.testing.assert_array_equal(
        GradientBoosting(num_trees=10).fit(*known).predict(drugs[rows], cells[rows]), together[rows]
    )


@pytest.mark.parametrize(
    ("model", "change", "match"),
    [
        pytest.param(RidgePerDrug(), {3: np.full((60, 5), np.nan)}, "RidgePerDrug: cell_features", id="ridge-nan"),
        pytest.param(
            GradientBoosting(), {4: np.full((8, 16), np.inf)}, "GradientBoosting: fingerprints", id="boost-inf"
        ),
        pytest.param(GradientBoosting(), {3: np.zeros(60)}, r"shape \(60,\)", id="boost-shape"),
    ],
)
def test_bad_features_are_named(model: RidgePerDrug | GradientBoosting, change: dict, match: str) -> None:
    values = [change.get(k, value) for k, value in enumerate(screen())]
    with pytest.raises(ValueError, match=match):
        model.fit(*values)
