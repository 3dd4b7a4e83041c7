import pytest
import torch
from scripts.flip_inferer import FlipInferer


class Corner(torch.nn.Module):
    """Not symmetric: the logit of class 1 is the voxel at the origin."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros(len(image)), image[:, 0, 0, 0, 0]], 1)


def test_probabilities_are_averaged_over_all_flips() -> None:
    image = torch.randn(3, 1, 2, 2, 2)
    result = FlipInferer()(image, Corner()).softmax(1)[:, 1]
    assert torch.allclose(result, image.sigmoid().mean((1, 2, 3, 4)), atol=1e-6)
    assert torch.allclose(FlipInferer()(image.flip(2, 4), Corner()).softmax(1)[:, 1], result, atol=1e-6)


@pytest.mark.parametrize(("axes", "passes"), [((), 1), ((2,), 2), ((0, 1, 2), 8)], ids=["none", "one", "three"])
def test_cost_is_two_to_the_number_of_axes(axes: tuple[int, ...], passes: int) -> None:
    calls = []

    def network(image: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return Corner()(image)

    FlipInferer(axes)(torch.zeros(1, 1, 2, 2, 2), network)
    assert len(calls) == passes
