"""The lung mask against the truth of phantoms, against the tutorial's way, and on real CT."""

import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage, Orientation
from numpy.typing import NDArray
from scipy import ndimage
from scripts.lung_mask import LungMask, LungMaskd
from scripts.phantoms import Phantom, PhantomSettings, make_phantom

Mask = NDArray[np.bool_]
SETTINGS = PhantomSettings(spacing_range_mm=(2.0, 2.0), slice_spacing_range_mm=(2.5, 2.5))


def dice(first: Mask, second: Mask) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def as_ras(phantom: Phantom) -> tuple[NDArray[np.int16], Mask, list[float]]:
    """Volume and lung truth with axes to the right, front and top, and the spacing in mm."""
    turn = tuple(slice(None, None, -1 if phantom.affine[axis, axis] < 0 else 1) for axis in range(3))
    return phantom.volume[turn].copy(), phantom.lung[turn].copy(), phantom.meta["spacing_mm"]


def lung_mask(hu: NDArray[Any], spacing_mm: list[float], **settings: float) -> Mask:
    image = torch.from_numpy(hu.astype(np.float32))[None]
    return LungMask(**settings)(image, spacing_mm)[0].numpy().astype(bool)


def tutorial_way(hu: NDArray[Any]) -> Mask:
    """What the tutorial does: the largest dark region is taken for the background, holes are filled slice by slice."""
    binary = hu < -320
    labels, _ = ndimage.label(binary, np.ones((3, 3, 3)))
    binary[labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])] = False
    for k in range(hu.shape[2]):
        binary[..., k] = ndimage.binary_fill_holes(binary[..., k])
    return binary


def crop_to_lungs(hu: NDArray[np.int16], lung: Mask, inside: int = 0) -> tuple[NDArray[np.int16], Mask]:
    """Cut the field to the lungs' box, `inside` voxels into them in plane."""
    found = np.argwhere(lung)
    (x0, y0, _), (x1, y1, _) = found.min(0) + inside, found.max(0) + 1 - inside
    return hu[x0:x1, y0:y1], lung[x0:x1, y0:y1]


@pytest.mark.parametrize("seed", [3, 14])
@pytest.mark.parametrize(
    "scene",
    [
        pytest.param({"couch": False}, id="air-around-the-body"),
        pytest.param({"couch": False, "air_around": False, "circle": False}, id="no-air-in-view"),
        pytest.param({"couch": True, "circle": False}, id="couch-and-open-trachea"),
        pytest.param({"couch": True, "circle": True}, id="couch-cut-by-the-field-of-view-circle"),
        pytest.param({"couch": True, "prone": True, "emphysema": 1.0}, id="prone-with-emphysema"),
        pytest.param({"stomach_gas_mm": 26.0, "nodules": 4}, id="stomach-gas-and-nodules"),
    ],
)
def test_mask_agrees_with_the_truth(seed: int, scene: dict[str, Any]) -> None:
    hu, lung, spacing = as_ras(make_phantom(seed, 0, SETTINGS, **scene))
    assert dice(lung_mask(hu, spacing), lung) >= 0.97


@pytest.mark.parametrize("seed", [3, 14])
def test_consolidations_stay_in_the_mask(seed: int) -> None:
    phantom = make_phantom(seed, 1, SETTINGS, consolidation=1.0, opacities=6, nodules=0)
    hu, lung, spacing = as_ras(phantom)
    mask = lung_mask(hu, spacing)
    assert phantom.opacity.sum() > 0.03 * lung.sum()
    assert dice(mask, lung) >= 0.95
    above = lung & (hu > -320)  # what the threshold alone would lose
    assert mask[above].mean() > 0.75


