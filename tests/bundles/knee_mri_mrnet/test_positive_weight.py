"""The weight of rare positives balances the loss; the tutorial's weight of the output unit balances nothing."""

import pytest
import torch
from scripts.positive_weight import positive_weight
from torch.nn.functional import binary_cross_entropy_with_logits


def test_it_is_negatives_over_positives() -> None:
    assert positive_weight([1, 0, 0, 0]).tolist() == [3.0]


def test_both_classes_pull_alike_at_the_start() -> None:
    labels = [1] * 3 + [0] * 9
    logits = torch.zeros(12, 1, requires_grad=True)
    target = torch.tensor(labels, dtype=torch.float32)[:, None]
    binary_cross_entropy_with_logits(logits, target, pos_weight=positive_weight(labels)).backward()
    assert logits.grad is not None
    assert float(logits.grad[:3].sum()) == pytest.approx(-float(logits.grad[3:].sum()))


def test_the_tutorials_weight_of_the_unit_balances_nothing() -> None:
    unit = torch.tensor([1.0, 3.0])  # weight=[1, neg/pos] on two sigmoid outputs, as in the tutorial
    losses = [binary_cross_entropy_with_logits(torch.zeros(1, 2), torch.eye(2)[[k]], weight=unit) for k in (0, 1)]
    assert float(losses[0]) == pytest.approx(float(losses[1]))
    right = [
        binary_cross_entropy_with_logits(torch.zeros(1, 1), torch.full((1, 1), k), pos_weight=torch.tensor([3.0]))
        for k in (0.0, 1.0)
    ]
    assert float(right[1]) == pytest.approx(3 * float(right[0]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param([0, 0], "0 of 2 training exams are positive", id="no positive"),
        pytest.param([1, 1], "2 of 2 training exams are positive", id="no negative"),
        pytest.param([0, 1, -1], "label -1 is neither 0 nor 1", id="unlabelled"),
    ],
)
def test_bad_labels_are_named(labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        positive_weight(labels)
