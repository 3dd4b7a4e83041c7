"""Images in world space for ITK, and resampling.

World space of a volume is LPS in mm, as in all ITK files; that of a plane is its affine as it stands (pixels without
one). SimpleITK's index (i, j[, k]) is that of the tensor, so its arrays are transposed.
"""

from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray

__all__ = ["Rigid", "as_image", "distance", "overlap", "resample", "rigid"]

Rigid = sitk.Euler2DTransform | sitk.Euler3DTransform
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_image(image: NdarrayOrTensor, channel: NDArray) -> sitk.Image:
    """Put one channel (H, W[, D]) of ``image`` (C, H, W[, D]) into world space.

    Raises:
        ValueError: the affine cannot be inverted.
    """
    dims = channel.ndim
    affine = np.eye(dims + 1)
    if isinstance(image, MetaTensor):
        affine = to_affine_nd(dims, np.asarray(image.affine, dtype=np.float64))
    if dims == 3:
        affine = _LPS @ affine
    spacing = np.linalg.norm(affine[:dims, :dims], axis=0)
    if not np.all(spacing > 0) or abs(np.linalg.det(affine[:dims, :dims] / spacing)) < 1e-6:
        raise ValueError(
            f"RigidRegistration: affine is {affine.tolist()}; it must be invertible; repair the image's header."
        )
    made = sitk.GetImageFromArray(np.ascontiguousarray(channel.T))
    made.SetSpacing(spacing.tolist())
    made.SetOrigin(affine[:dims, dims].tolist())
    made.SetDirection((affine[:dims, :dims] / spacing).ravel().tolist())
    return made


def resample(moving: sitk.Image, fixed: sitk.Image, transform: sitk.Transform, nearest: bool = False) -> sitk.Image:
    """Sample ``moving`` at the points of ``fixed``'s grid that ``transform`` maps; 0 outside."""
    mode = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    return sitk.Resample(moving, fixed, transform, mode, 0.0)


def overlap(moving: sitk.Image, fixed: sitk.Image, transform: sitk.Transform) -> bool:
    """Whether the box around the moved fixed grid, in moving indices, meets the moving grid."""
    ends = np.array(list(product(*((-0.5, size - 0.5) for size in fixed.GetSize()))))
    points = [transform.TransformPoint(fixed.TransformContinuousIndexToPhysicalPoint(end.tolist())) for end in ends]
    indices = np.array([moving.TransformPhysicalPointToContinuousIndex(point) for point in points])
    return bool(np.all(indices.max(0) > -0.5) and np.all(indices.min(0) < np.array(moving.GetSize()) - 0.5))


def distance(first: sitk.Transform, second: sitk.Transform, fixed: sitk.Image) -> float:
    """Largest distance at a corner of the fixed grid between where two transforms map it, in its smallest step."""
    points = [fixed.TransformIndexToPhysicalPoint(corner) for corner in product(*((0, n - 1) for n in fixed.GetSize()))]
    apart = [np.subtract(first.TransformPoint(point), second.TransformPoint(point)) for point in points]
    return float(np.linalg.norm(apart, axis=1).max() / min(fixed.GetSpacing()))


def rigid(matrix: NDArray, offset: NDArray) -> Rigid:
    """Make ``x -> matrix x + offset`` an Euler transform around the origin."""
    made = sitk.Euler2DTransform() if len(offset) == 2 else sitk.Euler3DTransform()
    made.SetMatrix(np.asarray(matrix, dtype=np.float64).ravel().tolist(), 1e-6)
    made.SetTranslation(np.asarray(offset, dtype=np.float64).tolist())
    return made
