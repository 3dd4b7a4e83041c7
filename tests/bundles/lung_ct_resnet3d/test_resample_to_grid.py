import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scripts.resample_to_grid import ResampleToGrid, ResampleToGridd


def volume(shape: tuple[int, ...], spacing: tuple[float, ...]) -> MetaTensor:
    return MetaTensor(torch.zeros(1, *shape), affine=torch.diag(torch.tensor([*spacing, 1.0])))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)], ids=["1 mm", "anisotropic"])
@pytest.mark.parametrize("shape_mm", [(60, 60, 60), (40, 70, 100)], ids=["small", "larger than the grid"])
def test_a_ball_keeps_its_size_in_mm(spacing: tuple[float, ...], shape_mm: tuple[int, ...]) -> None:
    shape = tuple(round(mm / s) for mm, s in zip(shape_mm, spacing, strict=True))
    image = volume(shape, spacing)
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    image[0] = torch.as_tensor(distance < 12, dtype=torch.float32)
    result = ResampleToGrid((20, 20, 20), voxel_mm=4.0)(image)
    assert result.shape == (1, 20, 20, 20)
    assert float(result.sum()) * 4**3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.03)


def test_stretching_changes_sizes_between_patients_and_axes() -> None:
    # fault 7: the same bar, in a larger chest, becomes smaller
    lengths = []
    for extent in (40, 80):
        image = volume((extent, 40, 40), (1.0, 1.0, 1.0))
        image[0, extent // 2 - 10 : extent // 2 + 10, 18:22, 18:22] = 1
        lengths.append(float(ResampleToGrid((20, 20, 20), voxel_mm=None)(image)[0, :, 10, 10].sum()))
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.05)


def test_fine_stripes_average_out_instead_of_aliasing() -> None:
    image = volume((60, 60, 60), (1.0, 1.0, 1.0))
    image[0, ::2] = 1
    result = ResampleToGrid((20, 20, 20), voxel_mm=3.0)(image)
    assert 0.3 < result.min()
    assert result.max() < 0.7
    point_sampled = image[0, ::3, 0, 0]
    assert point_sampled.unique().tolist() == [0.0, 1.0]


def test_a_mask_stays_a_mask() -> None:
    image = volume((30, 30, 30), (1.0, 1.0, 1.0))
    image[0, 10:20] = 1
    data = {"image": image, "lung": image.clone()}
    result = ResampleToGridd(["image", "lung"], (10, 10, 10), 3.0, label=[False, True])(data)
    assert result["lung"].unique().tolist() == [0.0, 1.0]
    assert data["lung"].shape == (1, 30, 30, 30)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="voxel_mm is 0, it must be positive"):
        ResampleToGrid((8, 8, 8), 0)
    with pytest.raises(ValueError, match="not a 3-D volume"):
        ResampleToGrid((8, 8, 8), 1.0)(torch.zeros(1, 8, 8))
