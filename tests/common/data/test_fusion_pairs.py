from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import PILReader
from monai.transforms import Compose, LoadImaged
from PIL import Image

from common.data import DicomSeriesReader, gray_or_rgb, scan_fusion
from common.data.fusion_pairs import nifti_channels, pair_folders
from common.transforms import JoinSourcesd, RGBToYCbCrd, ScaleToUnitd

from .dicom_files import write_series

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def nifti(file: Path, value: int, affine: np.ndarray = AFFINE, shape: tuple[int, ...] = (5, 6, 7)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.full(shape, value, np.int16), affine), file)


def preprocess() -> Compose:
    """What the fusion bundles do to a case of any layout."""
    keys = ["image", "mri"]
    readers = [PILReader(converter=gray_or_rgb), DicomSeriesReader()]
    options = {"ensure_channel_first": True, "image_only": True, "allow_missing_keys": True}
    return Compose(
        [
            LoadImaged(keys, readers, dtype=None, **options),
            ScaleToUnitd(keys, allow_missing_keys=True),
            RGBToYCbCrd("image"),
            JoinSourcesd(keys),
        ]
    )


@pytest.mark.parametrize(
    ("shape", "channels", "problem"),
    [
        pytest.param((4, 4), 1, "", id="slice"),
        pytest.param((4, 4, 4), 1, "", id="volume"),
        pytest.param((4, 4, 4, 1), 1, "", id="one-channel"),
        pytest.param((4, 4, 4, 3), 3, "", id="channels"),
        pytest.param((4, 4, 4, 1, 3), 0, "shape (4, 4, 4, 1, 3) is none of", id="vectors"),
    ],
)
def test_channels_of_a_nifti_file(tmp_path: Path, shape: tuple[int, ...], channels: int, problem: str) -> None:
    nifti(tmp_path / "a.nii", 0, shape=shape)
    found = nifti_channels(tmp_path / "a.nii")
    assert found[0] == channels and found[1].startswith(problem) and bool(found[1]) == bool(problem)


def test_images_of_other_names_pair_only_where_there_is_one_of_each(tmp_path: Path) -> None:
    nifti(tmp_path / "CT/ct.nii", 0)
    nifti(tmp_path / "MRI/t1.nii", 0)
    found = pair_folders(tmp_path / "CT", tmp_path / "MRI", single=True)
    assert [(pair["id"], pair["mri"]) for pair in found] == [("ct", str(tmp_path / "MRI/t1.nii"))]
    assert ["error" in pair for pair in pair_folders(tmp_path / "CT", tmp_path / "MRI")] == [True, True]
    nifti(tmp_path / "MRI/t2.nii", 0)
    found = pair_folders(tmp_path / "CT", tmp_path / "MRI", single=True)
    assert [pair["id"] for pair in found if "has no partner" in pair["error"]] == ["ct", "t1", "t2"]


def test_pictures_in_colour_and_gray(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    for side, array in (("PET", colour), ("MRI", colour[..., 0])):
        (tmp_path / side).mkdir()
        Image.fromarray(array).save(tmp_path / side / "1.png")
    item = preprocess()(scan_fusion(tmp_path)[0])
    assert item["image"].shape == (2, 6, 4) and item["image"].dtype == torch.float32
    assert item["chroma"].shape == (2, 6, 4)
    luma = colour @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(item["image"][0], luma.T, atol=1e-6)
    np.testing.assert_array_equal(item["image"][1], colour[..., 0].T / np.float32(255))


def test_a_nifti_pair_keeps_its_affine(tmp_path: Path) -> None:
    nifti(tmp_path / "CT/p.nii.gz", 100)
    nifti(tmp_path / "MRI/p.nii.gz", 900)
    item = preprocess()(scan_fusion(tmp_path)[0])
    assert item["image"].shape == (2, 5, 6, 7) and torch.equal(item["image"].as_tensor(), torch.ones(2, 5, 6, 7))
    np.testing.assert_array_equal(item["image"].affine, AFFINE)


def test_brats_and_multi_channel_files_hold_their_sources(tmp_path: Path) -> None:
    for k, name in enumerate(("flair", "t1", "t1ce", "t2")):
        nifti(tmp_path / f"brats/s/s_{name}.nii.gz", 10 * k)
    nifti(tmp_path / "multi/m.nii.gz", 5, shape=(5, 6, 7, 3))
    image = preprocess()(scan_fusion(tmp_path / "brats")[0])["image"]
    assert image.shape == (4, 5, 6, 7) and image[:, 0, 0, 0].tolist() == [0, 1, 1, 1]
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert preprocess()(scan_fusion(tmp_path / "multi")[0])["image"].shape == (3, 5, 6, 7)


def test_dicom_series_and_single_slices_keep_their_axes(tmp_path: Path) -> None:
    for name, slices in (("series", 10), ("slice", 1)):
        for k, side in enumerate(("CT", "MRI")):
            stored = np.full((slices, 6, 5), 100 + k, np.int16)
            write_series(tmp_path / name / side, stored, uid=f"1.{slices}.{k}", rescale=(0.0, 1.0))
    found = {item["id"]: preprocess()(item)["image"] for item in scan_fusion(tmp_path)}
    assert found["series"].shape == (2, 5, 6, 10) and found["slice"].shape == (2, 5, 6, 1)
    assert (found["series"] == 1).all()
