import importlib.util
import logging
from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor
from scipy.ndimage import affine_transform

from common.data.brain_phantoms import PhantomSettings, make_phantom, make_sequences_phantom
from common.transforms import RigidRegistration, RigidRegistrationd, apply_rigid_transform
from common.transforms.rigid_registration import RegistrationResult

AFFINE = np.array([[0, -2.0, 0, 30], [2.0, 0, 0, -50], [0, 0, 3.0, 10], [0, 0, 0, 1]])  # axes swapped, one flipped
HAS_ELASTIX = importlib.util.find_spec("itk.elxParameterObjectPython") is not None
BACKENDS = [
    "simpleitk",
    pytest.param("elastix", marks=pytest.mark.skipif(not HAS_ELASTIX, reason="itk-elastix is not installed")),
]


@cache
def plane(kind: str) -> torch.Tensor:
    phantom = make_phantom(1, "CT", PhantomSettings(slices=1, size=128))
    return torch.from_numpy(phantom.image if kind == "CT" else phantom.mri).float()


@cache
def volume(sequence: int) -> torch.Tensor:
    settings = PhantomSettings(modalities=("BraTS",), volume_shape=(48, 48, 20))
    return torch.from_numpy(make_sequences_phantom(1, settings).volumes[sequence][None].copy())


def turned(image: torch.Tensor, degrees: float, shift: tuple[float, ...]) -> tuple[torch.Tensor, np.ndarray]:
    """Turn the first two axes around the middle with scipy; return the matrix that undoes it, on indices."""
    dims = image.ndim - 1
    matrix, angle = np.eye(dims + 1), np.deg2rad(degrees)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    middle = (np.array(image.shape[1:]) - 1) / 2
    matrix[:dims, dims] = middle - matrix[:dims, :dims] @ middle + shift
    return torch.from_numpy(affine_transform(image[0].numpy(), matrix, order=1))[None], np.linalg.inv(matrix)


def mismatch(found: np.ndarray, true: np.ndarray, shape: torch.Size) -> tuple[float, float]:
    """Degrees, and distance of the middle, between two motions of indices."""
    dims = len(true) - 1
    left = found @ np.linalg.inv(true)
    middle = np.array([*(np.array(shape[1:]) - 1) / 2, 1])
    angle = np.rad2deg(np.arccos(np.clip((np.trace(left[:dims, :dims]) - (dims - 2)) / 2, -1, 1)))
    return float(angle), float(np.linalg.norm((found @ middle - true @ middle)[:dims]))


def index_motion(result: RegistrationResult) -> np.ndarray:
    dims = result.transform.GetDimension()
    matrix = np.eye(dims + 1)
    matrix[:dims, :dims] = np.reshape(result.transform.GetMatrix(), (dims, dims))
    matrix[:dims, dims] = result.transform.TransformPoint((0.0,) * dims)
    return matrix


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "degrees", "shift", "limits"),
    [
        pytest.param("MRI", -10, (6.0, 5.0), (0.5, 1), id="same-modality"),
        pytest.param("CT", 10, (12.0, 0.0), (1.5, 3), id="CT-MRI"),
        pytest.param("CT", -10, (-8.0, 9.0), (1.5, 3), id="CT-MRI-back"),
    ],
)
def test_a_known_motion_of_a_plane_is_recovered(
    backend: str, kind: str, degrees: float, shift: tuple[float, float], limits: tuple[float, float]
) -> None:
    moved, true = turned(plane(kind), degrees, shift)
    result = RigidRegistration(backend)(plane("MRI"), moved)
    angle, distance = mismatch(index_motion(result), true, moved.shape)
    assert angle <= limits[0] and distance <= limits[1], (angle, distance)
    assert result.nmi > result.nmi_before and not result.kept and not result.warning


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("sequence", "limits"), [(3, (0.5, 1)), (1, (1.5, 3))], ids=["same-sequence", "t1-to-t2"])
def test_a_known_motion_of_a_volume_is_recovered_in_the_world_of_its_affine(
    backend: str, sequence: int, limits: tuple[float, float]
) -> None:
    moved, true = turned(volume(sequence), 10, (3.0, -2.0, 1.0))
    affine = torch.from_numpy(AFFINE)
    fixed = MetaTensor(volume(3), affine=affine)
    item = RigidRegistrationd("t2", "t1")({"t2": fixed, "t1": MetaTensor(moved, affine=affine)})
    world = item["registration_t1"]["transform"]
    found = np.linalg.inv(AFFINE) @ world @ AFFINE
    angle, distance = mismatch(found, true, moved.shape)
    assert angle <= limits[0] and distance <= limits[1], (angle, distance)
    np.testing.assert_allclose(item["t1"].affine, AFFINE)


