import itertools

import numpy as np
import pytest
from scipy import stats

from common.metrics.paired import sign_flip_test


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        pytest.param([1, 2, 3], 0.25, id="three cases reach .25 at best"),
        pytest.param([1] * 5, 2 / 32, id="five cases reach .0625 at best"),
        pytest.param([1, -1], 1.0, id="no mean difference"),
        pytest.param([0, 0, 0], 1.0, id="equal methods"),
        pytest.param([1, 2, -3], 1.0, id="sums to zero"),
        pytest.param([3, 2, -1], 0.5, id="4 of 8 patterns: 6, 4 and both negatives"),
    ],
)
def test_hand_counted_patterns(differences: list[float], expected: float) -> None:
    assert sign_flip_test(differences) == pytest.approx(expected)


def test_exact_form_equals_a_naive_loop_and_scipy() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, size=9)
    flipped = [abs(np.dot(signs, values)) for signs in itertools.product([-1, 1], repeat=9)]
    assert sign_flip_test(values) == np.mean(np.array(flipped) >= abs(values.sum()) - 1e-9)
    oracle = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(values) == pytest.approx(oracle.pvalue)


def test_sampled_form_is_near_the_exact_one() -> None:
    values = np.random.default_rng(1).normal(0.3, 1, size=14)
    assert sign_flip_test(values, max_exact=2) == pytest.approx(sign_flip_test(values), abs=0.02)


def test_pairs_of_one_case_flip_together() -> None:
    # 30 slices of 3 patients are 3 observations: by slices the p value would be 2 / 2^30
    groups = np.repeat(["a", "b", "c"], [4, 6, 20])
    assert sign_flip_test(np.full(30, 0.1), groups) == 0.25
    # a patient counts once, whatever its number of slices
    values = np.repeat([1.0, 1.0, -5.0], [10, 10, 1])
    assert sign_flip_test(values, np.repeat(["a", "b", "c"], [10, 10, 1])) == sign_flip_test([1, 1, -5])


def test_pairs_without_a_value_are_left_out() -> None:
    assert sign_flip_test([1, 2, np.nan, 3]) == 0.25
    assert np.isnan(sign_flip_test([np.nan]))


def test_lengths_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="3 differences and 2 groups"):
        sign_flip_test([1, 2, 3], ["a", "b"])
