import pytest
import torch
from scripts.multimodal_network import MultimodalBrainGNN
from torch import Tensor

N = 8
SMALL = {"num_regions": N, "channels": (5, 4), "num_communities": 2, "ratio": 0.75, "hidden_channels": (6,)}


def cases(batch: int = 4) -> Tensor:
    """Symmetric features and two adjacencies with zero diagonals, (B, 3, N, N)."""
    image = torch.randn(batch, 3, N, N).triu(1)
    image[:, 1:] = image[:, 1:].abs()
    return image + image.mT


@pytest.fixture(params=["gate", "branch"])
def network(request: pytest.FixtureRequest) -> MultimodalBrainGNN:
    torch.manual_seed(0)
    return MultimodalBrainGNN(request.param, **SMALL).eval()


def test_a_missing_modality_leaves_the_functional_network(network: MultimodalBrainGNN) -> None:
    image = cases()
    image[:, 2] = 0
    for scores in (False, True):
        alone = network.functional(image[:, :2], scores)
        assert torch.allclose(network(image, scores), alone, atol=1e-6, equal_nan=True)


def test_structure_changes_the_cases_that_have_it_only(network: MultimodalBrainGNN) -> None:
    image = cases()
    image[1, 2] = 0
    before = network.functional(image[:, :2])
    after = network(image)
    assert torch.allclose(after[1], before[1], atol=1e-6)
    assert not torch.allclose(after[0], before[0], atol=1e-5)


def test_fibres_to_a_region_without_signal_do_not_count() -> None:
    network = MultimodalBrainGNN("gate", **SMALL).eval()
    image = cases()
    image[:, :2, 3] = image[:, :2, :, 3] = 0
    without = image.clone()
    without[:, 2, 3] = without[:, 2, :, 3] = 0
    assert torch.allclose(network(image), network(without), atol=1e-6)


def test_every_part_learns(network: MultimodalBrainGNN) -> None:
    network.train()(cases(8)).square().sum().backward()
    part = network.gate if network.gate is not None else network.structural.conv1.basis  # type: ignore[union-attr]
    assert part.grad is not None and part.grad.abs().sum() > 0


def test_the_branch_takes_the_scale_of_its_channel() -> None:
    network = MultimodalBrainGNN("branch", **SMALL)
    network.set_feature_scale(torch.stack([torch.full((N, N), float(k + 2)) for k in range(3)]))
    assert network.functional.feature_std[0, 0] == 2 and network.structural.feature_std[0, 0] == 4  # type: ignore[union-attr]


def test_an_unknown_fusion() -> None:
    with pytest.raises(ValueError, match="MultimodalBrainGNN: fusion is 'sum', choose one of"):
        MultimodalBrainGNN("sum", **SMALL)
