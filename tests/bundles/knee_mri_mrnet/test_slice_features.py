import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import (
    Compose,
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from scripts.common.data import CachedDataset
from scripts.load_plane import LoadPlaned
from scripts.slice_features import FirstCopyd, RandCopyd, SliceFeaturesd
from torch import nn


class Tiny(nn.Module):
    """Backbone of one layer; mean and maximum of each slice."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(1, 2, 1)
        self.head = nn.Linear(4, 1)
        self.dropout = nn.Dropout(0.5)
        nn.init.constant_(self.backbone.weight, 2.0)
        nn.init.constant_(self.backbone.bias, 0.5)
        self.most = 0

    def slice_features(self, image: torch.Tensor) -> torch.Tensor:
        self.most = max(self.most, image.shape[1])
        maps = self.dropout(self.backbone(image.flatten(0, 1)[:, None]))
        features = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1).unflatten(0, image.shape[:2])
        return features * (image != 0).flatten(2).any(2)[..., None]


def augmentation() -> list:
    return [RandAffined("image", prob=1, rotate_range=0.4, translate_range=(3, 3), padding_mode="zeros")]


def image(seed: int = 0, slices: int = 5) -> torch.Tensor:
    return torch.rand(slices, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_the_first_row_belongs_to_the_plain_image_in_evaluation_mode() -> None:
    network = Tiny().train()
    features = SliceFeaturesd("image", network)({"image": image()})["image"]
    expected = Tiny().eval().slice_features(image()[None])
    assert features.shape == (1, 5, 4) and features.dtype == torch.float32 and not features.requires_grad
    torch.testing.assert_close(features, expected.detach())
    assert network.training and network.backbone.weight.requires_grad  # the caller's network is left alone


def test_passes_hold_few_slices_and_do_not_change_the_result() -> None:
    small, whole = (SliceFeaturesd("image", Tiny(), batch_slices=n) for n in (2, 16))
    torch.testing.assert_close(small({"image": image()})["image"], whole({"image": image()})["image"])
    assert small._network.most == 2 and whole._network.most == 5  # type: ignore[union-attr]


def test_copies_are_augmented_each_in_its_own_way_and_the_same_every_time() -> None:
    transform = SliceFeaturesd("image", Tiny(), copies=3, augmentation=augmentation())
    first = transform({"image": image(0)})["image"]
    transform({"image": image(1)})
    assert first.shape == (4, 5, 4)
    assert len({tuple(row.flatten().tolist()) for row in first}) == 4
    torch.testing.assert_close(transform({"image": image(0)})["image"], first, rtol=0, atol=0)
    torch.testing.assert_close(transform({"image": image(0), "id": "x"})["image"], first, rtol=0, atol=0)
    torch.testing.assert_close(first[:1], SliceFeaturesd("image", Tiny())({"image": image(0)})["image"])
    other = SliceFeaturesd("image", Tiny(), copies=3, augmentation=augmentation(), seed=1)
    changed = (other({"image": image(0)})["image"] - first).abs().amax((1, 2))
    assert changed[0] == 0 and bool((changed[1:] > 1e-4).all())


def test_an_empty_slice_stays_empty_in_every_copy() -> None:
    brighter = [RandShiftIntensityd("image", offsets=(0.2, 0.3), prob=1)]
    given = image()
    given[3:] = 0
    features = SliceFeaturesd("image", Tiny(), copies=2, augmentation=brighter)({"image": given})["image"]
    assert not features[:, 3:].any() and bool((features[:, :3] > 0).all())


def test_only_the_planes_that_are_there() -> None:
    item = {"axial": image(0), "sagittal": image(1, 3), "id": "a"}
    done = SliceFeaturesd(("axial", "coronal", "sagittal"), Tiny())(item)
    assert {key: value.shape for key, value in done.items() if key != "id"} == {
        "axial": (1, 5, 4), "sagittal": (1, 3, 4)
    }  # fmt: skip
    assert item["axial"].shape == (5, 16, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"copies": -1}, "copies is -1"),
        ({"copies": 2}, "copies is 2 with augmentation=None"),
        ({"batch_slices": 0}, "batch_slices is 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SliceFeaturesd("image", Tiny(), **settings)


def test_a_batch_in_place_of_an_exam_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'image' has the shape \(1, 5, 16, 16\), and must be \(S, H, W\)"):
        SliceFeaturesd("image", Tiny())({"image": image()[None]})


def dataset(folder: Path, network: nn.Module, **settings: object) -> CachedDataset:
    if not (folder / "0000.npy").is_file():
        np.save(folder / "0000.npy", (255 * image().numpy()).astype(np.uint8))
    case = {"image": str(folder / "0000.npy"), "id": "0000", "group": "0000", "section": "training", "label": 1}
    options = {"copies": 2, "augmentation": augmentation()} | settings
    steps = [LoadPlaned("image", plane="axial"), SliceFeaturesd("image", network, **options), FirstCopyd("image")]  # type: ignore[arg-type]
    return CachedDataset([case], Compose(steps), num_cached=2, cache_dir=str(folder / "cache"), keys=("image",))


def test_features_are_stored_once_for_the_same_backbone_and_settings(tmp_path: Path) -> None:
    network = Tiny()
    files = {dataset(tmp_path, network).transform_hash}
    item = dataset(tmp_path, network)[0]
    assert item["image"].shape == (5, 4) and item["id"] == "0000"
    with torch.no_grad():
        network.head.weight.add_(1)  # the head trains on the features and has no part in them
    used = dataset(tmp_path, network)
    used[0]
    files |= {used.transform_hash, dataset(tmp_path, network, batch_slices=2).transform_hash}
    assert len(files) == 1 and len(list((tmp_path / "cache").glob("*.pt"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"copies": 3}, id="copies"),
        pytest.param({"seed": 1}, id="seed"),
        pytest.param({"augmentation": [RandFlipd("image", prob=0.5, spatial_axis=1)]}, id="augmentation"),
        pytest.param({"augmentation": [RandAffined("image", prob=1, rotate_range=0.3)]}, id="range"),
    ],
)
def test_other_settings_are_other_features(tmp_path: Path, change: dict) -> None:
    assert dataset(tmp_path, Tiny()).transform_hash != dataset(tmp_path, Tiny(), **change).transform_hash


def test_other_weights_are_other_features(tmp_path: Path) -> None:
    network = Tiny()
    before = dataset(tmp_path, network).transform_hash
    with torch.no_grad():
        network.backbone.bias.add_(1e-6)
    assert dataset(tmp_path, network).transform_hash != before


def test_use_of_the_transform_does_not_change_its_description(tmp_path: Path) -> None:
    data = dataset(tmp_path, Tiny())
    data[0]
    again = CachedDataset(data.data, data.transform, num_cached=2, cache_dir=str(tmp_path / "cache"))
    assert again.transform_hash == data.transform_hash


RICH = [
    RandAffined("image", prob=1, rotate_range=0.436, translate_range=(25, 25), padding_mode="zeros"),
    RandFlipd("image", prob=0.5, spatial_axis=1),
    RandGaussianNoised("image", std=0.03),
    RandAdjustContrastd("image", gamma=(0.7, 1.4)),
    RandScaleIntensityd("image", factors=0.1),
    Rand2DElasticd("image", spacing=(30, 30), magnitude_range=(0, 2), prob=0.3),
]


def rich_hash() -> str:
    from scripts.common.data.cached_dataset import _hash_settings

    return _hash_settings([SliceFeaturesd("image", Tiny(), copies=1, augmentation=RICH)])


def test_every_process_describes_a_rich_augmentation_in_the_same_words() -> None:
    here = Path(__file__)
    bundle = here.parents[3] / "bundles/knee_mri_mrnet"
    code = f"import sys, json; sys.path.insert(0, {str(here.parent)!r}); import test_slice_features as t; print(json.dumps(t.rich_hash()))"
    environment = os.environ | {"PYTHONPATH": str(bundle), "PYTHONHASHSEED": "7"}
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True
    )
    assert json.loads(shown.stdout.splitlines()[-1]) == rich_hash()


def test_a_random_copy_is_any_of_them_and_the_first_is_the_first() -> None:
    copies = torch.arange(4.0).reshape(4, 1, 1).expand(4, 3, 2)
    transform = RandCopyd(("image", "absent"))
    transform.set_random_state(seed=0)
    drawn = [transform({"image": copies, "id": "a"})["image"] for _ in range(200)]
    counts = np.bincount([int(row[0, 0]) for row in drawn], minlength=4)
    assert all(row.shape == (3, 2) and len(row.unique()) == 1 for row in drawn) and counts.min() > 30
    transform.set_random_state(seed=0)
    assert all(torch.equal(transform({"image": copies})["image"], row) for row in drawn[:20])
    assert not FirstCopyd(("image", "absent"))({"image": copies})["image"].any()
