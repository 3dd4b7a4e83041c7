import math

import pytest
import torch
from torch import Tensor

from common.losses import group_consistency_loss
from tests.bundles.brain_fmri_braingnn import naive_braingnn as naive


def batch(graphs: int = 9, regions: int = 6) -> tuple[Tensor, Tensor]:
    labels = torch.arange(graphs) % 3
    labels[-1] = 7  # a class of one graph
    return torch.randn(graphs, regions, dtype=torch.float64), labels


def test_equation_9_equals_the_loop_over_pairs() -> None:
    scores, labels = batch()
    expected = naive.group_consistency_loss(scores, labels)
    assert (group_consistency_loss(scores, labels, "none") - expected).abs() <= 1e-10


def test_equation_9_with_missing_regions_equals_the_loop_over_pairs() -> None:
    scores, labels = batch()
    scores[0, 1] = scores[3, 1] = scores[4, 5] = math.nan
    expected = naive.group_consistency_loss(scores, labels)
    assert (group_consistency_loss(scores, labels, "none") - expected).abs() <= 1e-10


def test_it_equals_twice_the_trace_with_the_laplacian() -> None:
    scores, labels = batch()
    trace = torch.zeros((), dtype=torch.float64)
    for label in labels.unique():
        own = scores[labels == label]
        laplacian = len(own) * torch.eye(len(own), dtype=torch.float64) - torch.ones(len(own), len(own))
        trace += 2 * torch.trace(own.T @ laplacian @ own)
    assert (group_consistency_loss(scores, labels, "none") - trace).abs() <= 1e-10


def test_hand_computed_values_of_every_scale() -> None:
    # class 0: two graphs, squared distance 4 + 1, counted in both orders; class 1: one graph
    scores, labels = torch.tensor([[0.0, 1.0], [2.0, 2.0], [9.0, 9.0]]), torch.tensor([0, 0, 1])
    found = [float(group_consistency_loss(scores, labels, scale)) for scale in ("none", "pairs", "pairs_nodes")]
    assert found == [10, 2.5, 1.25]


def test_the_default_scale_is_near_2_for_unrelated_scores_whatever_the_batch_and_the_atlas() -> None:
    for graphs, regions in ((60, 30), (30, 200)):
        scores = torch.randn(graphs, regions)
        assert float(group_consistency_loss(scores, torch.zeros(graphs))) == pytest.approx(2, abs=0.2)


def test_it_compares_region_by_region_and_not_rank_by_rank() -> None:
    # the same numbers in another order are the same ranks, but other regions
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    labels = torch.tensor([1, 1])
    assert group_consistency_loss(scores, labels) > 0
    assert group_consistency_loss(scores.sort(1).values, labels) == 0
    order = torch.randperm(3)
    assert torch.allclose(group_consistency_loss(scores[:, order], labels), group_consistency_loss(scores, labels))


def test_classes_are_apart_and_the_order_of_graphs_does_not_matter() -> None:
    scores, labels = batch()
    parts = [group_consistency_loss(scores[labels == c], labels[labels == c]) for c in labels.unique()]
    assert torch.allclose(group_consistency_loss(scores, labels), sum(parts))
    order = torch.randperm(len(labels))
    assert torch.allclose(group_consistency_loss(scores[order], labels[order]), sum(parts))


def test_equal_scores_and_lone_graphs_cost_nothing() -> None:
    assert group_consistency_loss(torch.ones(4, 3), torch.zeros(4)) == 0
    assert group_consistency_loss(torch.randn(3, 5), torch.arange(3)) == 0


def test_gradients_with_a_missing_region() -> None:
    scores, labels = batch(5, 3)
    missing = torch.zeros_like(scores, dtype=torch.bool)
    missing[0, 1] = True
    assert torch.autograd.gradcheck(
        lambda s: group_consistency_loss(s.masked_fill(missing, math.nan), labels), (scores.requires_grad_(),)
    )


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"normalise is 'mean', choose one of \['none', 'pairs', 'pairs_nodes'\]"):
        group_consistency_loss(*batch(), normalise="mean")
    with pytest.raises(ValueError, match=r"scores have shape \(9, 6\) and labels \(4,\); expected \(M, N\) and \(M,\)"):
        group_consistency_loss(batch()[0], torch.zeros(4))
