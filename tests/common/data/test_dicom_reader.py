import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
from monai.data import ITKReader, MetaTensor, PydicomReader
from monai.transforms import LoadImaged, Orientation
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from common.data.dicom_reader import DicomSeriesReader

from .dicom_files import AXIAL, write_series

OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
LAS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(source: object) -> tuple[np.ndarray, dict]:
    reader = DicomSeriesReader()
    return reader.get_data(reader.read(source))  # type: ignore[arg-type]


def load(source: object) -> np.ndarray:
    loader = LoadImaged("image", reader=DicomSeriesReader(), ensure_channel_first=True, image_only=True)
    return loader({"image": source})["image"]


@pytest.mark.parametrize(
    "orientation",
    [AXIAL, (1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, -1), OBLIQUE],
    ids=["head first", "feet first", "prone", "sagittal", "oblique"],
)
def test_data_and_affine_equal_itk_reader(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    paths = write_series(tmp_path, orientation=orientation)
    itk = ITKReader()
    expected, meta = itk.get_data(itk.read(str(tmp_path)))
    for source in (str(tmp_path), paths, paths[::-1], [*paths[5:], *paths[:5]]):
        data, own = read(source)
        np.testing.assert_array_equal(data, expected)
        np.testing.assert_allclose(own["affine"], meta["affine"], atol=1e-5)
        np.testing.assert_array_equal(own["original_affine"], own["affine"])
        assert tuple(own["spatial_shape"]) == data.shape == (5, 6, 10)


def test_values_and_voxel_positions_follow_the_standard(tmp_path: Path) -> None:
    stored = np.arange(8 * 3 * 4, dtype=np.int16).reshape(8, 3, 4)
    write_series(tmp_path, stored, orientation=OBLIQUE, origin_mm=(5, 6, 7), spacing_mm=(0.8, 0.7))
    data, meta = read(str(tmp_path))
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    for x, y, z in [(0, 0, 0), (3, 2, 7), (1, 2, 5)]:
        lps = np.array([5, 6, 7]) + x * 0.7 * row + y * 0.8 * column + z * 2.0 * np.cross(row, column)
        np.testing.assert_allclose(meta["affine"] @ [x, y, z, 1], LAS_TO_RAS @ [*lps, 1], atol=1e-5)
        assert data[x, y, z] == stored[z, y, x] - 1024


def test_instance_numbers_against_the_order_change_nothing(tmp_path: Path) -> None:
    # PydicomReader orders by InstanceNumber: the same volume, mirrored along with its affine.
    write_series(tmp_path)
    reader = PydicomReader()
    theirs, meta = reader.get_data(reader.read(str(tmp_path)))
    ours, own = read(str(tmp_path))
    np.testing.assert_array_equal(ours, theirs[..., ::-1])
    to_ras = Orientation("RAS", labels=None)
    ras = [to_ras(MetaTensor(data[None].copy(), affine=m["affine"])) for data, m in ((ours, own), (theirs, meta))]
    np.testing.assert_array_equal(*ras)
    np.testing.assert_allclose(ras[0].affine, ras[1].affine, atol=1e-5)


def test_rescale_is_taken_from_each_slice(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = str(0.5 + k), str(-10 * k)

    stored = np.arange(4 * 2 * 2, dtype=np.int16).reshape(4, 2, 2)
    write_series(tmp_path, stored, edit=edit)
    expected = [plane * (0.5 + k) - 10 * k for k, plane in enumerate(stored)]
    np.testing.assert_allclose(read(str(tmp_path))[0], np.stack(expected).transpose(2, 1, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "bits", "low", "high"),
    [
        pytest.param("<i2", 16, -32768, 32767, id="int16"),
        pytest.param("<u2", 16, 0, 65535, id="uint16"),
        pytest.param("<u2", 12, 0, 4095, id="12 of 16 bits"),
        pytest.param("<i2", 12, -2048, 2047, id="signed 12 of 16 bits"),
        pytest.param("<u1", 8, 0, 255, id="uint8"),
        pytest.param("<i4", 32, -70000, 70000, id="int32"),
    ],
)
@pytest.mark.parametrize("dirt", [False, True], ids=["clean", "overlay in spare bits"])
def test_every_stored_range_survives(tmp_path: Path, dtype: str, bits: int, low: int, high: int, dirt: bool) -> None:
    values = np.random.default_rng(0).integers(low, high + 1, (8, 4, 6))
    values[0, 0, :2] = low, high
    stored = values.astype(dtype)
    if dirt and bits == 12:  # keep 12 bits as they are, fill the rest with an overlay
        stored = ((values & 0x0FFF) | 0x5000).astype("<u2").view(dtype)
    write_series(tmp_path, stored, bits_stored=bits, rescale=(0.0, 1.0))
    np.testing.assert_array_equal(read(str(tmp_path))[0], values.transpose(2, 1, 0))


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, ExplicitVRBigEndian],
)
def test_transfer_syntaxes_give_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    stored = np.random.default_rng(1).integers(-1000, 3000, (8, 64, 64)).astype(np.int16)
    expected, _ = read(write_series(tmp_path / "plain", stored))
    if syntax in (RLELossless, JPEG2000Lossless):
        paths = write_series(tmp_path / "other", stored)
        for path in paths:
            ds = pydicom.dcmread(path)
            if syntax == JPEG2000Lossless:
                ds.compress(syntax, encoding_plugin="pylibjpeg")
            else:
                ds.compress(syntax)
            ds.save_as(path)
    elif syntax == ExplicitVRBigEndian:
        swapped = stored.byteswap()
        paths = write_series(tmp_path / "other", swapped, transfer_syntax=syntax)
    else:
        paths = write_series(tmp_path / "other", stored, transfer_syntax=syntax)
    np.testing.assert_array_equal(read(paths)[0], expected)


