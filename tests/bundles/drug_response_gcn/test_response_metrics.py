import time

import numpy as np
import pytest
from scipy.stats import pearsonr
from scripts.naive import NaiveMeanEffects
from scripts.response_metrics import grouped_correlation, response_metrics
from sklearn import metrics


def pairs(number: int = 400, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Responses, predictions, naive predictions, 12 drugs and 30 cells; drug 11 has 3 pairs only."""
    rng = np.random.default_rng(seed)
    drugs, cells = rng.integers(0, 11, number), rng.integers(0, 30, number)
    drugs[:3] = 11
    y = 3 * rng.normal(size=12)[drugs] + rng.normal(size=30)[cells] + rng.normal(size=number)
    naive = NaiveMeanEffects().fit(y, drugs, cells, 12, 30).predict(drugs, cells)
    return y, y + rng.normal(size=number), naive, drugs, cells


def test_pooled_figures_equal_sklearn_and_scipy() -> None:
    y, pred, naive, drugs, cells = pairs()
    found = response_metrics(y, pred, naive, drugs, cells)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, pred))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(y, pred))
    assert found["r2"] == pytest.approx(metrics.r2_score(y, pred))
    assert found["pearson"] == pytest.approx(pearsonr(y, pred)[0])


def test_normalised_figures_subtract_naive_from_both_sides() -> None:
    y, pred, naive, drugs, cells = pairs()
    found = response_metrics(y, pred, naive, drugs, cells)
    assert found["normalised_r2"] == pytest.approx(metrics.r2_score(y - naive, pred - naive))
    assert found["normalised_r"] == pytest.approx(pearsonr(y - naive, pred - naive)[0])


def test_means_per_drug_and_cell_equal_loops_over_groups_with_five_pairs() -> None:
    y, pred, naive, drugs, cells = pairs()
    found = response_metrics(y, pred, naive, drugs, cells)
    for name, groups in (("drug_r", drugs), ("cell_r", cells)):
        kept = [g for g in np.unique(groups) if (groups == g).sum() >= 5]
        expected = [pearsonr(y[groups == g], pred[groups == g])[0] for g in kept]
        assert found[name] == pytest.approx(np.mean(expected))
    assert (drugs == 11).sum() == 3


def test_naive_prediction_itself_scores_zero() -> None:
    y, _, _, drugs, cells = pairs()
    unseen = np.full_like(cells, -1)  # unseen cells: the drug mean is all there is
    naive = NaiveMeanEffects().fit(y, drugs, cells, 12, 30).predict(drugs, unseen)
    found = response_metrics(y, naive, naive, drugs, cells)
    assert found["drug_r"] == found["normalised_r"] == 0
    assert found["normalised_r2"] == pytest.approx(0, abs=1e-9)
    assert found["pearson"] > 0.8  # and yet the pooled r looks fine


def test_a_constant_up_to_rounding_has_no_correlation() -> None:
    y = np.arange(10.0)
    pred = np.float32(-3.1) + np.arange(10, dtype=np.float32) * np.float32(2e-7)
    correlation, counts = grouped_correlation(y, pred, np.repeat([0, 2], 5))
    assert correlation[[0, 2]].tolist() == [0, 0] and np.isnan(correlation[1])
    assert counts.tolist() == [5, 0, 5]


def test_perfect_prediction() -> None:
    y, _, naive, drugs, cells = pairs()
    found = response_metrics(y, y, naive, drugs, cells)
    assert found.pop("rmse") == found.pop("mae") == 0
    assert list(found.values()) == pytest.approx([1] * 6)


def test_undefined_figures_are_nan() -> None:
    one = np.ones(3)
    found = response_metrics(one, one + 1, one, np.arange(3), np.arange(3))
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"r2", "normalised_r2", "drug_r", "cell_r"}


def test_a_whole_screen_takes_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    y, pred, naive = rng.normal(size=(3, 184_000))
    start = time.process_time()
    response_metrics(y, pred, naive, rng.integers(0, 228, 184_000), rng.integers(0, 919, 184_000))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"y": np.ones(2)}, r"have \[2, 3, 3, 3, 3\] entries", id="lengths"),
        pytest.param({"pred": np.array([1, np.nan, 2])}, "pred has 1 values that are not finite", id="nan"),
        pytest.param({"naive": np.array([1, np.inf, 2])}, "naive has 1 values", id="infinite"),
    ],
)
def test_bad_input_is_one_sentence(change: dict[str, np.ndarray], match: str) -> None:
    values = {"y": np.ones(3), "pred": np.ones(3), "naive": np.ones(3)}
    values |= {"drugs": np.arange(3), "cells": np.arange(3)} | change
    with pytest.raises(ValueError, match=match):
        response_metrics(**values)
