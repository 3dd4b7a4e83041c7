import pytest
import torch
from scripts.slice_pooling import GatedAttention, MaxOverSlices, make_pooling
from torch import Tensor, nn

F = 5


def padded(features: Tensor, count: int) -> Tensor:
    return torch.cat([features, torch.zeros(len(features), count, features.shape[2])], dim=1)


@pytest.fixture(params=["max", "attention"])
def pooling(request: pytest.FixtureRequest) -> nn.Module:
    return make_pooling(request.param, F)


def test_empty_slices_have_no_influence(pooling: nn.Module) -> None:
    features = -torch.rand(2, 4, F)  # a maximum that saw the zeros would be 0
    assert torch.allclose(pooling(padded(features, 3)), pooling(features), rtol=0, atol=1e-7)


def test_empty_slices_have_no_influence_on_the_gradient(pooling: nn.Module) -> None:
    one = torch.randn(1, 4, F, requires_grad=True)
    weight = torch.randn(F)
    (alone,) = torch.autograd.grad((pooling(one) * weight).sum(), one)
    (beside,) = torch.autograd.grad((pooling(padded(one, 2)) * weight).sum(), one)
    assert torch.allclose(alone, beside, atol=1e-6)


def test_order_of_slices_does_not_matter(pooling: nn.Module) -> None:
    features = torch.randn(1, 6, F)
    assert torch.allclose(pooling(features.flip(1)), pooling(features), atol=1e-6)


def test_exam_without_slices_is_zero_with_finite_gradient(pooling: nn.Module) -> None:
    features = torch.zeros(2, 3, F, requires_grad=True)
    pooled = pooling(features)
    pooled.sum().backward()
    assert torch.equal(pooled, torch.zeros(2, F))
    assert features.grad is not None and features.grad.isfinite().all()


def test_max_by_hand() -> None:
    features = torch.tensor([[[1.0, -3.0], [0.0, 0.0], [-2.0, -1.0]]])
    assert MaxOverSlices()(features).tolist() == [[1.0, -1.0]]


def test_attention_equals_equations_7_and_9() -> None:
    pooling, features = GatedAttention(F, hidden_channels=3), torch.randn(1, 4, F)
    weights = [
        (
            pooling.score.weight[0]
            @ (
                torch.tanh(pooling.content.weight @ h + pooling.content.bias)
                / (1 + torch.exp(-(pooling.gate.weight @ h + pooling.gate.bias)))
            )
        ).exp()
        for h in features[0]
    ]
    expected = sum(weight / sum(weights) * h for weight, h in zip(weights, features[0], strict=True))
    assert torch.allclose(pooling(features)[0], expected, atol=1e-6)


def test_attention_sums_to_one_and_is_zero_on_empty_slices() -> None:
    attention = GatedAttention(F).attention(padded(torch.randn(3, 4, F), 2))
    assert torch.allclose(attention.sum(1), torch.ones(3))
    assert torch.equal(attention[:, 4:], torch.zeros(3, 2))


def test_unknown_pooling_is_an_error() -> None:
    with pytest.raises(ValueError, match="make_pooling: pooling is 'mean', and known are"):
        make_pooling("mean", F)
