import torch

from common.layers import Readout
from tests.bundles.brain_fmri_braingnn import naive_braingnn as naive

from .graphs import graphs


def test_equation_5_equals_a_loop_over_regions() -> None:
    x, _ = graphs()
    expected = torch.stack([naive.readout([*graph]) for graph in x])
    assert (Readout()(x) - expected).abs().max() <= 1e-10


def test_absent_regions_do_not_count() -> None:
    x, _ = graphs()
    present = torch.rand(x.shape[:2]) < 0.6
    present[:, 0] = True
    expected = torch.stack([naive.readout([*graph[there]]) for graph, there in zip(x, present, strict=True)])
    assert (Readout()(x, present) - expected).abs().max() <= 1e-10
    assert torch.allclose(Readout()(x, torch.ones_like(present)), Readout()(x))


def test_mean_comes_first_then_the_maximum() -> None:
    x = torch.tensor([[[1.0, -4.0], [3.0, -2.0]]])
    assert Readout()(x).tolist() == [[2, -3, 3, -2]]


def test_a_graph_without_regions_gives_zeros_and_finite_gradients() -> None:
    x = torch.randn(1, 3, 2, requires_grad=True)
    out = Readout()(x, torch.zeros(1, 3, dtype=torch.bool))
    assert out.tolist() == [[0, 0, 0, 0]]
    out.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_the_order_of_the_regions_does_not_matter() -> None:
    x, _ = graphs()
    assert torch.allclose(Readout()(x[:, torch.randperm(x.shape[1])]), Readout()(x))


def test_gradients() -> None:
    x, _ = graphs(2, 4, 2)
    present = torch.tensor([[True, True, False, True]] * 2)
    assert torch.autograd.gradcheck(Readout(), (x.requires_grad_(),))
    assert torch.autograd.gradcheck(Readout(), (x, present))
