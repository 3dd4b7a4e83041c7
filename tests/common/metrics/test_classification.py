import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from common.metrics import (
    bootstrap_intervals,
    classification_metrics,
    decide,
    expected_calibration_error,
    fit_temperature,
    softmax,
    youden_threshold,
)


def test_figures_of_a_hand_made_table() -> None:
    positive = np.array([0.9, 0.8, 0.4, 0.3, 0.2])
    figures = classification_metrics(np.stack([1 - positive, positive], 1), np.array([1, 0, 1, 0, 0]))
    assert figures["auroc"] == pytest.approx(5 / 6)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["sensitivity"] == figures["recall"] == pytest.approx(1 / 2)
    assert figures["specificity"] == pytest.approx(2 / 3)
    assert figures["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert figures["precision"] == pytest.approx(1 / 2)
    assert figures["f1"] == pytest.approx(1 / 2)
    assert figures["brier"] == pytest.approx(np.mean([0.01, 0.64, 0.36, 0.09, 0.04]))


def test_weighted_recall_would_hide_imbalance_and_balanced_accuracy_does_not() -> None:
    labels = np.array([0] * 9 + [1])
    figures = classification_metrics(np.tile([0.8, 0.2], (10, 1)), labels)
    assert figures["accuracy"] == 0.9
    assert figures["balanced_accuracy"] == 0.5
    assert figures["recall"] == 0


def test_more_classes_are_macro_one_versus_rest() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=60)
    probabilities = softmax(generator.normal(size=(60, 3)) + 2 * np.eye(3)[labels])
    figures = classification_metrics(probabilities, labels)
    assert figures["auroc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert "sensitivity" not in figures


def test_areas_are_nan_when_a_class_is_absent() -> None:
    figures = classification_metrics(np.array([[0.3, 0.7]]), np.array([1]))
    assert np.isnan(figures["auroc"])
    assert np.isnan(figures["specificity"])
    assert figures["accuracy"] == 1


def test_shapes_and_thresholds_are_checked() -> None:
    with pytest.raises(ValueError, match="labels have shape"):
        classification_metrics(np.ones((2, 2)) / 2, np.array([1]))
    with pytest.raises(ValueError, match="a threshold needs 2 classes, got 3"):
        decide(np.ones((1, 3)) / 3, 0.5)


def test_youden_cuts_between_the_classes() -> None:
    assert youden_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="one class only"):
        youden_threshold(np.array([0.1, 0.2]), np.array([1, 1]))


def test_temperature_recovers_a_planted_scale() -> None:
    generator = np.random.default_rng(0)
    true = generator.normal(size=(20000, 2)) * 2
    labels = (generator.random(20000) < softmax(true)[:, 1]).astype(int)
    assert fit_temperature(true * 3, labels) == pytest.approx(3, rel=0.05)
    with pytest.raises(ValueError, match="labelled cases only"):
        fit_temperature(true[:2], np.array([-1, 0]))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.tile([0.25, 0.75], (4, 1))
    assert expected_calibration_error(probabilities, np.array([1, 1, 1, 0])) == pytest.approx(0)
    assert expected_calibration_error(probabilities, np.array([1, 1, 1, 1])) == pytest.approx(0.25)


def test_resampling_groups_widens_the_interval_of_repeated_cases() -> None:
    values = np.random.default_rng(0).normal(size=30).repeat(10)

    def mean(index: np.ndarray) -> dict[str, float]:
        return {"mean": float(values[index].mean())}

    grouped = bootstrap_intervals(mean, np.arange(30).repeat(10), 300)["mean"]
    single = bootstrap_intervals(mean, np.arange(300), 300)["mean"]
    assert grouped["value"] == single["value"]
    assert grouped["high"] - grouped["low"] > 2 * (single["high"] - single["low"])
    assert grouped["high"] - grouped["low"] == pytest.approx(2 * 1.96 * values.std() / 30**0.5, rel=0.2)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_figures_equal_those_of_scikit_learn_with_ties(num_classes: int) -> None:
    generator = np.random.default_rng(num_classes)
    labels = generator.permutation(np.arange(80) % num_classes)
    scores = np.round(generator.random((80, num_classes)) + 0.4 * np.eye(num_classes)[labels], 1) + 0.01
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    if num_classes == 2:
        probabilities = np.round(probabilities, 1)
    predicted = np.minimum(decide(probabilities), num_classes - 1 - (num_classes > 2))  # the last of 4 is never called
    found = classification_metrics(probabilities, labels, predicted)
    binary = num_classes == 2
    truth, given = (labels, probabilities[:, 1]) if binary else (np.eye(num_classes)[labels], probabilities)
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, given, average="macro"), abs=1e-12)
    expected = precision_recall_fscore_support(
        labels, predicted, average="binary" if binary else "macro", zero_division=0
    )
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3], abs=1e-12)
