import numpy as np

from common.data import covariate_table


def test_absent_covariates_have_a_place_in_the_table() -> None:
    table = covariate_table([{"age": "", "site": float("nan")}, {"age": 12, "site": 3}, {}], ["age"], ["site"])
    assert table["site"].tolist() == ["missing", "3", "missing"]
    np.testing.assert_array_equal(table["age"], [np.nan, 12, np.nan])
