import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import Dataset, PILReader
from monai.transforms import Compose, EnsureTyped, LoadImaged, RandGaussianNoised, ScaleIntensityRanged

from common.data.cached_dataset import CachedDataset
from common.transforms import CaseSeeded


@pytest.fixture
def item(tmp_path: Path) -> dict:
    np.save(tmp_path / "a.npy", np.arange(8.0).reshape(2, 2, 2))
    return {"image": str(tmp_path / "a.npy"), "id": "a", "group": "g", "section": "training", "label": 1, "age": None}


def pipeline(high: float = 8.0, noise: float | None = None) -> Compose:
    steps = [
        LoadImaged("image", ensure_channel_first=False, image_only=True),
        ScaleIntensityRanged("image", 0, high, 0, 1),
        EnsureTyped("image", track_meta=False),
    ]
    return Compose(steps + ([CaseSeeded([RandGaussianNoised("image", prob=1.0, std=noise)])] if noise else []))


def files(folder: Path) -> int:
    return len(list((folder / "cache").glob("*.pt")))


def test_a_second_use_is_a_hit(tmp_path: Path, item: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    first = CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]
    monkeypatch.setattr(LoadImaged, "__call__", lambda *_: pytest.fail("the file was read again"))
    second = CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]
    assert torch.equal(first["image"], second["image"])
    assert files(tmp_path) == 1


def test_random_transforms_and_labels_do_not_miss(tmp_path: Path, item: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]
    monkeypatch.setattr(LoadImaged, "__call__", lambda *_: pytest.fail("the file was read again"))
    moved = item | {"section": "test", "label": 0, "id": "b"}
    again = CachedDataset([moved], pipeline(noise=0.1), 3, str(tmp_path / "cache"))[0]
    assert (again["section"], again["label"], again["id"]) == ("test", 0, "b")


def test_steps_behind_the_cached_ones_do_not_miss(tmp_path: Path, item: dict) -> None:
    # training and validation share a cache: their pipelines differ behind the cached part only
    longer = Compose([*pipeline().transforms, ScaleIntensityRanged("image", 0, 1, 0, 2)])
    CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]
    assert CachedDataset([item], longer, 3, str(tmp_path / "cache"))[0]["image"].max() == 2 * 7 / 8
    assert files(tmp_path) == 1


def test_other_settings_or_an_edited_file_miss(tmp_path: Path, item: dict) -> None:
    CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]
    assert CachedDataset([item], pipeline(4.0), 3, str(tmp_path / "cache"))[0]["image"].max() == 7 / 4
    assert files(tmp_path) == 2
    np.save(item["image"], np.zeros((2, 2, 2)))
    os.utime(item["image"], (0, 0))
    assert CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]["image"].max() == 0
    assert files(tmp_path) == 3


def test_entries_that_cannot_be_batched_stay_behind(tmp_path: Path, item: dict) -> None:
    result = CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"), keys=["image"])[0]
    assert set(result) == {"image", "id", "group", "section", "label"}


def test_filling_equals_lazy_use(tmp_path: Path, item: dict) -> None:
    filled = CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"), fill_workers=1)
    assert files(tmp_path) == 1
    assert torch.equal(filled[0]["image"], torch.as_tensor(Dataset([item], pipeline())[0]["image"]))


def test_a_broken_file_is_named_by_case(tmp_path: Path, item: dict) -> None:
    Path(item["image"]).write_bytes(b"no image")
    with pytest.raises(RuntimeError, match="case a cannot be preprocessed"):
        CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"))[0]


def test_metadata_that_an_item_lacks_is_nan(tmp_path: Path, item: dict) -> None:
    found = CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"), metadata_keys=("id", "site", "age"))[0]
    assert found["id"] == "a" and found["site"] != found["site"] and found["age"] is None


def test_an_entry_that_an_item_lacks_is_left_out_of_the_paths(tmp_path: Path, item: dict) -> None:
    dataset = CachedDataset([item], pipeline(), 3, str(tmp_path / "cache"), path_keys=("image", "mri"))
    assert dataset[0]["image"].shape == (2, 2, 2)


def test_another_reader_is_a_miss_and_a_new_process_is_a_hit(tmp_path: Path, item: dict) -> None:
    def make(reverse_indexing: bool) -> Compose:
        reader = PILReader(reverse_indexing=reverse_indexing)
        return Compose([LoadImaged("image", reader=[reader, "NumpyReader"], image_only=True)])

    hashes = [CachedDataset([item], make(flag), 1, str(tmp_path / "cache")).transform_hash for flag in (True, False)]
    assert hashes[0] != hashes[1]
    code = (
        "from monai.data import PILReader; from monai.transforms import Compose, LoadImaged;"
        "from common.data.cached_dataset import CachedDataset;"
        "reader = PILReader(reverse_indexing=True);"
        "steps = Compose([LoadImaged('image', reader=[reader, 'NumpyReader'], image_only=True)]);"
        f"print(CachedDataset([], steps, 1, {str(tmp_path)!r}).transform_hash)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == hashes[0]
