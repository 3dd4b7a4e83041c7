"""Drawing board of the chest phantom: a voxel grid with a posed patient frame, and soft-edged shapes painted into it.

Two frames are used. *World* is RAS in mm with its origin at the middle of the field. *Patient* is a reference adult in
mm (x right, y anterior, z superior); `Grid` scales, leans and rolls it into the world. Arrays are (X, Y, Z).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Slices = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a field of view and the pose of the patient in it.

    Args:
        shape: voxels along x, y, z.
        spacing_mm: voxel size along x, y, z in mm.
        scale: size of the patient relative to the reference adult along x, y, z.
        roll_deg: turn about the long axis, in degrees.
        lean: sideways and forward shift per mm of height (tangent of a small tilt).
        shift_mm: world position of the patient frame's origin in mm.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    roll_deg: float = 0.0
    lean: tuple[float, float] = (0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    axes: tuple[Volume, Volume, Volume] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out the world coordinates of the voxel centres."""
        axes = [
            ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
            for n, step in zip(self.shape, self.spacing_mm, strict=True)
        ]
        object.__setattr__(self, "axes", tuple(axes))

    @cached_property
    def mean_scale(self) -> float:
        """Factor from reference mm to world mm for radii."""
        return float(np.prod(self.scale) ** (1 / 3))

    @cached_property
    def voxel_mm(self) -> float:
        """Mean voxel edge in mm: the width of a partial-volume edge."""
        return float(np.mean(self.spacing_mm))

    @cached_property
    def to_world_matrix(self) -> NDArray[np.float64]:
        """Matrix (3, 3) from patient to world, without the shift."""
        turn = np.deg2rad(self.roll_deg)
        roll = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        lean = np.array([[1, 0, self.lean[0]], [0, 1, self.lean[1]], [0, 0, 1]])
        return lean @ roll @ np.diag(self.scale)

    def to_world(self, points: Sequence[Sequence[float]] | NDArray[np.floating]) -> NDArray[np.float64]:
        """Map patient points (N, 3) in reference mm to world mm."""
        return np.asarray(points, dtype=np.float64) @ self.to_world_matrix.T + np.asarray(self.shift_mm)

    def patient_coordinates(self) -> tuple[Volume, Volume, Volume]:
        """Patient x and y of every voxel, both (X, Y, Z), and patient z (1, 1, Z), in reference mm."""
        inverse = np.linalg.inv(self.to_world_matrix).astype(np.float32)
        x, y, z = (axis - np.float32(s) for axis, s in zip(self.axes, self.shift_mm, strict=True))
        rows = [
            row[0] * x[:, None, None] + row[1] * y[None, :, None] + row[2] * z[None, None, :] for row in inverse[:2]
        ]
        return rows[0], rows[1], (inverse[2, 2] * z)[None, None, :]

    def box(self, low: Sequence[float], high: Sequence[float]) -> Slices:
        """Slices of the voxels between two world corners."""
        cuts = []
        for count, step, a, b in zip(self.shape, self.spacing_mm, low, high, strict=True):
            middle = (count - 1) / 2
            start, stop = math.ceil(a / step + middle), math.floor(b / step + middle) + 1
            cuts.append(slice(min(max(start, 0), count), min(max(stop, 0), count)))
        return cuts[0], cuts[1], cuts[2]

    def offsets(self, cut: Slices, point: Sequence[float]) -> tuple[Volume, Volume, Volume]:
        """World offsets of a block's voxels from a point, broadcastable along x, y, z."""
        x, y, z = (axis[c] - np.float32(p) for axis, c, p in zip(self.axes, cut, point, strict=True))
        return x[:, None, None], y[None, :, None], z[None, None, :]


def capsule(
    grid: Grid, start: Sequence[float], stop: Sequence[float], radii: tuple[float, float], margin: float = 3.0
) -> tuple[Slices, Volume]:
    """Depth inside a round-ended cone in world mm (positive inside) on the block of voxels around it.

    Args:
        grid: the drawing board.
        start: patient point of the first end, (3,) reference mm.
        stop: patient point of the second end, (3,) reference mm.
        radii: radius at both ends in reference mm.
        margin: how far outside the shape the block reaches, in mm.

    Returns:
        Slices of the block and depth (bx, by, bz).
    """
    ends = grid.to_world([start, stop])
    return world_capsule(grid, ends[0], ends[1], (radii[0] * grid.mean_scale, radii[1] * grid.mean_scale), margin)


