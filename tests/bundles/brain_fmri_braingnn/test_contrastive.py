import math

import pytest
import torch
from scripts.contrastive import ContrastiveBrainGNN, TwoViewsLoss
from scripts.time_crops import RandTimeCrops, RandTimeCropsd

N = 8


def correlated(frames: int = 60) -> torch.Tensor:
    """Series (T, N) of two networks."""
    return torch.randn(frames, 2).repeat_interleave(N // 2, dim=1) + torch.randn(frames, N)


def test_two_views_loss_is_nt_xent() -> None:
    views = torch.tensor([[1.0, 0.0, 0.8, 0.6], [0.0, 2.0, 0.6, 0.8], [-1.0, 0.0, 0.0, -1.0]])
    temperature = 0.5
    points = torch.cat(views.chunk(2, dim=1)).tolist()  # first views of all, then second views
    total = 0.0
    for i, one in enumerate(points):
        weight = {
            j: math.exp(
                sum(a * b for a, b in zip(one, other, strict=True))
                / math.hypot(*one)
                / math.hypot(*other)
                / temperature
            )
            for j, other in enumerate(points)
            if j != i
        }
        total -= math.log(weight[(i + 3) % 6] / sum(weight.values()))
    assert TwoViewsLoss(temperature)(views, torch.zeros(3)).item() == pytest.approx(total / 6, abs=1e-5)


def test_equal_views_lose_less_than_shuffled_ones() -> None:
    first = torch.randn(6, 5)
    loss = TwoViewsLoss()
    assert loss(torch.cat([first, first], 1)) < loss(torch.cat([first, first.roll(1, 0)], 1))


def test_both_views_pass_one_encoder() -> None:
    network = ContrastiveBrainGNN(4, num_regions=N, channels=(5, 4), num_communities=2).eval()
    image = torch.randn(3, 4, N, N)
    image = (image + image.mT).abs()
    image[:, 2:] = image[:, :2]
    first, second = network(image).chunk(2, dim=1)
    assert first.shape == (3, 4) and torch.allclose(first, second, atol=1e-6)


def test_crops_are_graphs_of_two_stretches() -> None:
    series = correlated()
    crops = RandTimeCrops(0.5).set_random_state(1)
    image = crops(series)
    starts = [round(share * 30) for share in crops._starts]
    expected = torch.cat([crops.graph(crops.connectivity(series[k : k + 30])) for k in starts])
    assert starts[0] != starts[1] and torch.allclose(image, expected)


def test_crops_follow_from_the_seed() -> None:
    series = {"image": correlated(), "id": "a"}
    crops = RandTimeCropsd("image", fraction=0.5)
    first, second, again = (crops.set_random_state(seed)(series)["image"] for seed in (1, 2, 1))
    assert torch.equal(first, again) and not torch.equal(first, second)


def test_errors_of_crops() -> None:
    with pytest.raises(ValueError, match=r"RandTimeCrops: fraction is 0, it must lie in \(0, 1\]"):
        RandTimeCrops(0)
    with pytest.raises(ValueError, match="RandTimeCrops: subject 'a' has shape .* 3 frames or more"):
        RandTimeCropsd("image", fraction=0.1)({"image": torch.randn(20, N), "id": "a"})