def test_the_result_lies_on_the_fixed_grid_and_headers_alone_can_align() -> None:
    """A cropped volume with an affine that says so needs no motion; without affines it would."""
    whole = volume(3)
    fixed = MetaTensor(whole[:, 6:40, 4:44], affine=torch.from_numpy(AFFINE).clone())
    fixed.affine[:3, 3] += torch.from_numpy(AFFINE[:3, :3] @ [6, 4, 0])
    moving = MetaTensor(whole, affine=torch.from_numpy(AFFINE))
    moved = apply_rigid_transform(sitk.Euler3DTransform(), moving, fixed)
    assert isinstance(moved, MetaTensor) and torch.allclose(moved.as_tensor(), fixed.as_tensor(), atol=1e-4)
    np.testing.assert_allclose(moved.affine, fixed.affine)
    result = RigidRegistration(max_degrees=0, candidates=1)(fixed, moving)
    assert result.moved.shape == fixed.shape and np.abs(index_motion(result) - np.eye(4)).max() < 0.3


def test_the_same_inputs_give_the_same_result() -> None:
    moved, _ = turned(plane("CT"), 7, (3.0, 2.0))
    first, second = (RigidRegistration(max_degrees=0)(plane("MRI"), moved) for _ in range(2))
    assert first.transform.GetParameters() == second.transform.GetParameters()
    assert torch.equal(first.moved, second.moved)


def test_a_head_holder_does_not_pull_the_registration() -> None:
    """An arc as bright as bone, on one side only, moves the centre of mass and attracts the pose."""
    rows, columns = np.mgrid[:128, :128]
    radius = np.hypot(rows - 64, columns - 64)
    arc = torch.from_numpy((np.abs(radius - 61) < 1.5) & (rows > 70) & (columns > 20))[None]
    holder = torch.where(arc, 255.0, plane("CT"))
    moved, true = turned(holder, 10, (6.0, 0.0))
    result = RigidRegistration()(plane("MRI"), moved)
    angle, distance = mismatch(index_motion(result), true, moved.shape)
    assert angle <= 1.5 and distance <= 3, (angle, distance)


def test_two_poses_of_equal_similarity_warn(caplog: pytest.LogCaptureFixture) -> None:
    """A square fits itself in two ways, 45 degrees to either side."""
    square = torch.zeros(1, 96, 96)
    square[:, 28:68, 28:68] = 200.0
    moved, _ = turned(square, 45, (0.0, 0.0))
    with caplog.at_level(logging.WARNING):
        result = RigidRegistration(max_degrees=60, margin=0.1)(square, moved)
    assert "the registration is ambiguous, check the pictures" in result.warning and result.warning in caplog.text


def test_an_aligned_image_stays_in_place_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = RigidRegistration(max_degrees=0, candidates=1)(plane("MRI"), plane("MRI"))
    assert result.kept and torch.equal(result.moved, plane("MRI")) and result.nmi == result.nmi_before
    assert result.warning in caplog.text and "no motion gave more; it stays in place" in result.warning


def test_a_poor_similarity_warns(caplog: pytest.LogCaptureFixture) -> None:
    noise = torch.from_numpy(np.random.default_rng(0).random((1, 128, 128), dtype=np.float32))
    with caplog.at_level(logging.WARNING):
        result = RigidRegistration(max_degrees=0, candidates=1)(plane("MRI"), noise, ("mri of a", "image"))
    assert (
        result.nmi < 1.08
        and "image on mri of a" in caplog.text
        and "is below 1.08; the registration is poor" in caplog.text
    )


GOOD = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("fixed", "moving", "message"),
    [
        pytest.param(GOOD, GOOD * torch.nan, "moving holds NaN or infinite values; repair", id="nan"),
        pytest.param(GOOD * 0 + 3, GOOD, "fixed is constant, 3; give an image", id="constant"),
        pytest.param(GOOD, torch.rand(1, 16, 16, 16), "both must be .* give two planes or two volumes", id="axes"),
        pytest.param(GOOD[:, :4], GOOD, "each axis needs 8 samples or more", id="small"),
        pytest.param(
            MetaTensor(GOOD, affine=torch.diag(torch.tensor([1.0, 0, 1]))), GOOD, "it must be invertible", id="affine"
        ),
    ],
)
def test_images_that_cannot_be_registered_are_refused(fixed: torch.Tensor, moving: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^RigidRegistration: .*{message}"):
        RigidRegistration()(fixed, moving)


def test_images_that_cannot_overlap_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("ITK ERROR: long\nAll samples map outside moving image buffer")

    monkeypatch.setattr("common.transforms.registration_simpleitk._descend", fail)
    with pytest.raises(ValueError, match=r"moving cannot be laid over fixed \(All samples map outside"):
        RigidRegistration()(GOOD, GOOD)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="backend is 'ants'; it must be one of"):
        RigidRegistration("ants")
    with pytest.raises(ValueError, match="candidates 0, seed 1; give 0 to 180 degrees, and numbers from 1 on"):
        RigidRegistration(candidates=0)


def test_elastix_that_is_absent_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="run `pip install itk-elastix==0.25.4`, or take backend 'simpleitk'"):
        RigidRegistration("elastix")(GOOD, GOOD)
