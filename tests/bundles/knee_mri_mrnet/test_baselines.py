import numpy as np
import pytest
import torch
from scripts.baselines import (
    StatisticsBaseline,
    best_planes,
    mean_of_logits,
    plane_statistics,
    single_plane,
    youden_cuts,
)


def test_statistics_of_a_known_plane_ignore_empty_slices() -> None:
    plane = np.zeros((3, 10, 10), dtype=np.float32)
    plane[1] = np.arange(1, 101).reshape(10, 10) / 100
    found = plane_statistics(plane)
    assert found[:2] == pytest.approx([0.505, np.std(np.arange(1, 101)) / 100])
    assert found[2:8] == pytest.approx(np.percentile(np.arange(1, 101) / 100, [5, 25, 50, 75, 95, 99]))
    assert found[8] == pytest.approx(0.2)
    assert np.isnan(plane_statistics(np.zeros((3, 10, 10)))).all()


def exams(count: int, missing: bool = False) -> list[dict]:
    """ACL exams are brighter in the sagittal plane; all are abnormal; no label of the meniscus is known for some."""
    generator = torch.Generator().manual_seed(count)
    items = []
    for k in range(count):
        image = 0.3 + 0.05 * torch.rand(3, 4, 8, 8, generator=generator)
        image[2] += 0.4 * (k % 2)
        if missing:
            image[0] = 0
        items.append({"id": f"{k}", "image": image, "abnormal": 1, "acl": k % 2, "meniscus": -1 if k % 3 else k % 2})
    return items


def test_the_regression_learns_brightness_and_orders_by_id() -> None:
    probabilities = StatisticsBaseline(exams(20), exams(6))(["5", "0", "1"])
    assert probabilities.shape == (3, 3)
    assert (probabilities[:, 1] > 0.5).tolist() == [True, False, True]
    assert probabilities[:, 0].tolist() == [1, 1, 1]  # one class in training: its share


def test_an_exam_without_a_plane_is_scored_by_the_others() -> None:
    probabilities = StatisticsBaseline(exams(20), exams(6, missing=True))(["1", "2"])
    assert (probabilities[:, 1] > 0.5).tolist() == [True, False]


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="id 'x' is not among the cases"):
        StatisticsBaseline(exams(4), exams(2))(["x"])
    unlabelled = [item | {"acl": -1} for item in exams(4)]
    with pytest.raises(ValueError, match="task 'acl' has no labelled training exam"):
        StatisticsBaseline(unlabelled, exams(2))(["0"])


def test_the_mean_and_the_single_plane_use_the_planes_at_hand() -> None:
    members = np.arange(18.0).reshape(2, 3, 3)
    members[1, 0] = np.nan  # what a network says about a missing plane must not matter
    present = np.array([[True, True, True], [False, True, True]])
    mean = mean_of_logits(members, present)
    assert mean.tolist() == [[3, 4, 5], [13.5, 14.5, 15.5]]
    chosen = single_plane(members, present, [0, 1, 2])
    assert chosen.tolist() == [[0, 4, 8], [13.5, 13, 17]]


def test_the_best_plane_has_the_largest_area_and_then_the_smaller_brier_score() -> None:
    truth = np.array([0, 0, 1, 1])
    members = np.zeros((4, 3, 3))
    members[:, 2, 0] = truth  # abnormal: only sagittal ranks
    members[:, 0, 1] = 0.1 * (truth - 0.5)  # acl: axial and coronal rank alike, coronal is surer
    members[:, 1, 1] = 6 * (truth - 0.5)
    labels = np.stack([truth, truth, np.array([1, 1, 1, -1])], axis=1)
    members[:, 1, 2] = 3  # meniscus: one class only, Brier decides
    assert best_planes(members, np.ones((4, 3), dtype=bool), labels) == [2, 1, 1]


def test_cuts_are_youden_and_half_without_both_classes() -> None:
    scores = np.array([[0.1, 0.2], [0.3, 0.2], [0.7, 0.2], [0.8, 0.9]])
    cuts = youden_cuts(scores, np.array([[0, 1], [0, 1], [1, -1], [1, 1]]))
    assert cuts.tolist() == pytest.approx([0.5, 0.5])
    assert youden_cuts(scores[:, :1], np.array([[0], [1], [1], [1]]))[0] == pytest.approx(0.2)
