from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor, decollate_batch
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


def test_any_shape_with_a_small_placeholder_and_further_entries(tmp_path: Path) -> None:
    sizes = {"a": (2, 4, 5), "b": (2, 7, 3)}
    for name, size in sizes.items():
        np.save(tmp_path / f"{name}.npy", np.ones(size, np.float32))
    load = LoadImaged(["image", "mri"], image_only=True, allow_missing_keys=True)
    rename = Compose([load, lambda item: item | {"chroma": item["mri"]} if "mri" in item else item])
    data = [
        item(tmp_path / "a.npy", mri=str(tmp_path / "b.npy")),
        item(tmp_path / "b.npy"),
        item(tmp_path / "c.npy", mri=str(tmp_path / "b.npy")),
    ]
    dataset = TolerantDataset(data, rename, None, ("image", "mri"), ("chroma",), placeholder_shape=(2, 8, 8))
    first, second, broken = (dataset[k] for k in range(3))
    assert first["image"].shape == sizes["a"] and first["chroma"].shape == sizes["b"]
    assert second["image"].shape == sizes["b"] and "chroma" not in second and not second["error"]
    assert broken["image"].shape == (2, 8, 8) and "chroma" not in broken and broken["error"]


@pytest.mark.parametrize("track", [False, True])
def test_metadata_is_kept_on_request(tmp_path: Path, track: bool) -> None:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), np.float32), affine), tmp_path / "a.nii")
    dataset = TolerantDataset(
        [item(tmp_path / "a.nii"), item(tmp_path / "b.nii")],
        Compose([LoadImaged("image", ensure_channel_first=True, image_only=True)]),
        None,
        track_meta=track,
    )
    assert [isinstance(dataset[k]["image"], MetaTensor) for k in range(2)] == [track, track]
    if track:
        np.testing.assert_array_equal(dataset[0]["image"].affine, affine)
        batch = next(iter(DataLoader(dataset, batch_size=1)))
        np.testing.assert_array_equal(decollate_batch(batch)[0]["image"].affine, affine)
