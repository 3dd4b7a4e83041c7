"""Rigid registration with SimpleITK: resolutions, starts, descent, and the similarity that both backends share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813
from skimage.metrics import normalized_mutual_information

from .registration_geometry import Rigid

__all__ = ["Level", "coarse_starts", "pyramid", "refine", "similarity", "without_thin_parts"]

HISTOGRAM_BINS = 32
SHRINK = (4, 2, 1)
SMOOTHEST = 2.0  # sigma at shrink 4, in units of the smallest spacing
MOST_SAMPLES = 100_000  # of the metric; larger images are sampled at regular places
LEAST_SIZE = 8
ITERATIONS, SMALLEST_STEP, RELAXATION = 300, 1e-4, 0.6
GRID_DEGREES, GRID_SHIFTS = 3.0, 3
FOREGROUND, THIN = 0.1, 3  # of the range of intensities; radius in units of the smallest spacing


@dataclass(frozen=True)
class Level:
    """Fixed and moving image at one resolution; `unit` is its step in world units."""

    fixed: sitk.Image
    moving: sitk.Image
    unit: float


def without_thin_parts(image: sitk.Image) -> sitk.Image:
    """Set what is no body to the lowest intensity: the head holder of CT, markers, lines of text.

    Foreground is what exceeds a tenth of the range (lowest value to 99th percentile); holes filled, parts thinner than 7
    steps that hang on nothing thicker go; a closed ring counts as filled. An image of which less than half were left stays as it is.
    """
    values = sitk.GetArrayViewFromImage(image)
    low, high = float(values.min()), float(np.percentile(values, 99))
    filled = sitk.BinaryFillhole(image > low + FOREGROUND * (high - low))
    step = min(image.GetSpacing())
    radius = [max(1, round(THIN * step / spacing)) for spacing in image.GetSpacing()]
    body = sitk.BinaryOpeningByReconstruction(filled, radius)
    whole, kept = (sitk.GetArrayViewFromImage(mask).sum() for mask in (filled, body))
    grown = sitk.BinaryDilate(body, [1] * image.GetDimension())
    return sitk.Mask(image, grown, low) if kept >= whole / 2 else image


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
    return _nmi_of(_shrink(_smooth(fixed, step), 2 * step), _smooth(moving, step))


def _nmi_of(fixed: sitk.Image, moving: sitk.Image) -> Callable[[sitk.Transform], float]:
    values = sitk.GetArrayFromImage(fixed)
    sampler = sitk.ResampleImageFilter()
    sampler.SetReferenceImage(fixed)
    sampler.SetNumberOfThreads(1)  # a thousand small calls: threads cost more than they save
    sampler.SetNumberOfWorkUnits(1)

    def measure(transform: sitk.Transform) -> float:
        sampler.SetTransform(transform)
        moved = sitk.GetArrayFromImage(sampler.Execute(moving))
        return float(normalized_mutual_information(values, moved, bins=HISTOGRAM_BINS)) if np.ptp(moved) else 1.0

    return measure


def coarse_starts(levels: Sequence[Level], max_degrees: float, count: int) -> list[Rigid]:
    """The poses of highest normalised mutual information on a grid at the coarsest level, best first.

    The grid is around the pose that lays the centres of mass upon one another: rotations every 3 degrees, in 3-D around
    one axis at a time; in 2-D each with shifts of up to 12 steps of the finest level. Two poses of the list differ by more
    than 6 degrees or 6 such steps.

    Args:
        levels: from :func:`pyramid`.
        max_degrees: largest rotation of the grid.
        count: how many poses.
    """
    coarse = levels[0]
    dims = coarse.fixed.GetDimension()
    plain = sitk.Euler2DTransform() if dims == 2 else sitk.Euler3DTransform()
    centred = sitk.CenteredTransformInitializer(
        coarse.fixed, coarse.moving, plain, sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    measure = _nmi_of(coarse.fixed, coarse.moving)
    poses = [_moved(centred, change) for change in _grid(max_degrees, dims, coarse.unit)]
    ranked = sorted(poses, key=measure, reverse=True)
    chosen: list[Rigid] = []
    for pose in ranked:
        if len(chosen) < count and all(_far(pose, other, coarse.unit) for other in chosen):
            chosen.append(pose)
    return chosen


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


def _grid(max_degrees: float, dims: int, unit: float) -> Iterator[tuple[float, ...]]:
    """Changes of the parameters: in 2-D rotations with shifts, in 3-D rotations around one axis."""
    turns = np.deg2rad(
        np.arange(-round(max_degrees / GRID_DEGREES), round(max_degrees / GRID_DEGREES) + 1) * GRID_DEGREES
    )
    if dims == 2:
        shifts = np.arange(-GRID_SHIFTS, GRID_SHIFTS + 1) * unit
        yield from product(turns, shifts, shifts)
        return
    for axis, turn in product(range(3), turns):
        yield tuple(turn * (k == axis) for k in range(6))


def _moved(start: Rigid, change: Sequence[float]) -> Rigid:
    pose = type(start)(start)
    pose.SetParameters(np.add(start.GetParameters(), change).tolist())
    return pose


def _far(pose: Rigid, other: Rigid, unit: float) -> bool:
    left = np.abs(np.subtract(pose.GetParameters(), other.GetParameters()))
    turns = len(left) // 2 if len(left) == 6 else 1
    return bool(left[:turns].max() > np.deg2rad(2.1 * GRID_DEGREES) or left[turns:].max() > 1.5 * unit)


def _smooth(image: sitk.Image, sigma: float) -> sitk.Image:
    return sitk.SmoothingRecursiveGaussian(image, sigma) if sigma else image


def _shrink(image: sitk.Image, step: float) -> sitk.Image:
    pairs = zip(image.GetSize(), image.GetSpacing(), strict=True)
    return sitk.Shrink(image, [max(1, min(round(step / spacing), size // LEAST_SIZE)) for size, spacing in pairs])
