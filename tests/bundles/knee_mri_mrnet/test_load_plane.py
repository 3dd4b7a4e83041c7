from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Resized, ScaleIntensityRangePercentilesd, SpatialPadd
from scripts.load_plane import AXCODES, LoadPlaned, load_plane
from scripts.names import PLANES


def plane_file(folder: Path, array: np.ndarray, name: str = "0000.npy") -> str:
    np.save(folder / name, array)
    return str(folder / name)


def random_volume(seed: int = 0, shape: tuple[int, ...] = (5, 12, 10)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_an_npy_volume_arrives_as_shipped(tmp_path: Path) -> None:
    array = random_volume()
    item = {"sagittal": plane_file(tmp_path, array), "id": "0000"}
    slices = LoadPlaned("sagittal")(item)["sagittal"]
    assert slices.dtype == torch.float32 and not isinstance(slices, MetaTensor)
    np.testing.assert_array_equal(slices.numpy(), array)
    assert isinstance(item["sagittal"], str)


@pytest.mark.parametrize("stored", ["RAS", "LPS", "ASL", "IRP", "PIR"])
@pytest.mark.parametrize("plane", PLANES)
def test_a_nifti_volume_is_turned_to_the_display_convention_from_any_storage(
    tmp_path: Path, plane: str, stored: str
) -> None:
    world = nibabel.Nifti1Image(random_volume(1).astype(np.int16), np.eye(4))

    def reoriented(codes: str) -> nibabel.Nifti1Image:
        wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
        return world.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(world.affine), wanted))

    nibabel.save(reoriented(stored), tmp_path / "exam.nii.gz")
    shown = np.asarray(reoriented(AXCODES[plane]).dataobj)  # (S, H, W) in the convention
    slices = LoadPlaned("image", plane=plane)({"image": str(tmp_path / "exam.nii.gz")})["image"]
    assert type(slices) is torch.Tensor and slices.dtype == torch.float32
    np.testing.assert_array_equal(slices.numpy(), shown)


@pytest.mark.parametrize(
    ("plane", "corner", "shape"),
    [  # of an array (x to the right, y to the front, z up)
        pytest.param("sagittal", (3, 4, 5), (4, 6, 5), id="sagittal: right, superior, anterior"),
        pytest.param("coronal", (3, 4, 5), (5, 6, 4), id="coronal: anterior, superior, right"),
        pytest.param("axial", (3, 4, 0), (6, 5, 4), id="axial: inferior, anterior, right"),
    ],
)
def test_the_first_pixel_of_the_first_slice_is_the_corner_of_the_convention(
    tmp_path: Path, plane: str, corner: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    world = np.zeros((4, 5, 6), np.float32)
    world[corner] = 1.0
    nibabel.save(nibabel.Nifti1Image(world, np.eye(4)), tmp_path / "a.nii.gz")
    slices = load_plane(tmp_path / "a.nii.gz", plane)
    assert slices.shape == shape and slices[0, 0, 0] == 1.0


def test_planes_that_an_exam_lacks_may_be_left_out(tmp_path: Path) -> None:
    item = {"axial": plane_file(tmp_path, random_volume())}
    assert set(LoadPlaned(PLANES, allow_missing_keys=True)(item)) == {"axial"}
    with pytest.raises(KeyError, match="coronal"):
        LoadPlaned(PLANES)(item)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(np.zeros((3, 8, 8, 3), np.uint8), r"0000.npy has the shape \(3, 8, 8, 3\), and a", id="colour"),
        pytest.param(np.zeros((8, 8), np.uint8), r"0000.npy has the shape \(8, 8\)", id="one slice"),
        pytest.param(np.zeros((0, 8, 8), np.uint8), r"0000.npy has the shape \(0, 8, 8\)", id="no slice"),
        pytest.param(np.full((2, 3, 3), 7, np.uint8), "0000.npy has no contrast: every pixel is 7", id="constant"),
        pytest.param(np.full((2, 3, 3), np.nan), "0000.npy holds NaN or infinite", id="nan"),
        pytest.param(np.full((2, 3, 3), np.inf), "0000.npy holds NaN or infinite", id="inf"),
        pytest.param(np.full((2, 3, 3), "a"), "0000.npy holds <U1, and must hold real numbers", id="text"),
        pytest.param(np.full((2, 3, 3), None), "0000.npy is no readable npy file .*Object arrays", id="pickle"),
    ],
)
def test_unusable_volumes_are_refused_by_name(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_plane(plane_file(tmp_path, array), "axial")


def test_other_files_and_planes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent.npy does not exist"):
        load_plane(tmp_path / "absent.npy", "axial")
    for name, message in (("a.npy", "a.npy is no readable npy file"), ("a.nii.gz", "a.nii.gz is no readable NIfTI")):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ValueError, match=message):
            load_plane(tmp_path / name, "axial")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2)), np.eye(4)), tmp_path / "t.nii.gz")
    with pytest.raises(ValueError, match=r"t.nii.gz has the shape .* and a plane is \(S, H, W\)"):
        load_plane(tmp_path / "t.nii.gz", "axial")
    with pytest.raises(ValueError, match="plane is 'oblique'"):
        load_plane(tmp_path / "t.nii.gz", "oblique")
    for plane in (None, "oblique"):
        with pytest.raises(ValueError, match=f"plane is {plane!r} for the key 'image'"):
            LoadPlaned("image", plane=plane)


