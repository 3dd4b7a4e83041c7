import numpy as np
import pytest

from common.metrics import matched_pairs


def test_pairs_of_a_small_table_are_the_nearest_within_site() -> None:
    labels = [0, 1, 0, 1, 1, 0]
    motion = [0.10, 0.12, 0.30, 0.29, 0.11, 0.12]
    sites = ["A", "A", "A", "A", "B", "B"]
    assert matched_pairs(labels, motion, sites, caliper=0.05).tolist() == [[0, 1], [2, 3], [5, 4]]


def test_the_most_pairs_are_found_not_the_greediest() -> None:
    # 2-1 is the closest pair of all, but it would leave 0 and 3 without a partner
    assert matched_pairs([0, 1, 0, 1], [0.0, 1.0, 1.1, 2.0], caliper=1.0).tolist() == [[0, 1], [2, 3]]


def test_matching_takes_the_difference_of_motion_away() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    motion = generator.gamma(2, 0.05, 400) + 0.04 * labels
    sites = generator.integers(0, 5, 400).tolist()
    motion[7] = np.nan
    pairs = matched_pairs(labels.tolist(), motion.tolist(), sites)
    assert len(pairs) > 100
    assert 7 not in pairs
    assert len(np.unique(pairs)) == pairs.size
    assert (labels[pairs] == [0, 1]).all()
    assert all(sites[a] == sites[b] for a, b in pairs)
    assert np.abs(motion[pairs[:, 0]] - motion[pairs[:, 1]]).max() <= 0.2 * np.nanstd(motion)
    before = np.nanmean(motion[labels == 1]) - np.nanmean(motion[labels == 0])
    assert abs(np.diff(motion[pairs].mean(axis=0))[0]) < before / 5


def test_a_site_with_one_class_or_no_near_value_has_no_pairs() -> None:
    assert matched_pairs([0, 0, 1, 0], [1.0, 1.0, 5.0, 1.0], ["A", "A", "B", "B"], caliper=0.5).shape == (0, 2)


def test_labels_and_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match=r"matched_pairs: 2 labels \[0, 2\]"):
        matched_pairs([0, 2], [0.1, 0.1])
    with pytest.raises(ValueError, match="1 values and 2 strata"):
        matched_pairs([0, 1], [0.1])
