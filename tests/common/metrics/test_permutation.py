import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from common.metrics import permutation_test


def two_columns(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], axis=-1)


def naive(scores: np.ndarray, labels: np.ndarray, count: int) -> float:
    generator = np.random.default_rng(5)
    observed = roc_auc_score(labels, scores)
    reached = sum(roc_auc_score(generator.permutation(labels), scores) >= observed for _ in range(count))
    return (1 + reached) / (1 + count)


def test_p_is_that_of_a_naive_loop_with_ties() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 60)
    scores = np.round(np.clip(0.5 + 0.06 * (2 * labels - 1) + generator.normal(0, 0.25, 60), 0, 1), 1)
    p = permutation_test(two_columns(scores), labels, num_permutations=4000)
    assert 0.05 < p < 0.5
    assert p == pytest.approx(naive(scores, labels, 400), abs=0.06)


def test_p_is_uniform_without_a_relation_and_smallest_with_a_strong_one() -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(40) % 2
    chance = [permutation_test(two_columns(generator.random(40)), labels, num_permutations=99) for _ in range(200)]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.07)
    assert np.mean(np.array(chance) <= 0.05) <= 0.1
    assert permutation_test(two_columns(labels * 0.8 + 0.1), labels, num_permutations=99) == 0.01


def test_the_prevalence_of_sites_is_no_skill() -> None:
    generator = np.random.default_rng(2)
    sites = np.arange(400) % 2
    labels = (generator.random(400) < np.where(sites, 0.8, 0.2)).astype(int)
    scores = two_columns(sites * 0.5 + 0.3 * generator.random(400))  # knows the site, nothing else
    assert roc_auc_score(labels, scores[:, 1]) > 0.7
    assert permutation_test(scores, labels, num_permutations=200) < 0.01
    assert permutation_test(scores, labels, sites.tolist(), num_permutations=200) > 0.05


def test_copies_of_a_patient_are_no_further_evidence() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([0.1, 0.4, 0.3, 0.9])
    alone = permutation_test(two_columns(scores), labels, num_permutations=3000)
    copies = permutation_test(
        two_columns(np.repeat(scores, 20)), np.repeat(labels, 20), None, np.repeat(range(4), 20).tolist(), 3000
    )
    assert copies == pytest.approx(alone, abs=0.03)
    assert alone == pytest.approx(2 / 6, abs=0.03)  # two of the six ways to share out the labels reach 3 / 4


def test_repeats_are_averaged_and_more_classes_are_macro() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 3, 90)
    weak = generator.dirichlet(np.ones(3), 90)
    good = 0.5 * weak + 0.5 * np.eye(3)[labels]
    assert permutation_test(good, labels, num_permutations=99) == 0.01
    assert permutation_test(np.stack([weak, good]), labels, num_permutations=99) == 0.01
    np.testing.assert_equal(permutation_test(np.stack([weak, weak]), labels), permutation_test(weak, labels))


def test_one_class_has_no_p_value_and_lengths_are_checked() -> None:
    assert np.isnan(permutation_test(two_columns(np.array([0.1, 0.2])), [0, 0]))
    with pytest.raises(ValueError, match="permutation_test: 2 rows of probabilities, 3 labels"):
        permutation_test(two_columns(np.array([0.1, 0.2])), [0, 1, 1])