@pytest.mark.parametrize(
    ("scene", "tutorial_fails"),
    [
        pytest.param({"couch": False, "circle": False}, False, id="air-around-the-body"),
        pytest.param({"couch": False, "air_around": False, "circle": False}, True, id="no-air-in-view"),
        pytest.param({"couch": True, "circle": False}, True, id="couch-and-open-trachea"),
    ],
)
def test_mask_holds_where_the_largest_region_is_not_the_background(scene: dict[str, Any], tutorial_fails: bool) -> None:
    hu, lung, spacing = as_ras(make_phantom(5, 0, SETTINGS, **scene))
    assert dice(lung_mask(hu, spacing), lung) >= 0.97
    assert (dice(tutorial_way(hu), lung) < 0.9) == tutorial_fails


def test_lungs_that_the_field_cuts_stay_in() -> None:
    hu, lung, spacing = as_ras(make_phantom(5, 0, SETTINGS, couch=False))
    hu, lung = crop_to_lungs(hu, lung, inside=6)
    assert lung[0].any() and lung[-1].any()
    assert dice(lung_mask(hu, spacing), lung) >= 0.96


def test_airways_and_mediastinum_stay_out() -> None:
    hu, lung, spacing = as_ras(make_phantom(5, 0, SETTINGS, blood_hu=250.0))
    mask = lung_mask(hu, spacing)
    middle = lung.shape[0] // 2
    trachea = (hu < -950) & ~ndimage.binary_dilation(lung, iterations=2)
    trachea[: middle - 12] = trachea[middle + 12 :] = False
    trachea[:, : int(np.argwhere(lung)[:, 1].min())] = trachea[:, int(np.argwhere(lung)[:, 1].max()) :] = False
    assert trachea.sum() > 500
    assert mask[trachea].mean() < 0.02
    heart = (hu > 180) & ~ndimage.binary_dilation(lung, iterations=3)
    assert heart.sum() > 5000
    assert mask[heart].mean() < 0.01


def test_touching_lungs_are_both_found_and_the_heart_between_them_is_not_filled() -> None:
    hu, lung, spacing = as_ras(make_phantom(5, 0, SETTINGS, couch=False))
    between = np.zeros_like(lung)
    x, y, z = np.argwhere(lung).mean(0).round().astype(int)
    front = int(np.argwhere(lung)[:, 1].max())
    between[x - 9 : x + 9, front - 12 : front - 9, z - 4 : z + 4] = True
    hu[between] = -850
    truth = lung | between
    assert ndimage.label(hu < -320)[0][truth & (hu < -700)].max() >= 1
    assert dice(lung_mask(hu, spacing), truth) >= 0.97


def test_a_nodule_at_the_pleura_stays_in_and_needs_the_closing() -> None:
    hu, lung, spacing = as_ras(make_phantom(5, 0, SETTINGS, couch=False, nodules=0))
    x = int(np.argwhere(lung).min(0)[0])
    y, z = (int(v) for v in np.argwhere(lung[x]).mean(0))
    grid = np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij", sparse=True)
    ball = sum(((g - c) * s) ** 2 for g, c, s in zip(grid, (x + 2, y, z), spacing, strict=True)) < 7.0**2
    hu[ball] = 40
    nodule = ball & lung
    assert nodule.sum() > 50
    assert lung_mask(hu, spacing)[nodule].mean() > 0.9
    assert lung_mask(hu, spacing, closing_mm=0.5, costal_closing_mm=0)[nodule].mean() < 0.5


def test_fine_voxels_are_masked_on_the_working_grid_in_a_few_seconds() -> None:
    settings = PhantomSettings(matrix=256, spacing_range_mm=(1.2, 1.2), slice_spacing_range_mm=(1.2, 1.2))
    hu, lung, spacing = as_ras(make_phantom(5, 0, settings))
    start = time.process_time()
    mask = lung_mask(hu, spacing)
    seconds = time.process_time() - start
    assert mask.shape == lung.shape
    assert dice(mask, lung) >= 0.97
    assert seconds < 6  # about 1 on an idle core; the full grid takes some 10


def test_padding_and_air_give_the_same_mask() -> None:
    hu, _, spacing = as_ras(make_phantom(5, 0, SETTINGS, circle=True))
    assert hu.min() == -2048
    assert np.array_equal(lung_mask(hu, spacing), lung_mask(hu.clip(-1024), spacing))


