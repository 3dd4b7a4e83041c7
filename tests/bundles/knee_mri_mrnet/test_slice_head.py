from typing import Any

import pytest
import torch
from scripts.slice_head import SliceHead
from torch import nn

F = 6


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("pooling", ["max", "attention"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_classifies_the_pooled_vector(head: str, pooling: str, outputs: int) -> None:
    network, features = SliceHead(F, head, pooling, num_outputs=outputs), torch.randn(2, 4, F)
    pooled = network.pooled(features)
    assert pooled.shape == (2, F)
    logits = network(features)
    assert logits.shape == (2, outputs)
    assert torch.equal(logits, network.classifier(pooled))


def test_linear_head_by_hand() -> None:
    network = SliceHead(2)
    network.classifier[-1].weight.data = torch.tensor([[2.0, -1.0]])
    network.classifier[-1].bias.data = torch.tensor([0.5])
    features = torch.tensor([[[1.0, 4.0], [3.0, 2.0], [0.0, 0.0]]])  # maximum (3, 4)
    assert network(features).item() == pytest.approx(2 * 3 - 4 + 0.5)


def test_mlp_is_linear_relu_dropout_linear() -> None:
    layers = [type(layer) for layer in SliceHead(F, "mlp", dropout=0.5).classifier]
    assert layers == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]


def test_exam_without_slices_gets_the_bias() -> None:
    network = SliceHead(F)
    assert torch.equal(network(torch.zeros(1, 3, F))[0], network.classifier[-1].bias)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_dropout_acts_in_training_only(head: str) -> None:
    network, features = SliceHead(F, head, dropout=0.5), torch.rand(1, 4, F)
    assert len({network(features).item() for _ in range(20)}) > 1
    network.eval()
    assert len({network(features).item() for _ in range(20)}) == 1


def weights(network: SliceHead) -> list[torch.Tensor]:
    return [value.clone() for value in network.state_dict().values()]


def test_seed_fixes_the_weights_and_leaves_the_generator_alone() -> None:
    network = SliceHead(F, "mlp", "attention")
    network.reset_parameters(3)
    first, state = weights(network), torch.get_rng_state()
    network.reset_parameters(3)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(network), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    network.reset_parameters(4)
    assert not any(torch.equal(a, b) for a, b in zip(first, weights(network), strict=True))


def test_no_seed_draws_from_the_global_generator() -> None:
    network = SliceHead(F)
    network.reset_parameters()
    first = weights(network)
    network.reset_parameters()
    assert not any(torch.equal(a, b) for a, b in zip(first, weights(network), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"head": "conv"}, "head is 'conv', and known are", id="head"),
        pytest.param({"pooling": "mean"}, "pooling is 'mean', and known are", id="pooling"),
        pytest.param({"dropout": 1.0}, r"dropout is 1.0, which must lie in \[0, 1\)", id="dropout"),
    ],
)
def test_bad_argument_is_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SliceHead(F, **arguments)
