from pathlib import Path

import numpy as np
import pytest
from scripts.communities import align, aligned_mean, community_order, community_table, memberships, stability
from scripts.region_places import read_places

REGIONS = Path(__file__).resolve().parents[3] / "bundles/brain_fmri_braingnn/configs/ho_regions.csv"


def strengths(seed: int = 0, regions: int = 40, number: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(regions, number)).clip(0)


def test_membership_rule_by_hand():
    # means 1, 1, 1; population deviations 1.73, 0, 1: only 4 > 2.73; nothing > 1; 2 > 2 is not true
    rows = np.array([[4.0, 0, 0, 0], [1, 1, 1, 1], [2, 0, 2, 0]])
    assert memberships(rows).tolist() == [[True, False, False, False], [False] * 4, [False] * 4]


def test_align_undoes_a_shuffle_of_the_communities():
    first = strengths()
    shuffle = np.array([3, 0, 4, 1, 2])
    order = align(first, 2.5 * first[:, shuffle])
    np.testing.assert_array_equal(first[:, shuffle][:, order], first)
    np.testing.assert_allclose(aligned_mean([first, first[:, shuffle]]), first / first.mean())


def test_align_is_one_to_one_where_the_best_column_is_wanted_twice():
    a = np.array([[1.0, 1], [0, 0.1], [0, 0], [0, 0]])
    assert sorted(align(a, np.array([[1.0, 0], [0, 0], [0, 1], [0, 0]]))) == [0, 1]


def test_stability_of_equal_and_of_unrelated_runs():
    first = strengths(regions=200)
    equal = stability([first, first[:, ::-1], first])
    assert equal["correlation"] == pytest.approx(1) and equal["chance"] < 0.3
    unrelated = stability([first, strengths(1, 200), strengths(2, 200)])
    assert unrelated["correlation"] == pytest.approx(unrelated["chance"], abs=0.05)
    assert np.isnan(stability([first])["correlation"])


def test_dead_community_does_not_break_alignment():
    first = strengths()
    first[:, 2] = 0
    assert np.isfinite(stability([first, strengths(1)])["correlation"])


def test_order_groups_by_strongest_community():
    first = strengths()
    strongest = first.argmax(1)[community_order(first)]
    assert (np.diff(strongest) >= 0).all()


def test_table_names_members():
    places = read_places(str(REGIONS)).head(2)
    table = community_table(np.array([[0, 0, 0, 5.0], [1, 0, 0, 0]]), places)
    assert table["member_of"].tolist() == ["4", "1"] and table["strongest"].tolist() == [4, 1]
    assert table["name"].tolist() == ["Left Thalamus", "Left Caudate"]


def test_runs_of_other_shape_are_refused():
    with pytest.raises(ValueError, match=r"align: runs have shapes \(40, 5\) and \(40, 4\)"):
        align(strengths(), strengths(number=4))
