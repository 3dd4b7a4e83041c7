import numpy as np
import pytest
import torch
from scripts.baselines import ForestBaseline, lung_statistics, occupancy, size_and_intensity


def ball(radius: float, value: float = 1.0) -> torch.Tensor:
    axes = torch.meshgrid(*[torch.arange(16.0) - 7.5] * 3, indexing="ij")
    return (value * (sum(a**2 for a in axes) < radius**2))[None]


def test_features_of_a_known_body() -> None:
    volume, x, y, z, mean, sd, highest = size_and_intensity({"image": ball(4, 0.5)})
    assert volume == float((ball(4) > 0).sum())
    assert (x, y, z) == (8, 8, 8)
    assert (mean, sd, highest) == (0.5, 0, 0.5)
    assert occupancy({"image": ball(4)}).shape == (4096,)
    assert np.array_equal(size_and_intensity({"image": ball(0)}), np.zeros(7))
    lung = lung_statistics({"image": ball(4, 0.5) + 0.1, "lung": ball(4)})
    assert lung == pytest.approx([0.6, 0, 0.6, 0.6, 0.6], abs=1e-6)


def test_the_forest_learns_from_training_and_orders_by_id() -> None:
    def cases(start: int) -> list[dict]:
        return [
            {"id": f"{start + k}", "image": ball(3 + k % 2 * 2 + 0.01 * k), "label": torch.tensor(k % 2)}
            for k in range(12)
        ]

    forest = ForestBaseline("size_and_intensity", cases(0), cases(100), num_classes=3)
    probabilities = forest(["101", "100"])
    assert probabilities.shape == (2, 3)
    assert probabilities.argmax(1).tolist() == [1, 0]
    assert probabilities[:, 2].tolist() == [0, 0]


def test_unknown_features_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        ForestBaseline("magic", [], [], 2)
