import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from common.transforms.registration_geometry import distance, rigid


def test_distance_is_that_of_the_farthest_corner_in_steps() -> None:
    grid = sitk.GetImageFromArray(np.zeros((11, 21), dtype=np.float32))
    grid.SetSpacing((2.0, 2.0))
    still = rigid(np.eye(2), np.zeros(2))
    assert distance(still, rigid(np.eye(2), np.array([3.0, 4.0])), grid) == pytest.approx(2.5)
    quarter = rigid(np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2))
    assert distance(still, quarter, grid) == pytest.approx(np.sqrt(2) * np.hypot(40, 20) / 2)
