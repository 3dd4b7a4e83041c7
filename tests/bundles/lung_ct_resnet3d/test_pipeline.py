"""Preprocessing and augmentation as the configs build them; the numbers are the faults of the tutorial they mend."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scripts.phantoms import PhantomSettings, make_phantom

ROOT = Path(__file__).parents[3] / "bundles/lung_ct_resnet3d"
COARSE = PhantomSettings(matrix=80, spacing_range_mm=(4.0, 4.0), slice_spacing_range_mm=(4.0, 4.0))
SMALL = {"spacing_mm": [4.0, 4.0, 4.0], "image_size": [32, 32, 32], "voxel_mm": 10.0, "bundle_root": str(ROOT)}


def parser(**ids: object) -> ConfigParser:
    config = ConfigParser()
    config.read_config(str(ROOT / "configs/train.json"))
    config.update(SMALL | ids)
    return config


@pytest.fixture(scope="module")
def phantom() -> nibabel.Nifti1Image:
    case = make_phantom(5, 1, COARSE)
    return nibabel.Nifti1Image(case.volume, case.affine)


def preprocess(folder: Path, image: nibabel.Nifti1Image, **ids: object) -> torch.Tensor:
    nibabel.save(image, folder / "case.nii.gz")
    return parser(**ids).get_parsed_content("validate#preprocessing")({"image": str(folder / "case.nii.gz")})["image"]


def changed(image: nibabel.Nifti1Image, data: np.ndarray) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(data.astype(np.int16), image.affine)


def test_the_window_is_applied_to_hounsfield_units(tmp_path: Path, phantom: nibabel.Nifti1Image) -> None:
    # fault 1: the tutorial computes a window and drops it; fault 4: it then scales by the scan's extremes
    plain = preprocess(tmp_path, phantom)
    assert plain.shape == (1, 32, 32, 32)
    assert plain.dtype == torch.float32
    assert 0 <= plain.min() <= 0.02
    lungs = plain[plain > 0]
    assert 0.05 < lungs.quantile(0.25) < 0.3  # lung, -930 to -580 HU
    data = np.asarray(phantom.dataobj).copy()
    corner = tuple(n // 2 for n in data.shape[:2])
    data[corner[0], corner[1], 2] = 12000  # one voxel of metal far from the lungs
    assert (preprocess(tmp_path, changed(phantom, data)) - plain).abs().mean() < 0.002


def test_values_outside_the_field_of_view_do_not_bleed(tmp_path: Path, phantom: nibabel.Nifti1Image) -> None:
    # fault 8: -2048 outside the circle, resampled before it is clipped, darkens its neighbours
    data = np.asarray(phantom.dataobj).copy()
    padded, air = data.copy(), data.copy()
    rim = np.hypot(*np.meshgrid(*[np.arange(n) - n / 2 for n in data.shape[:2]], indexing="ij")) > 0.49 * data.shape[0]
    padded[rim], air[rim] = -2048, -1024
    assert torch.equal(preprocess(tmp_path, changed(phantom, padded)), preprocess(tmp_path, changed(phantom, air)))


def test_zero_means_air_outside_the_lungs_and_not_water(tmp_path: Path, phantom: nibabel.Nifti1Image) -> None:
    # fault 2: ct * mask in HU puts water (0.71 of the window) where nothing should be
    cropped = preprocess(tmp_path, phantom)
    zeroed = preprocess(tmp_path, phantom, outside_lungs="zero")
    assert (zeroed == 0).float().mean() > (cropped == 0).float().mean() + 0.02
    assert cropped.max() > 0.8  # chest wall and heart stay in the crop
    assert (zeroed - 0.714).abs().min() > 0 or (zeroed > 0.7).float().mean() < 0.01


@pytest.mark.parametrize("codes", ["LPS", "RAI", "ASL"])
def test_orientation_does_not_matter(tmp_path: Path, phantom: nibabel.Nifti1Image, codes: str) -> None:
    # fault 8: feet first, prone or sagittal storage gives the same input
    orientation = nibabel.orientations.axcodes2ornt(tuple(codes))
    current = nibabel.orientations.io_orientation(phantom.affine)
    other = phantom.as_reoriented(nibabel.orientations.ornt_transform(current, orientation))
    assert nibabel.aff2axcodes(other.affine) == tuple(codes)
    assert (preprocess(tmp_path, other) - preprocess(tmp_path, phantom)).abs().max() < 0.02


def test_a_volume_without_lungs_warns_and_stays_finite(tmp_path: Path, phantom: nibabel.Nifti1Image) -> None:
    # fault 4: 0 / 0 when the mask is empty
    data = np.full(phantom.shape, 40)
    with pytest.warns(UserWarning, match="LungMask"):
        result = preprocess(tmp_path, changed(phantom, data))
    assert torch.isfinite(result).all()
    assert result.max() == pytest.approx(1040 / 1400, abs=1e-3)


def augmentation(**ids: object):
    config = parser(**ids)
    return config.get_parsed_content("train#augmentation"), config.get_parsed_content("final_transforms")


def test_rotation_scale_and_shift_cost_one_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    # fault 10: the tutorial interpolates five times
    augment, _ = augmentation()
    for transform in augment.transforms:
        transform.prob = 1.0 if type(transform).__name__ == "RandAffined" else 0.0
    calls, original = [], torch.nn.functional.grid_sample
    monkeypatch.setattr(
        torch.nn.functional, "grid_sample", lambda *args, **named: calls.append(1) or original(*args, **named)
    )
    image = torch.rand(1, 32, 32, 32)
    result = augment({"image": image, "id": "a"})["image"]
    assert len(calls) == 1
    assert (torch.as_tensor(result) - image).abs().mean() > 0.05


def test_probabilities_and_ranges_are_the_tutorials() -> None:
    content = json.loads((ROOT / "configs/train.json").read_text())
    keys = ("rotate_range", "scale_range", "translate_range", "def_range")
    table = {key: t for key in keys for t in content["random_transforms"] if key in t}
    assert table["rotate_range"]["prob"] == table["scale_range"]["prob"] == table["translate_range"]["prob"] == 0.5
    assert np.rad2deg(table["rotate_range"]["rotate_range"]) == pytest.approx([10, 10, 10], abs=0.01)
    assert table["scale_range"]["scale_range"] == [0.1, 0.1, 0.1]
    assert table["translate_range"]["translate_range"] == [5, 5, 5]
    assert table["def_range"]["prob"] == 0.2
    assert not [t for t in content["random_transforms"] if "Flip" in t["_target_"]]  # laterality


def test_augmentation_stays_in_the_window_and_moves_the_picture(tmp_path: Path, phantom: nibabel.Nifti1Image) -> None:
    plain = preprocess(tmp_path, phantom)
    augment, final = augmentation()
    changes = []
    for epoch in range(12):
        augment.epoch = epoch
        image = augment({"image": plain.clone(), "id": "case"})
        for step in final:
            image = step(image)
        assert type(image["image"]) is torch.Tensor
        assert 0 <= image["image"].min() <= image["image"].max() <= 1
        assert abs(image["image"].mean() - plain.mean()) < 0.08
        changes.append(float((image["image"] - plain).abs().mean()))
    assert max(changes) > 0.02


def test_validation_and_test_are_never_augmented() -> None:
    # fault 21: one data set in phase "train" was split at random, so validation and test were augmented
    from monai.transforms import RandomizableTrait

    for names, key in ((["train"], "validate#preprocessing"), (["inference"], "preprocessing")):
        config = ConfigParser()
        config.read_config([str(ROOT / f"configs/{name}.json") for name in names])
        config["bundle_root"] = str(ROOT)
        steps = config.get_parsed_content(key).flatten().transforms
        assert not [step for step in steps if isinstance(step, RandomizableTrait)]
    assert parser().get_parsed_content("train#preprocessing").transforms[-3].seed == 0


def test_random_crop_is_an_override() -> None:
    config = ConfigParser()
    config.read_config([str(ROOT / "configs/train.json"), str(ROOT / "configs/random_crop.json")])
    config.update(SMALL | {"crop_size": [24, 24, 24]})
    augment = config.get_parsed_content("train#augmentation")
    assert augment({"image": torch.rand(1, 32, 32, 32), "id": "a"})["image"].shape == (1, 24, 24, 24)
    assert len(augment.transforms) == 8
