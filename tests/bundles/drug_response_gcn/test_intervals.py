import numpy as np
import pytest
from scripts.intervals import PRIOR_PAIRS, ResponseIntervals


def screen(num_cells: int, seed: int, num_drugs: int = 12) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Responses and predictions of all drugs in cells that shift all their residuals; drug k has noise .3 + .2 k."""
    rng = np.random.default_rng(seed)
    drugs, cells = np.divmod(np.arange(num_drugs * num_cells), num_cells)
    pred = rng.normal(size=len(drugs))
    noise = rng.normal(size=len(drugs)) + rng.normal(size=num_cells)[cells]
    return pred + noise * (0.3 + 0.2 * drugs), pred, [f"drug {d}" for d in drugs], cells


def coverage(intervals: ResponseIntervals, y: np.ndarray, pred: np.ndarray, drugs: list[str]) -> float:
    low, high = intervals.interval(pred, drugs)
    return float(((low <= y) & (y <= high)).mean())


@pytest.mark.parametrize("level", [pytest.param(0.8, id="80"), pytest.param(0.9, id="90")])
def test_mean_coverage_of_unseen_cells_reaches_the_level(level: float) -> None:
    covered = []
    for seed in range(40):
        intervals = ResponseIntervals.fit(*screen(40, seed), level)
        covered.append(coverage(intervals, *screen(200, 1000 + seed)[:3]))
    assert level - 0.01 < np.mean(covered) < level + 0.04


def test_mean_coverage_of_unseen_drugs_reaches_the_level() -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        spread, drugs = rng.gamma(3, size=80), np.repeat(np.arange(80), 60)
        y = rng.normal(size=len(drugs)) * spread[drugs]
        seen, names = drugs < 30, [f"drug {d}" for d in drugs]
        known = [name for name, inside in zip(names, seen, strict=True) if inside]
        intervals = ResponseIntervals.fit(y[seen], np.zeros(seen.sum()), known, drugs[seen])
        new = [name for name, inside in zip(names, seen, strict=True) if not inside]
        covered.append(coverage(intervals, y[~seen], np.zeros((~seen).sum()), new))
    assert 0.89 < np.mean(covered) < 0.95


def test_noisy_drugs_get_wide_intervals_and_new_drugs_the_global_scale() -> None:
    intervals = ResponseIntervals.fit(*screen(60, 0))
    low, high = intervals.interval(np.zeros(3), ["drug 0", "drug 11", "new"])
    width = high - low
    assert width[0] < width[2] < width[1]
    assert width[2] == pytest.approx(2 * intervals.new_drug_quantile * intervals.scale)
    np.testing.assert_allclose(low, -high)


def test_scale_is_shrunk_as_if_by_further_pairs() -> None:
    y = np.array([3.0, 1.0, 1.0, 1.0])
    intervals = ResponseIntervals.fit(y, np.zeros(4), ["a", "b", "b", "b"], range(4))
    assert intervals.scale**2 == pytest.approx(3)
    assert intervals.drug_scales["a"] ** 2 == pytest.approx((9 + PRIOR_PAIRS * 3) / (1 + PRIOR_PAIRS))
    assert intervals.drug_scales["b"] ** 2 == pytest.approx((3 + PRIOR_PAIRS * 3) / (3 + PRIOR_PAIRS))


def test_quantile_is_the_rank_of_the_group_to_come() -> None:
    y = np.arange(1.0, 20.0)  # 19 pairs, each a group: rank ceil(20 x .9) = 18
    intervals = ResponseIntervals.fit(y, np.zeros(19), ["a"] * 19, range(19))
    assert intervals.new_drug_quantile * intervals.scale == pytest.approx(18)
    assert coverage(intervals, y, np.zeros(19), ["b"] * 19) == pytest.approx(18 / 19)


def test_a_large_group_counts_as_much_as_a_small_one() -> None:
    y = np.r_[np.full(900, 5.0), np.arange(1.0, 20.0)]  # counted by pairs, the 90 % quantile would be 5
    intervals = ResponseIntervals.fit(y, np.zeros(len(y)), ["a"] * len(y), np.r_[np.zeros(900), np.arange(1, 20)])
    assert intervals.new_drug_quantile * intervals.scale == pytest.approx(18)


def test_few_groups_give_the_largest_residual() -> None:
    intervals = ResponseIntervals.fit(np.array([1.0, 2.0]), np.zeros(2), ["a", "a"], ["x", "y"])
    assert intervals.new_drug_quantile * intervals.scale == pytest.approx(2)


def test_a_perfect_model_has_intervals_of_no_width() -> None:
    low, high = ResponseIntervals.fit(np.ones(3), np.ones(3), list("abc"), range(3)).interval(np.ones(1), ["a"])
    assert low.tolist() == high.tolist() == [1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"drugs": ["a"]}, "3 residuals, 1 drugs and 3 groups", id="lengths"),
        pytest.param({"y": np.array([0, np.nan, 1])}, "all finite", id="nan"),
        pytest.param({"level": 1.0}, "level is 1.0, it must lie between 0 and 1", id="level"),
    ],
)
def test_bad_input_is_one_sentence(change: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ResponseIntervals.fit(
            **{"y": np.ones(3), "pred": np.ones(3), "drugs": list("abc"), "groups": range(3)} | change
        )