def world_capsule(
    grid: Grid,
    start: NDArray[np.floating],
    stop: NDArray[np.floating],
    radii: tuple[float, float],
    margin: float = 3.0,
) -> tuple[Slices, Volume]:
    """Twin of `capsule` with its ends and radii in world mm."""
    first, last = start.tolist(), stop.tolist()  # plain numbers: thousands of small shapes are drawn
    reach = max(radii) + margin
    cut = grid.box(
        [min(a, b) - reach for a, b in zip(first, last, strict=True)],
        [max(a, b) + reach for a, b in zip(first, last, strict=True)],
    )
    a, b, c = (q - p for p, q in zip(first, last, strict=True))
    length = max(a * a + b * b + c * c, 1e-6)
    x, y, z = grid.offsets(cut, first)
    along = x * (a / length) + y * (b / length) + z * (c / length)
    np.maximum(along, 0, out=along)
    np.minimum(along, 1, out=along)
    depth = np.square(x - along * a)
    depth += np.square(y - along * b)
    depth += np.square(z - along * c)
    np.sqrt(depth, out=depth)
    along *= radii[1] - radii[0]
    along += radii[0]
    return cut, np.subtract(along, depth, out=depth)


def ellipsoid(
    grid: Grid,
    centre: Sequence[float],
    radii: Sequence[float],
    frame: NDArray[np.floating] | None = None,
    margin: float = 3.0,
) -> tuple[Slices, Volume]:
    """Approximate depth inside an ellipsoid in world mm, on the block around it.

    Args:
        grid: the drawing board.
        centre: patient point, (3,) reference mm.
        radii: half axes, (3,) reference mm.
        frame: rows are the directions of the half axes, (3, 3); the world's axes when left out.
        margin: how far outside the shape the block reaches, in mm.
    """
    middle = grid.to_world([centre])[0]
    half = np.asarray(radii, dtype=np.float64) * grid.mean_scale
    reach = (half if frame is None else np.full(3, half.max())) + margin
    cut = grid.box((middle - reach).tolist(), (middle + reach).tolist())
    x, y, z = grid.offsets(cut, middle.tolist())
    square = np.float32(0)
    for row, radius in zip(np.eye(3) if frame is None else frame, half, strict=True):
        a, b, c = (np.float32(v / radius) for v in row)
        square = square + (a * x + b * y + c * z) ** 2
    return cut, (1 - np.sqrt(square)) * np.float32(half.min())


def blend(volume: Volume, depth: Volume, value: float | Volume, edge_mm: float) -> None:
    """Paint `value` in place where `depth` is positive, with a linear edge of `edge_mm` (partial volume)."""
    weight = depth / np.float32(edge_mm)
    weight += np.float32(0.5)
    np.maximum(weight, 0, out=weight)
    np.minimum(weight, 1, out=weight)
    weight *= np.subtract(value, volume, dtype=np.float32)
    volume += weight


def paint(grid: Grid, volume: Volume, shape: tuple[Slices, Volume], value: float) -> None:
    """Paint one block-wise shape (of `capsule` or `ellipsoid`) with the grid's partial-volume edge."""
    cut, depth = shape
    if depth.size:
        blend(volume[cut], depth, value, grid.voxel_mm)


def stamp(depths: Volume, shape: tuple[Slices, Volume]) -> None:
    """Join one block-wise shape to a field of depths in place (union)."""
    cut, depth = shape
    np.maximum(depths[cut], depth, out=depths[cut])


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> Volume:
    """Gaussian random field (X, Y, Z) of unit variance with structures of about `scale_mm`.

    White noise on a coarse lattice, brought to the grid by cubic B-splines as three matrix products.
    """
    lattice: list[NDArray[np.float32]] = []
    for axis in grid.axes:
        position = (axis - axis[0]) / np.float32(scale_mm) + rng.uniform(1, 2)
        distance = np.abs(position[:, None] - np.arange(int(position[-1]) + 3, dtype=np.float32)[None])
        near = 2 / 3 - distance**2 + distance**3 / 2
        weight = np.where(distance < 1, near, np.clip(2 - distance, 0, None) ** 3 / 6)
        lattice.append((weight / np.sqrt((weight**2).sum(1, keepdims=True))).astype(np.float32))
    x, y, z = lattice
    noise = rng.standard_normal((x.shape[1], y.shape[1], z.shape[1]), dtype=np.float32)
    noise = (x @ noise.reshape(x.shape[1], -1)).reshape(x.shape[0], y.shape[1], z.shape[1])
    return np.matmul(np.matmul(y, noise), z.T)
