"""Exams of unlike length become one batch, and the network answers as for each alone."""

import pytest
import torch
from scripts.network import MRNet
from scripts.pad_slices import pad_slices


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        pytest.param([(4, 8, 8), (6, 8, 8)], (2, 6, 8, 8), id="slices"),
        pytest.param([(5, 10), (3, 10)], (2, 5, 10), id="features"),
        pytest.param([(3, 4, 8, 8), (3, 2, 8, 8)], (2, 3, 4, 8, 8), id="three planes"),
    ],
)
def test_short_exams_get_empty_slices_at_the_end(shapes: list[tuple[int, ...]], expected: tuple[int, ...]) -> None:
    items = [{"image": torch.rand(shape) + 0.1, "id": str(k)} for k, shape in enumerate(shapes)]
    batch = pad_slices(items)
    assert batch["image"].shape == expected
    assert batch["id"] == ["0", "1"]
    for padded, item in zip(batch["image"], items, strict=True):
        inside = tuple(slice(0, size) for size in item["image"].shape)
        assert torch.equal(padded[inside], item["image"])
        assert padded.count_nonzero() == item["image"].numel()


def test_a_padded_batch_gives_the_logits_of_single_exams() -> None:
    torch.manual_seed(0)
    network = MRNet("alexnet").eval()
    items = [{"image": torch.rand(slices, 64, 64)} for slices in (2, 5)]
    together = network(pad_slices(items)["image"])
    alone = torch.cat([network(item["image"][None]) for item in items])
    assert torch.allclose(together, alone, atol=1e-6)
