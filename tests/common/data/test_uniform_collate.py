import pytest
import torch
from monai.data import DataLoader

from common.data.uniform_collate import uniform_collate


def case(name: str, colour: bool) -> dict:
    return {"id": name, "image": torch.ones(2, 4, 4)} | ({"chroma": torch.ones(2, 4, 4)} if colour else {})


def test_equal_entries_are_joined() -> None:
    batch = next(iter(DataLoader([case("a", True), case("b", True)], batch_size=2, collate_fn=uniform_collate)))
    assert batch["id"] == ["a", "b"]
    assert batch["image"].shape == batch["chroma"].shape == (2, 2, 4, 4)


@pytest.mark.parametrize("first", [False, True], ids=["gray-first", "colour-first"])
def test_colour_beside_gray_is_refused_and_not_dropped(first: bool) -> None:
    with pytest.raises(ValueError, match="cases a and b of one batch differ in chroma; pass --batch_size 1"):
        uniform_collate([case("a", first), case("b", not first)])
