import numpy as np
import SimpleITK as sitk  # noqa: N813

from common.transforms.registration_simpleitk import coarse_starts, pyramid, without_thin_parts

ROWS, COLUMNS = np.mgrid[:96, :96]
HEAD = np.where(np.hypot((ROWS - 48) / 1.3, COLUMNS - 48) < 30, 90.0, 0.0).astype(np.float32)
HEAD[np.hypot(ROWS - 40, COLUMNS - 40) < 6] = 0  # a hole, which is body


def test_a_thin_arc_goes_and_the_body_stays() -> None:
    arc = HEAD.copy()
    arc[(np.abs(np.hypot(ROWS - 48, COLUMNS - 48) - 45) < 1.5) & (ROWS > 50)] = 255
    left = sitk.GetArrayFromImage(without_thin_parts(sitk.GetImageFromArray(arc)))
    np.testing.assert_array_equal(left[np.hypot(ROWS - 48, COLUMNS - 48) > 43], 0)
    np.testing.assert_array_equal(left[40:60, 25:70], HEAD[40:60, 25:70])


def test_an_image_of_thin_parts_only_stays_as_it_is() -> None:
    lines = np.where(COLUMNS % 12 < 3, 100.0, 0.0).astype(np.float32)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(without_thin_parts(sitk.GetImageFromArray(lines))), lines)


def test_the_starts_are_near_the_motion_and_differ_from_one_another() -> None:
    head = HEAD.copy()
    head[48:60, 60:72] = 200
    fixed = sitk.GetImageFromArray(head)
    motion = sitk.Euler2DTransform((47.5, 47.5), float(np.deg2rad(18)), (5.0, -3.0))
    starts = coarse_starts(pyramid(fixed, sitk.Resample(fixed, fixed, motion)), 30, 3)
    angles = [float(np.rad2deg(start.GetAngle())) for start in starts]
    assert abs(angles[0] + 18) <= 4 and len(starts) == 3
    assert len({start.GetParameters() for start in starts}) == 3
