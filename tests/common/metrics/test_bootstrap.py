import numpy as np
import pytest

from common.metrics.bootstrap import bootstrap_intervals, bootstrap_means


def test_bootstrap_of_means_equals_the_general_bootstrap() -> None:
    generator = np.random.default_rng(0)
    values, groups = generator.normal(size=(40, 3)), generator.integers(0, 7, size=40)

    def statistic(index: np.ndarray) -> dict[str, float]:
        return {str(k): float(values[index, k].mean()) for k in range(3)}

    slow = bootstrap_intervals(statistic, groups.tolist(), 4000)
    fast = bootstrap_means(values, groups.tolist(), 4000)
    for k in range(3):
        expected = [slow[str(k)][name] for name in ("value", "low", "high", "n")]
        assert fast[k] == pytest.approx(expected, abs=0.02)
        assert fast[k, 0] == pytest.approx(expected[0])


def test_bootstrap_of_means_leaves_missing_values_out() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    result = bootstrap_means(values, ["a", "b", "c"], 200)
    assert result[0].tolist() == [2, 1, 3, 2]
    assert np.isnan(result[1, :3]).all()
    assert result[1, 3] == 0


def test_one_group_has_no_spread() -> None:
    assert bootstrap_means(np.array([[1.0], [2.0]]), ["a", "a"], 20)[0].tolist() == [1.5, 1.5, 1.5, 2]
