import numpy as np
import pytest
from scripts.naive import NaiveMeanEffects


def fitted() -> NaiveMeanEffects:
    """Drug 0: 1, 3; drug 1: 5; drug 2 and cell 2 are unseen; mean 3."""
    return NaiveMeanEffects().fit(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]), np.array([0, 1, 1]), 3, 3)


def test_effects_equal_hand_computed_means() -> None:
    naive = fitted()
    assert naive.mean == 3
    assert naive.drug_effect.tolist() == [-1, 2, 0]
    assert naive.cell_effect.tolist() == [-2, 1, 0]
    assert naive.drug_known.tolist() == naive.cell_known.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("drug", "cell", "expected"),
    [
        pytest.param(0, 1, 3 - 1 + 1, id="both-known"),
        pytest.param(1, 2, 5, id="unseen-cell-gives-drug-mean"),
        pytest.param(2, 0, 1, id="unseen-drug-gives-cell-mean"),
        pytest.param(2, 2, 3, id="both-unseen-give-the-mean"),
        pytest.param(-1, 1, 4, id="drug-outside-the-library"),
        pytest.param(0, -1, 2, id="cell-outside-the-table"),
    ],
)
def test_prediction_adds_the_known_effects(drug: int, cell: int, expected: float) -> None:
    assert fitted().predict(np.array([drug]), np.array([cell])).tolist() == [expected]


def test_additive_responses_on_a_full_grid_are_exact() -> None:
    drugs, cells = np.divmod(np.arange(12), 4)
    y = np.array([1.0, -2.0, 4.0])[drugs] + np.array([0.5, 1.0, -3.0, 2.0])[cells]
    np.testing.assert_allclose(NaiveMeanEffects().fit(y, drugs, cells, 3, 4).predict(drugs, cells), y)


@pytest.mark.parametrize(
    ("y", "drugs", "match"),
    [
        pytest.param([1.0], [0, 0], "1 responses, 2 drugs", id="lengths"),
        pytest.param([], [], "0 responses", id="empty"),
        pytest.param([np.nan, 1.0], [0, 0], "all responses finite", id="nan"),
        pytest.param([1.0, 1.0], [0, 2], r"drug indices lie in \[0, 2\], they must lie in \[0, 2\)", id="range"),
        pytest.param([1.0, 1.0], [0, -1], "drug indices lie in", id="negative"),
    ],
)
def test_bad_input_is_one_sentence(y: list[float], drugs: list[int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        NaiveMeanEffects().fit(np.array(y), np.array(drugs), np.zeros(len(y), dtype=int), 2, 2)
