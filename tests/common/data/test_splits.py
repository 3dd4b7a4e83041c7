import numpy as np
import pytest

from common.data.splits import combined_strata, grouped_folds, split_by_group


def cohort(seed: int = 0, cases: int = 300, groups: int = 180) -> tuple[list[int], list[str]]:
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, groups, cases)
    return (rng.random(cases) < 0.3).astype(int).tolist(), [f"p{k}" for k in owner]


@pytest.mark.parametrize("seed", range(5))
def test_a_split_is_complete_grouped_sized_and_stratified(seed: int) -> None:
    labels, groups = cohort(seed)
    parts = split_by_group(labels, groups, (0.7, 0.15, 0.15), seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(300))
    owners = [{groups[k] for k in part} for part in parts]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    np.testing.assert_allclose([len(part) / 300 for part in parts], (0.7, 0.15, 0.15), atol=0.03)
    np.testing.assert_allclose([np.mean(np.array(labels)[part]) for part in parts], np.mean(labels), atol=0.05)


def test_the_seed_decides_the_split() -> None:
    labels, groups = cohort()
    first, again, other = (split_by_group(labels, groups, (0.7, 0.3), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[1]) != set(other[1])


def test_a_rare_class_reaches_every_part() -> None:
    labels = [1] * 3 + [0] * 97
    for seed in range(10):
        parts = split_by_group(labels, list(range(100)), (0.7, 0.15, 0.15), seed)
        assert all({labels[k] for k in part} == {0, 1} for part in parts)


def test_a_fraction_of_zero_is_an_empty_part() -> None:
    labels, groups = cohort()
    parts = split_by_group(labels, groups, (0.8, 0.0, 0.2))
    assert len(parts[1]) == 0 and len(parts[0]) + len(parts[2]) == 300
    whole = split_by_group(labels, groups, (1, 0, 0))
    assert [len(part) for part in whole] == [300, 0, 0]


@pytest.mark.parametrize(
    ("labels", "groups", "fractions", "message"),
    [
        pytest.param([0, 0, 1, 1], [1, 2, 3, 3], (0.5, 0.5), r"class 1 has 1 group\(s\), and 2 parts", id="few groups"),
        pytest.param([0, 1], [1], (0.5, 0.5), "2 labels and 1 groups", id="lengths"),
        pytest.param([], [], (0.5, 0.5), "0 labels", id="empty"),
        pytest.param([0, 1], [1, 2], (0.5, 0.6), "must be >= 0 and sum to 1", id="sum"),
        pytest.param([0, 1], [1, 2], (1.5, -0.5), "must be >= 0 and sum to 1", id="negative"),
    ],
)
def test_impossible_splits_are_refused(labels: list, groups: list, fractions: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_by_group(labels, groups, fractions)


def test_folds_hold_out_every_case_once_and_keep_groups_whole() -> None:
    labels, groups = cohort()
    folds = grouped_folds(labels, groups, 5, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(300))
    owners = [{groups[k] for k in fold} for fold in folds]
    assert sum(map(len, owners)) == len(set(groups))
    np.testing.assert_allclose([np.mean(np.array(labels)[fold]) for fold in folds], np.mean(labels), atol=0.05)


def test_as_many_folds_as_groups_leave_one_group_out() -> None:
    folds = grouped_folds([0, 1] * 4, ["a", "a", "b", "b", "c", "c", "d", "d"], 4)
    assert sorted(fold.tolist() for fold in folds) == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("num_folds", [1, 4])
def test_a_wrong_number_of_folds_is_refused(num_folds: int) -> None:
    with pytest.raises(ValueError, match=f"num_folds is {num_folds}, and 3 groups allow 2 to 3"):
        grouped_folds([0, 1, 0], [1, 2, 3], num_folds)


def test_folds_share_out_site_and_class_evenly() -> None:
    rng = np.random.default_rng(0)
    labels, sites = (rng.random(400) < 0.45).astype(int).tolist(), rng.choice(8, 400, p=np.arange(1, 9) / 36).tolist()
    strata = combined_strata(labels, list(range(400)), [sites], 5)
    for fold in grouped_folds(strata, list(range(400)), 5, seed=1):
        for site in range(8):
            for label in (0, 1):
                members = [k for k in range(400) if sites[k] == site and labels[k] == label]
                if len(members) >= 5:
                    assert abs(len(set(members) & set(fold.tolist())) - len(members) / 5) < 1


def test_rare_strata_are_joined_within_their_class() -> None:
    labels = [0] * 12 + [1] * 12
    sites = ["A"] * 8 + ["B"] * 2 + ["C"] * 2 + ["A"] * 10 + ["B"] * 2
    groups = list(range(24))
    assert combined_strata(labels, groups, [sites], 4) == [0] * 8 + [1] * 4 + [2] * 12  # B of class 1 joins A
    assert len(set(combined_strata(labels, groups, [sites], 2))) == 5
    assert combined_strata(labels, groups, [], 4) == labels
    assert combined_strata(labels, groups, [sites], 100) == labels
    assert len(set(combined_strata(labels, [k // 2 for k in groups], [sites], 2))) == 2 + 1  # groups count, not cases
