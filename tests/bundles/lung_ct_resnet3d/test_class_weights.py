import pytest
import torch
from ignite.metrics import Loss
from scripts.class_weights import inverse_frequency


def test_every_class_gets_the_same_total_weight() -> None:
    weights = inverse_frequency([0] * 900 + [1] * 100, 2)
    assert weights.tolist() == pytest.approx([1000 / 1800, 1000 / 200])


def test_an_absent_or_unknown_class_is_an_error_and_no_infinity() -> None:
    # fault 19: 1 / bincount gives inf
    with pytest.raises(ValueError, match=r"no case of class \[1\]"):
        inverse_frequency([0, 0], 2)
    with pytest.raises(ValueError, match=r"labels \[-1\] are outside 0..1"):
        inverse_frequency([0, -1], 2)


def test_the_epoch_average_of_a_weighted_loss_divides_by_the_weights() -> None:
    # fault 23: the mean of batch means weighted by batch size differs when classes are uneven over batches
    weights = torch.tensor([0.5, 5.0])
    loss = torch.nn.CrossEntropyLoss(weights)
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(12, 2, generator=generator), torch.tensor([0] * 8 + [1] * 4)
    metric = Loss(loss, batch_size=lambda label: loss.weight[label].sum())
    naive = 0.0
    for part in (slice(0, 8), slice(8, 12)):
        metric.update((logits[part], labels[part]))
        naive += float(loss(logits[part], labels[part])) * len(labels[part]) / 12
    assert metric.compute() == pytest.approx(float(loss(logits, labels)))
    assert abs(naive - float(loss(logits, labels))) > 0.1