def test_no_lungs_give_the_full_field_and_one_warning() -> None:
    body = np.full((60, 50, 20), 40)
    body[:4] = -1000
    with pytest.warns(UserWarning, match="LungMask: no region of at least 50.0 ml") as caught:
        mask = lung_mask(body, [4.0, 4.0, 4.0])
    assert len(caught) == 1
    assert mask.all()


@pytest.mark.parametrize("value", [-1000.0, 0.0], ids=["only-air", "only-water"])
def test_constant_volumes_give_the_full_field(value: float) -> None:
    with pytest.warns(UserWarning, match="full field"):
        assert lung_mask(np.full((40, 40, 20), value), [4.0, 4.0, 4.0]).all()


@pytest.mark.parametrize(
    ("image", "spacing", "message"),
    [
        pytest.param(torch.full((1, 8, 8, 8), torch.nan), (1, 1, 1), "NaN", id="nan"),
        pytest.param(torch.zeros(2, 8, 8, 8), (1, 1, 1), r"shape \(2, 8, 8, 8\)", id="two-channels"),
        pytest.param(torch.zeros(8, 8, 8), (1, 1, 1), "channel-first", id="no-channel"),
        pytest.param(torch.zeros(1, 8, 8, 8), None, "give spacing_mm", id="no-spacing"),
        pytest.param(torch.zeros(1, 8, 8, 8), (1, 0, 1), "three positive lengths", id="zero-spacing"),
        pytest.param(MetaTensor(torch.zeros(1, 8, 8, 8), affine=np.diag([-1, -1, 1, 1.0])), None, "RAS", id="lps"),
    ],
)
def test_bad_input_is_named(image: torch.Tensor, spacing: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LungMask()(image, spacing)


def test_dictionary_transform_equals_the_array_transform_and_leaves_the_item_alone() -> None:
    hu, _, spacing = as_ras(make_phantom(5, 0, SETTINGS))
    affine = np.diag([*spacing, 1.0])
    item = {"image": MetaTensor(torch.from_numpy(hu)[None], affine=affine)}
    result = LungMaskd("image", mask_key="lung")(item)
    assert list(item) == ["image"]
    assert result["lung"].shape == item["image"].shape
    assert result["lung"].dtype == torch.uint8
    assert np.allclose(result["lung"].affine, affine)
    assert torch.equal(torch.as_tensor(result["lung"]), LungMask()(torch.from_numpy(hu)[None], spacing))
    with pytest.raises(ValueError, match="one key per LungMaskd"):
        LungMaskd(("image", "other"))


def real(name: str) -> MetaTensor:
    if "BUNDLES_DATA" not in os.environ:
        pytest.skip("BUNDLES_DATA is not set: no real CT here")
    path = Path(os.environ["BUNDLES_DATA"]) / "totalsegmentator_ct" / name
    return Orientation("RAS", labels=None)(LoadImage(image_only=True, ensure_channel_first=True)(path))


def test_the_real_crop_shows_two_plausible_lungs_without_the_trachea() -> None:
    image = real("chest_crop.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask = LungMask()(image)[0].numpy().astype(bool)
    hu = image[0].numpy()
    litres = mask.sum() * float(np.prod(image.pixdim.numpy())) / 1e6
    assert 2.5 < litres < 3.3  # 180 x 189 x 246 mm that cut both lungs at the sides
    assert 0.30 < mask.mean() < 0.40
    left, right = mask[:60].sum(), mask[60:].sum()
    assert 0.6 < left / right < 1.7
    assert -850 < np.median(hu[mask]) < -720
    assert mask[0].any() and mask[:, 0].any()  # cut lungs are kept at the border
    trachea = hu[68:82, 47:72, 125:] < -950
    assert trachea.sum() > 2000
    assert mask[68:82, 47:72, 125:][trachea].mean() < 0.1


def test_the_real_abdomen_has_no_lungs() -> None:
    with pytest.warns(UserWarning, match="LungMask: no region"):
        assert LungMask()(real("example_ct_dicom")).all()
