from pathlib import Path

import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from common.transforms import apply_rigid_transform

GOOD = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_outside_the_moving_grid_is_0_and_integers_are_rounded() -> None:
    image = torch.full((3, 16, 16), 9, dtype=torch.uint8)
    moved = apply_rigid_transform(sitk.Euler2DTransform((0, 0), 0.0, (4.0, 0.4)), image, torch.zeros(1, 20, 16))
    assert moved.dtype == torch.uint8 and moved.shape == (3, 20, 16)
    assert moved[:, :12, :15].unique().tolist() == [9] and moved[:, 12:].unique().tolist() == [0]


def test_large_labels_keep_their_values() -> None:
    labels = torch.full((1, 8, 8), 2**24 + 1, dtype=torch.int32)
    assert torch.equal(apply_rigid_transform(sitk.Euler2DTransform(), labels, labels, "nearest"), labels)


def test_transforms_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    far = sitk.Euler2DTransform((0, 0), 0.0, (100.0, 0.0))
    with pytest.raises(ValueError, match="moving lies outside the grid of fixed; check"):
        apply_rigid_transform(far, GOOD, GOOD)
    with pytest.raises(ValueError, match="mode is 'cubic'; it must be one of"):
        apply_rigid_transform(far, GOOD, GOOD, "cubic")
    with pytest.raises(ValueError, match="transform is 3-D and the images are 2-D"):
        apply_rigid_transform(sitk.Euler3DTransform(), GOOD, GOOD)
    with pytest.raises(FileNotFoundError, match="absent.tfm' does not exist; check the path"):
        apply_rigid_transform(tmp_path / "absent.tfm", GOOD, GOOD)