def test_load_image_reads_four_formats_to_one_volume(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "dicom")
    data, meta = read(paths)
    affine = meta["affine"]
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii.gz")
    lps = LAS_TO_RAS @ affine
    header = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
    }
    nrrd.write(str(tmp_path / "a.nrrd"), data, header)
    np.save(tmp_path / "a.npy", data)
    for source in (paths, str(tmp_path / "dicom"), str(tmp_path / "a.nii.gz"), str(tmp_path / "a.nrrd")):
        image = load(source)
        assert image.shape == (1, *data.shape)
        np.testing.assert_array_equal(image[0], data)
        np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(load(str(tmp_path / "a.npy"))[0], data)


def test_only_dicom_inputs_are_claimed(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "a", suffix="")
    (tmp_path / "b.nii.gz").touch()
    reader = DicomSeriesReader()
    assert reader.verify_suffix(paths) and reader.verify_suffix(paths[0]) and reader.verify_suffix(str(tmp_path / "a"))
    assert not reader.verify_suffix([str(tmp_path / "b.nii.gz")] * 2)
    with pytest.raises(ValueError, match=r"b.nii.gz'.* is no DICOM; use MONAI's reader"):
        reader.read(str(tmp_path / "b.nii.gz"))


def test_several_series_in_a_folder_are_refused_also_through_load_image(tmp_path: Path) -> None:
    # The tutorial's reader silently takes the first series of a folder, and so would ITKReader after a failed read.
    first = write_series(tmp_path, uid="1.2.1", suffix=".a")
    second = write_series(tmp_path, uid="1.2.2", suffix=".b")
    for source in (str(tmp_path), [*first, *second]):
        with pytest.raises(ValueError, match=r"names 2 series \(1.2.1 \(10 slices\), 1.2.2 \(10 slices\)\)"):
            read(source)
        with pytest.raises(ValueError, match="names 2 series"):
            load(source)


def remove(paths: list[str]) -> list[str]:
    os.remove(paths[4])
    return paths[:4] + paths[5:]


