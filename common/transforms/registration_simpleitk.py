"""Rigid registration with SimpleITK, and what both backends share: geometry, resampling, similarity.

World space of a volume is LPS in mm, as in all ITK files; that of a plane is its affine as it stands (pixels without
one). SimpleITK's index (i, j[, k]) is that of the tensor, so its arrays are transposed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray
from skimage.metrics import normalized_mutual_information

__all__ = [
    "Level",
    "Rigid",
    "as_image",
    "coarse_starts",
    "overlap",
    "pyramid",
    "refine",
    "resample",
    "rigid",
    "similarity",
]

HISTOGRAM_BINS = 32
SHRINK = (4, 2, 1)
SMOOTHEST = 2.0  # sigma at shrink 4, in units of the smallest spacing
MOST_SAMPLES = 100_000  # of the metric; larger images are sampled at regular places
LEAST_SIZE = 8
ITERATIONS, SMALLEST_STEP, RELAXATION = 300, 1e-4, 0.6
Rigid = sitk.Euler2DTransform | sitk.Euler3DTransform
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Level:
    """Fixed and moving image at one resolution; `unit` is its step in world units."""

    fixed: sitk.Image
    moving: sitk.Image
    unit: float


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


def rigid(matrix: NDArray, offset: NDArray) -> Rigid:
    """Make ``x -> matrix x + offset`` an Euler transform around the origin."""
    made = sitk.Euler2DTransform() if len(offset) == 2 else sitk.Euler3DTransform()
    made.SetMatrix(np.asarray(matrix, dtype=np.float64).ravel().tolist(), 1e-6)
    made.SetTranslation(np.asarray(offset, dtype=np.float64).tolist())
    return made


def pyramid(fixed: sitk.Image, moving: sitk.Image) -> list[Level]:
    """Smoothed and shrunk images, coarse to fine; a thick axis shrinks less than a thin one."""
    step = min(fixed.GetSpacing())
    levels = []
    for factor in SHRINK:
        sigma = SMOOTHEST * factor / SHRINK[0] * step if factor > 1 else 0.0
        images = [_shrink(_smooth(image, sigma), factor * step) for image in (fixed, moving)]
        levels.append(Level(images[0], images[1], factor * step))
    return levels


def similarity(fixed: sitk.Image, moving: sitk.Image) -> Callable[[sitk.Transform], float]:
    """Normalised mutual information ``(H(F) + H(M)) / H(F, M)``, in [1, 2], as a function of the transform.

    Both are smoothed first (1 step), or a transform that interpolates would look worse than one that need not. The whole
    fixed grid counts, 0 where the moved image has nothing.

    Reference:
        Studholme, Hill, Hawkes (1999), Pattern Recognition 32, 71-86, Eq. (8).
    """
    step = min(fixed.GetSpacing())
    still, smooth = _shrink(_smooth(fixed, step), 2 * step), _smooth(moving, step)
    values = sitk.GetArrayFromImage(still)

    def measure(transform: sitk.Transform) -> float:
        moved = sitk.GetArrayFromImage(resample(smooth, still, transform))
        return float(normalized_mutual_information(values, moved, bins=HISTOGRAM_BINS)) if np.ptp(moved) else 1.0

    return measure


def coarse_starts(levels: Sequence[Level], degrees: Sequence[float], seed: int) -> list[Rigid]:
    """Register the coarsest level from several rotations around the centres of mass; best first.

    Args:
        levels: from :func:`pyramid`.
        degrees: rotations to start from; in 3-D around each axis in turn.
        seed: of the samples.

    Raises:
        RuntimeError: from none of them do the images overlap.
    """
    coarse = levels[0]
    dims = coarse.fixed.GetDimension()
    plain = sitk.Euler2DTransform() if dims == 2 else sitk.Euler3DTransform()
    centred = sitk.CenteredTransformInitializer(
        coarse.fixed, coarse.moving, plain, sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    ends, problem = [], ""
    for angles in _start_angles(degrees, dims):
        start = type(plain)(centred)
        start.SetParameters((*np.deg2rad(angles), *centred.GetParameters()[len(angles) :]))
        try:
            ends.append(_descend(coarse, start, 2 * coarse.unit, seed))
        except RuntimeError as error:
            problem = str(error)
    if not ends:
        raise RuntimeError(problem)
    return [transform for _, transform in sorted(ends, key=lambda end: end[0])]


def refine(levels: Sequence[Level], start: Rigid, seed: int) -> Rigid:
    """Register all levels in turn, coarse to fine."""
    for level in levels:
        _, start = _descend(level, start, level.unit, seed)
    return start


def _descend(level: Level, start: Rigid, step: float, seed: int) -> tuple[float, Rigid]:
    """Minimise minus Mattes' mutual information; return it with a copy of ``start`` that was moved.

    Reference:
        Mattes et al. (2003), IEEE TMI 22(1), 120-128, Eq. (8).
    """
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)  # the order of sums, and so the result, would change from run to run
    method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    share = MOST_SAMPLES / level.fixed.GetNumberOfPixels()
    if share < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(share, seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(step, SMALLEST_STEP, ITERATIONS, RELAXATION)
    method.SetOptimizerScalesFromPhysicalShift()
    moved = type(start)(start)
    method.SetInitialTransform(moved, inPlace=True)
    method.Execute(level.fixed, level.moving)
    return method.GetMetricValue(), moved


def _start_angles(degrees: Sequence[float], dims: int) -> list[tuple[float, ...]]:
    if dims == 2:
        return [(angle,) for angle in degrees]
    turns = [tuple(angle * (axis == k) for k in range(3)) for axis in range(3) for angle in degrees]
    return list(dict.fromkeys(turns))


def _smooth(image: sitk.Image, sigma: float) -> sitk.Image:
    return sitk.SmoothingRecursiveGaussian(image, sigma) if sigma else image


def _shrink(image: sitk.Image, step: float) -> sitk.Image:
    pairs = zip(image.GetSize(), image.GetSpacing(), strict=True)
    return sitk.Shrink(image, [max(1, min(round(step / spacing), size // LEAST_SIZE)) for size, spacing in pairs])
