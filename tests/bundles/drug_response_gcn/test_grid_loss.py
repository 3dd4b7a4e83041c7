import pytest
import torch
from scripts.grid_loss import GridLoss
from torch import Tensor

NAN = torch.nan


def loss_of(scales: Tensor) -> GridLoss:
    lead = torch.zeros(len(scales), 3)
    lead[:, 1] = scales
    network = torch.nn.Module()
    network.lead = lead
    return GridLoss(network)


def test_it_is_the_mean_over_measured_pairs_in_units_of_the_drug() -> None:
    pred = torch.tensor([[1.0, 2.0], [3.0, 9.0]])
    target = torch.tensor([[0.0, 6.0], [1.0, NAN]])
    found = loss_of(torch.tensor([1.0, 2.0]))(pred, target)  # errors 1, -4 / 2, 2
    assert float(found) == pytest.approx((1 + 4 + 4) / 3)


def test_drugs_of_different_spread_count_alike() -> None:
    scales = torch.tensor([0.1, 10.0])
    pred = torch.zeros(5, 2)
    loss = loss_of(scales)
    assert loss(pred, pred + torch.tensor([0.1, 0.0])) == pytest.approx(
        float(loss(pred, pred + torch.tensor([0, 10.0])))
    )


@pytest.mark.parametrize("where", ["target", "pred", "both", "everywhere"])
def test_nan_is_left_out_and_gradients_stay_finite(where: str) -> None:
    torch.manual_seed(0)
    out, target = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    hole = torch.zeros(6, 4, dtype=torch.bool)
    hole[1:3, 2] = True
    if where == "everywhere":
        hole[:] = True
    pred = out.masked_fill(hole, NAN) if where != "target" else out
    loss = loss_of(torch.full((4,), 0.5))(pred, target.masked_fill(hole, NAN) if where != "pred" else target)
    loss.backward()
    expected = ((out - target)[~hole] / 0.5).square().mean() if where != "everywhere" else torch.tensor(0.0)
    assert torch.allclose(loss, expected)
    assert out.grad.isfinite().all() and (out.grad[hole] == 0).all() and (out.grad[~hole] != 0).all()


def test_a_diverged_network_is_not_hidden() -> None:
    assert loss_of(torch.ones(1))(torch.tensor([[torch.inf]]), torch.ones(1, 1)).isinf()


def test_the_scales_are_those_of_the_library_of_the_moment() -> None:
    loss = loss_of(torch.ones(2))
    loss.network.lead = torch.tensor([[0.0, 2.0, 0.0]])
    assert float(loss(torch.tensor([[4.0]]), torch.zeros(1, 1))) == 4
