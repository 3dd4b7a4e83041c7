from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, LoadImaged

from common.data.tolerant_dataset import TolerantDataset


def item(path: Path, **extra: str) -> dict:
    return {"image": str(path), "id": path.stem, "group": "g", "section": "test", "label": -1} | extra


def test_broken_cases_carry_one_sentence_and_good_ones_survive(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones((1, 2, 2, 2), np.float32))
    np.save(tmp_path / "flat.npy", np.ones((2, 2), np.float32))
    np.save(tmp_path / "nan.npy", np.full((1, 2, 2, 2), np.nan, np.float32))
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    names = ["good", "flat", "nan", "torn", "absent"]
    data = [item(tmp_path / f"{name}.npy") for name in names] + [item(tmp_path / "known.npy", error="gantry tilt")]
    dataset = TolerantDataset(data, Compose([LoadImaged("image")]), (1, 2, 2, 2))
    batch = next(iter(DataLoader(dataset, batch_size=6)))
    errors = dict(zip(batch["id"], batch["error"], strict=True))
    assert batch["image"].shape == (6, 1, 2, 2, 2)
    assert errors["good"] == ""
    assert torch.equal(torch.as_tensor(batch["image"][0]), torch.ones(1, 2, 2, 2))
    assert "shape (2, 2)" in errors["flat"]
    assert "NaN" in errors["nan"]
    assert errors["known"] == "gantry tilt"
    for name in ("torn", "absent"):
        assert errors[name]
        assert "\n" not in errors[name]


def test_a_keyboard_interrupt_is_no_broken_case(tmp_path: Path) -> None:
    def interrupted(_: dict) -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TolerantDataset([item(tmp_path / "a.npy")], interrupted, (1, 2, 2, 2))[0]