def empty_file(paths: list[str]) -> list[str]:
    Path(paths[4]).write_bytes(b"")
    return paths


def cut(paths: list[str]) -> list[str]:
    Path(paths[4]).write_bytes(Path(paths[4]).read_bytes()[:-10])
    return paths


def absent(paths: list[str]) -> list[str]:
    os.remove(paths[4])
    return paths


def twice(paths: list[str]) -> list[str]:
    return [*paths, paths[3]]


def no_pixels(paths: list[str]) -> list[str]:
    ds = pydicom.dcmread(paths[4])
    del ds.PixelData
    ds.save_as(paths[4])
    return paths


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(remove, "cannot be read as a volume: missing slices: 1", id="missing slice"),
        pytest.param(cut, "cannot be decoded", id="cut file"),
        pytest.param(absent, "does not exist", id="absent file"),
        pytest.param(twice, "duplicate slices", id="same file twice"),
        pytest.param(no_pixels, r"cannot be decoded \(there are none\)", id="no pixels"),
        pytest.param(empty_file, "is no readable DICOM", id="empty file"),
    ],
)
def test_damage_is_refused_in_one_sentence(
    tmp_path: Path, damage: Callable[[list[str]], list[str]], message: str
) -> None:
    paths = damage(write_series(tmp_path))
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        read(paths)
    assert "\n" not in str(caught.value) and caught.value.__cause__ is None


def test_multiframe_is_refused_with_the_way_out(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.NumberOfFrames, ds.PixelData = 3, ds.PixelData * 3

    paths = write_series(tmp_path, np.zeros((1, 4, 4), np.int16), edit=edit)
    with pytest.raises(ValueError, match="multiframe .* convert it to NIfTI"):
        read(paths)


def test_objects_in_the_folder_that_are_no_image_are_passed_over(tmp_path: Path) -> None:
    def report(ds: Dataset, k: int) -> None:
        for keyword in ("Rows", "Columns", "ImagePositionPatient", "PixelData"):
            delattr(ds, keyword)
        ds.Modality = "SR"

    expected, _ = read(write_series(tmp_path / "ct"))
    write_series(tmp_path / "ct", np.zeros((1, 2, 2), np.int16), uid="1.2.9", edit=report, suffix=".sr")
    (tmp_path / "ct" / "readme.txt").write_text("text")
    np.testing.assert_array_equal(read(str(tmp_path / "ct"))[0], expected)


def test_a_single_slice_is_a_volume_of_depth_one(tmp_path: Path) -> None:
    data, meta = read(write_series(tmp_path, np.ones((1, 4, 6), np.int16)))
    assert data.shape == (6, 4, 1)
    np.testing.assert_allclose(meta["affine"][:3, 2], [0, 0, 2])


def test_a_folder_without_dicom_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no DICOM image"):
        read(str(tmp_path))


def test_the_real_jpeg_2000_series_equals_both_readers_of_monai() -> None:
    root = os.environ.get("BUNDLES_DATA", "")
    folder = Path(root) / "totalsegmentator_ct" / "example_ct_dicom"
    if not root or not folder.is_dir():
        pytest.skip("BUNDLES_DATA names no folder with totalsegmentator_ct")
    data, meta = read(str(folder))
    itk, pydicom_reader = ITKReader(), PydicomReader()
    expected, theirs = itk.get_data(itk.read(str(folder)))
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_allclose(meta["affine"], theirs["affine"], atol=1e-6)
    expected, theirs = pydicom_reader.get_data(pydicom_reader.read(str(folder)))
    np.testing.assert_array_equal(data, expected[..., ::-1])  # its slices run the other way, as its affine says
    flip = np.eye(4)
    flip[2, 2], flip[2, 3] = -1, data.shape[2] - 1
    np.testing.assert_allclose(meta["affine"], theirs["affine"] @ flip, atol=1e-6)
