"""Drawing board of the head phantom: a plane of fine samples in the patient's frame, and smooth noise on it.

Images are (H, W) with the front of the head at the top and the patient's left on the right. Drawing happens on
`OVERSAMPLE` times as many samples; `shrink` averages them, which gives edges their partial volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Plane = NDArray[np.float32]
OVERSAMPLE = 2
_LATTICE = (24, 40, 40)  # nodes of a noise field along z, y, x; it repeats beyond
_SPREAD = (151 / 315) ** 1.5  # standard deviation of cubic B-splines over white noise in three dimensions


@dataclass(frozen=True)
class Canvas:
    """Fine samples of one axial plane.

    Args:
        shape: pixels (H, W).
        pixel_mm: their size (height, width) in mm.
        scale: size of the patient relative to the reference head along x, y.
        roll_deg: turn of the head in the plane.
        shift_mm: place of the head's middle in the image (right, up) in mm.
    """

    shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    scale: tuple[float, float] = (1.0, 1.0)
    roll_deg: float = 0.0
    shift_mm: tuple[float, float] = (0.0, 0.0)
    rows_mm: Plane = field(init=False, repr=False, compare=False)
    columns_mm: Plane = field(init=False, repr=False, compare=False)
    x: Plane = field(init=False, repr=False, compare=False)
    y: Plane = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out the samples: `rows_mm` and `columns_mm` of the image, `x` and `y` of the patient."""
        down, right = (
            ((np.arange(n * OVERSAMPLE) + 0.5) / OVERSAMPLE - n / 2) * step
            for n, step in zip(self.shape, self.pixel_mm, strict=True)
        )
        turn = np.deg2rad(self.roll_deg)
        dx, dy = right[None, :] - self.shift_mm[0], -down[:, None] - self.shift_mm[1]
        x = (np.cos(turn) * dx + np.sin(turn) * dy) / self.scale[0]
        y = (np.cos(turn) * dy - np.sin(turn) * dx) / self.scale[1]
        for name, value in (("rows_mm", down), ("columns_mm", right), ("x", x), ("y", y)):
            object.__setattr__(self, name, value.astype(np.float32))

    @property
    def sample_mm(self) -> tuple[float, float]:
        """Distance of the fine samples along rows and columns in mm."""
        return self.pixel_mm[0] / OVERSAMPLE, self.pixel_mm[1] / OVERSAMPLE

    def warped(self, right: Plane, up: Plane) -> Canvas:
        """The same samples in a patient who is bent by (right, up) in mm."""
        bent = copy(self)
        object.__setattr__(bent, "x", self.x + right)
        object.__setattr__(bent, "y", self.y + up)
        return bent


class Noise:
    """Gaussian random field of unit variance, smooth and repeatable: the same lattice serves every level of a patient.

    Args:
        rng: source of the lattice.
        scale_mm: size of its structures along z, y, x.
    """

    def __init__(self, rng: np.random.Generator, scale_mm: tuple[float, float, float]) -> None:
        self.scale_mm = scale_mm
        self.lattice = rng.standard_normal(_LATTICE).astype(np.float32) / np.float32(_SPREAD)

    def on(self, canvas: Canvas, z: float) -> Plane:
        """Values on the samples of a canvas at height z, (H, W)."""
        plane = self._level(z)
        across = _weights(canvas.columns_mm / self.scale_mm[2], plane.shape[1])
        along = _weights(canvas.rows_mm / self.scale_mm[1], plane.shape[0])
        return (along @ plane @ across.T).astype(np.float32, copy=False)

    def at(self, y: Plane, x: Plane, z: float) -> Plane:
        """Values at any points (y, x) of height z."""
        points = np.stack([y / np.float32(self.scale_mm[1]), x / np.float32(self.scale_mm[2])])
        return map_coordinates(self._level(z), points, order=3, mode="grid-wrap", prefilter=False)

    def _level(self, z: float) -> Plane:
        weights = _weights(np.array([z / self.scale_mm[0]], dtype=np.float32), len(self.lattice))[0]
        return np.tensordot(weights, self.lattice, 1).astype(np.float32)


def _weights(position: Plane, count: int) -> Plane:
    """Cubic B-spline weights (P, count) of lattice nodes at positions (P,), periodic."""
    distance = np.abs((position[:, None] - np.arange(count, dtype=np.float32) + count / 2) % count - count / 2)
    square, far = distance * distance, np.clip(2 - distance, 0, None)
    return np.where(distance < 1, 2 / 3 - square + square * distance / 2, far * far * far / 6).astype(np.float32)


def shrink(samples: NDArray) -> Plane:
    """Average fine samples (H * OVERSAMPLE, W * OVERSAMPLE) to pixels (H, W)."""
    parts = [samples[k::OVERSAMPLE, m::OVERSAMPLE] for k in range(OVERSAMPLE) for m in range(OVERSAMPLE)]
    total = parts[0].astype(np.float32)
    for part in parts[1:]:
        total += part
    return total / np.float32(len(parts))


def ellipse(canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float], turn_deg: float = 0.0) -> Plane:
    """Relative radius (1 at the edge) of an ellipse in the patient's plane; `turn_deg` is counter-clockwise."""
    turn = np.deg2rad(turn_deg)
    dx, dy = canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1])
    a = (np.float32(np.cos(turn)) * dx + np.float32(np.sin(turn)) * dy) / np.float32(radii[0])
    b = (np.float32(np.cos(turn)) * dy - np.float32(np.sin(turn)) * dx) / np.float32(radii[1])
    return np.sqrt(a * a + b * b)


def tube(canvas: Canvas, points: Sequence[tuple[float, float, float]]) -> NDArray[np.bool_]:
    """Samples inside a bent tube through points (x, y, radius) in the patient's plane."""
    reach = max(radius for _, _, radius in points)
    left, low = np.array(points)[:, :2].min(0) - reach
    right, high = np.array(points)[:, :2].max(0) + reach
    inside = (canvas.x > left) & (canvas.x < right) & (canvas.y > low) & (canvas.y < high)
    x, y = canvas.x[inside], canvas.y[inside]
    inside[inside] = np.any([_in_cone(x, y, start, stop) for start, stop in pairwise(points)], axis=0)
    return inside


def _in_cone(
    x: Plane, y: Plane, start: tuple[float, float, float], stop: tuple[float, float, float]
) -> NDArray[np.bool_]:
    a, b, growth = (float(q - p) for p, q in zip(start, stop, strict=True))
    dx, dy = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((dx * a + dy * b) / max(a * a + b * b, 1e-6), 0, 1)
    radius = np.float32(start[2]) + along * growth
    return (dx - along * a) ** 2 + (dy - along * b) ** 2 < radius**2
