"""The augmentation of the configs: the same for all slices of an exam, of the stated size."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

BUNDLE = Path(__file__).parents[3] / "bundles/knee_mri_mrnet"
DEGREES, PIXELS = 25, 25


def augmentation(seed: int, flip: float = 0.5) -> Compose:
    """``random_transforms`` of train.json; slices are the channels of one image, so that one draw serves all of them."""
    config = ConfigParser()
    config.read_config(str(BUNDLE / "configs/train.json"))
    config.update({"bundle_root": str(BUNDLE), "random_transforms#1#prob": flip})
    return Compose(config.get_parsed_content("random_transforms")).set_random_state(seed)


def spot(row: float, column: float, size: int = 256) -> torch.Tensor:
    """A round spot (H, W)."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18)


def centre(image: torch.Tensor) -> np.ndarray:
    """Centre of mass (row, column)."""
    places = torch.arange(len(image), dtype=torch.float32)
    return np.array([float((image.sum(1 - axis) * places).sum() / image.sum()) for axis in (0, 1)])


def test_all_slices_of_an_exam_move_alike() -> None:
    base = torch.rand(64, 64)
    weights = torch.linspace(0.1, 1, 30)
    image = weights[:, None, None] * base  # resampling is linear: slices stay multiples of one another
    transforms = augmentation(0)
    for _ in range(10):
        moved = transforms({"image": image})["image"]
        assert moved.shape == image.shape
        torch.testing.assert_close(moved.as_tensor(), (weights[:, None, None] * moved[-1]).as_tensor())
        assert float((moved[-1] - base).abs().max()) > 0.1


@pytest.fixture(scope="module")
def movements() -> np.ndarray:
    """Shift in rows and columns, and angle in degrees, of 300 draws."""
    middle = 127.5
    image = torch.stack([spot(middle, middle), spot(middle, middle + 60)])
    transforms, found = augmentation(1, flip=0), []
    for _ in range(300):
        moved = transforms({"image": image})["image"]
        first, second = centre(moved[0]), centre(moved[1])
        arm = second - first
        found.append([*(first - middle), math.degrees(math.atan2(arm[0], arm[1]))])
    return np.array(found)


@pytest.mark.parametrize("axis", [0, 1])
def test_shifts_reach_25_pixels_and_not_the_28_of_the_tutorial(movements: np.ndarray, axis: int) -> None:
    shifts = movements[:, axis]  # fault 32: .11 of 256 pixels is 28
    assert np.abs(shifts).max() <= PIXELS + 0.05
    assert shifts.max() > PIXELS - 1 and shifts.min() < -PIXELS + 1


def test_rotations_reach_25_degrees_to_both_sides(movements: np.ndarray) -> None:
    angles = movements[:, 2]
    assert np.abs(angles).max() <= DEGREES + 0.1
    assert angles.max() > DEGREES - 1 and angles.min() < -DEGREES + 1


def test_half_of_the_exams_are_mirrored_left_to_right_and_none_upside_down() -> None:
    image = torch.stack([spot(127.5, 127.5), spot(87.5, 187.5)])  # the second: above and to the right
    transforms, sides = augmentation(2), []
    for _ in range(200):
        moved = transforms({"image": image})["image"]
        arm = centre(moved[1]) - centre(moved[0])
        assert -75 < arm[0] < 0  # 25 degrees do not bring it below
        sides.append(arm[1] < 0)
    assert 70 < sum(sides) < 130


def test_what_comes_in_from_outside_is_black() -> None:
    moved = augmentation(3)({"image": torch.ones(2, 64, 64)})["image"]
    assert float(moved.min()) == 0.0 and float(moved.max()) <= 1.0 + 1e-6
