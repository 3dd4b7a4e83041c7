import pytest
import torch
from scripts.dynamic_network import DynamicBrainGNN
from scripts.network import BrainGNN
from torch import Tensor

N, W = 8, 3
SMALL = {"num_regions": N, "channels": (5, 4), "num_communities": 2, "ratio": 0.75, "hidden_channels": (6,)}


def windows(batch: int = 4, count: int = W) -> Tensor:
    """Symmetric, zero diagonal, (B, 2 W, N, N), edges positive."""
    pair = torch.randn(batch, count, 2, N, N).triu(1)
    pair[:, :, 1] = pair[:, :, 1].abs()
    return (pair + pair.mT).flatten(1, 2)


@pytest.fixture
def network() -> DynamicBrainGNN:
    torch.manual_seed(0)
    return DynamicBrainGNN(**SMALL).eval()


def test_padded_windows_have_no_influence(network: DynamicBrainGNN) -> None:
    image = windows()
    padded = torch.cat([image, torch.zeros(4, 4, N, N)], dim=1)
    assert torch.allclose(network(image), network(padded), atol=1e-6)
    assert torch.allclose(network(image, True), network(padded, True), atol=1e-6, equal_nan=True)
    assert not torch.allclose(network(image), network(torch.cat([image, windows(count=2)], dim=1)), atol=1e-4)


def test_padding_gets_no_gradient(network: DynamicBrainGNN) -> None:
    image = windows()
    image[0, 4:] = 0
    image.requires_grad_()
    network(image).sum().backward()
    assert image.grad is not None and not image.grad[0, 4:].any() and image.grad[1, 4:].any()


def test_one_window_is_the_static_network(network: DynamicBrainGNN) -> None:
    image = windows(count=1)
    for scores in (False, True):
        assert torch.allclose(network(image, scores), network.encoder(image, scores), atol=1e-6, equal_nan=True)


def test_order_of_windows_does_not_matter(network: DynamicBrainGNN) -> None:
    image = windows()
    turned = image.view(4, W, 2, N, N).flip(1).flatten(1, 2)
    assert torch.allclose(network(image), network(turned), atol=1e-6)


def test_a_subject_without_windows_stays_finite(network: DynamicBrainGNN) -> None:
    image = windows()
    image[1] = 0
    assert torch.isfinite(network(image)).all()


def test_feature_scale_is_that_of_the_first_window(network: DynamicBrainGNN) -> None:
    network.set_feature_scale(torch.stack([torch.full((N, N), float(k + 2)) for k in range(2 * W)]))
    assert torch.equal(network.encoder.feature_std, torch.full((N, N), 2.0))
    assert isinstance(network.encoder, BrainGNN)
