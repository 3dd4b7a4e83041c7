import pytest
import torch

from common.losses import unit_loss
from tests.bundles.brain_fmri_braingnn import naive_braingnn as naive


def test_equation_6_equals_a_loop() -> None:
    weights = [torch.randn(5, dtype=torch.float64), torch.randn(3, dtype=torch.float64)]
    norms = torch.stack([w.norm() for w in weights])
    assert (unit_loss(norms) - naive.unit_loss(weights)).abs() <= 1e-10


@pytest.mark.parametrize(("norms", "loss"), [([1.0, 1.0], 0.0), ([3.0, 1.0], 4.0), ([0.0, 0.5], 1.25)])
def test_it_is_the_squared_distance_from_length_1_and_not_shrinkage(norms: list[float], loss: float) -> None:
    assert float(unit_loss(torch.tensor(norms))) == loss


def test_leading_dimensions_are_averaged_so_that_a_repeated_row_changes_nothing() -> None:
    norms = torch.tensor([2.0, 0.5])
    assert unit_loss(norms.expand(7, 2)) == unit_loss(norms)
    assert unit_loss(torch.tensor([[2.0], [1.0]])) == 0.5


def test_gradients_point_to_length_1() -> None:
    norms = torch.tensor([[0.5, 2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit_loss, (norms,))
    unit_loss(norms).backward()
    assert norms.grad.tolist() == [[-1, 2]]
