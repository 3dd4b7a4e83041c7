import math

import pytest
import torch

from common.losses import topk_pool_loss
from tests.bundles.brain_fmri_braingnn import naive_braingnn as naive


def standardised(graphs: int = 4, regions: int = 7) -> torch.Tensor:
    scores = torch.randn(graphs, regions, dtype=torch.float64)
    return (scores - scores.mean(1, keepdim=True)) / scores.std(1, correction=0, keepdim=True)


@pytest.mark.parametrize("num_kept", [1, 4, 7])
def test_equation_8_equals_a_loop_over_graphs_and_ranks(num_kept: int) -> None:
    scores = standardised()
    scores[0, 2] = scores[1, :4] = math.nan  # 3 of 7 present in graph 1
    assert (topk_pool_loss(scores, num_kept) - naive.topk_pool_loss(scores, num_kept)).abs() <= 1e-10


def test_standardised_scores_allow_no_less_than_03133() -> None:
    least = topk_pool_loss(torch.tensor([[1.0, -1, 1, -1]]), 2)
    assert float(least) == pytest.approx(0.3133, abs=5e-5)
    assert float(least) == pytest.approx(math.log(1 + math.exp(-1)))
    assert all(topk_pool_loss(standardised(1, 8), 4) >= least for _ in range(50))


def test_it_sees_all_scores_and_not_the_kept_ones_alone() -> None:
    scores = standardised(1, 6)
    dropped = scores.argmin()
    lower = scores.index_put((torch.tensor([0]), dropped[None]), scores.min()[None] - 1)
    assert topk_pool_loss(lower, 3) < topk_pool_loss(scores, 3)


def test_scores_of_0_cost_log_2_and_the_order_of_regions_nothing() -> None:
    assert float(topk_pool_loss(torch.zeros(3, 6), 2)) == pytest.approx(math.log(2))
    scores = standardised()
    assert torch.allclose(topk_pool_loss(scores[:, torch.randperm(7)], 3), topk_pool_loss(scores, 3))


def test_missing_regions_and_empty_graphs_do_not_count() -> None:
    scores = standardised(3, 6)
    wider = torch.cat([scores, torch.full((3, 2), math.nan)], dim=1)
    with_empty = torch.cat([wider, torch.full((1, 8), math.nan)])
    assert torch.allclose(topk_pool_loss(with_empty, 3), topk_pool_loss(scores, 3))
    nothing = torch.full((2, 4), math.nan, requires_grad=True)
    loss = topk_pool_loss(nothing, 2)
    loss.backward()
    assert loss == 0 and nothing.grad.tolist() == [[0] * 4] * 2


def test_extreme_scores_stay_finite() -> None:
    assert topk_pool_loss(torch.tensor([[1e4, -1e4]]), 1) == 0
    assert topk_pool_loss(torch.tensor([[-1e4, -1e4]]), 1).isfinite()


def test_gradients() -> None:
    scores = standardised(2, 6)
    scores[0, 1] = math.nan
    present = scores.isfinite()
    filled = scores.nan_to_num().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: topk_pool_loss(s.masked_fill(~present, math.nan), 3), (filled,))


@pytest.mark.parametrize(("shape", "num_kept"), [((3, 4), 0), ((3, 4), 5), ((4,), 2)])
def test_bad_input_is_refused(shape: tuple[int, ...], num_kept: int) -> None:
    with pytest.raises(
        ValueError, match=rf"topk_pool_loss: num_kept is {num_kept} for scores of shape .* 1 <= num_kept <= N"
    ):
        topk_pool_loss(torch.zeros(shape), num_kept)