def preprocessing(size: int = 24) -> Compose:
    """The chain of the configs, in small."""
    return Compose(
        [
            LoadPlaned("image", plane="axial"),
            ScaleIntensityRangePercentilesd("image", lower=0, upper=99.5, b_min=0, b_max=1, clip=True),
            Resized("image", spatial_size=size, size_mode="longest", mode="bilinear"),
            SpatialPadd("image", spatial_size=(size, size)),
        ]
    )


@pytest.mark.parametrize(
    ("scale", "offset"), [pytest.param(3.0, 0.0, id="scale"), (1.0, 100.0), (0.01, -5.0), (1000.0, -2e4)]
)
def test_intensity_does_not_depend_on_scale_and_offset_of_the_scanner(
    tmp_path: Path, scale: float, offset: float
) -> None:  # fault 31: raw intensities went into ImageNet weights
    array = random_volume().astype(np.float64)
    plain = preprocessing()({"image": plane_file(tmp_path, array)})["image"]
    other = preprocessing()({"image": plane_file(tmp_path, scale * array + offset, "b.npy")})["image"]
    torch.testing.assert_close(plain.as_tensor(), other.as_tensor(), atol=2e-5, rtol=0)


def test_intensity_is_scaled_to_unit_range_per_volume_not_per_slice(tmp_path: Path) -> None:
    array = random_volume(shape=(4, 24, 24)).astype(np.float64)
    array[2] /= 10
    image = preprocessing()({"image": plane_file(tmp_path, array)})["image"]
    assert image.shape == (4, 24, 24) and float(image.min()) == 0.0 and float(image.max()) == 1.0
    expected = (array / np.percentile(array, 99.5)).clip(0, 1)
    np.testing.assert_allclose(image.numpy(), expected, atol=1e-4)
    assert float(image[2].max()) < 0.11  # a dim slice stays dim beside its neighbours


def test_resizing_keeps_the_aspect_and_the_slices(tmp_path: Path) -> None:
    array = np.zeros((3, 48, 24), np.uint8)
    array[1, 8:40, 4:20] = 200
    image = preprocessing()({"image": plane_file(tmp_path, array)})["image"]
    assert image.shape == (3, 24, 24) and not image[0].any() and not image[2].any()
    rows, columns = image[1].sum(1), image[1].sum(0)
    assert int((rows > 0).sum()) == 2 * int((columns > 0).sum())  # 32 x 16 pixels at half the size
