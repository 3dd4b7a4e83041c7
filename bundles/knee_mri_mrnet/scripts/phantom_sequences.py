"""How the scanner sees a knee: slices of three planes, the contrast of each sequence, coil shading and noise.

World is RAS in mm. The knee frame of a right knee is (u lateral, v anterior, w superior) in reference mm with the
middle of the tibial plateau at 0; `Stack` maps one to the other. Stacks are (slice * sub-slice, row, column).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .phantom_traits import PhantomSettings, Pose

Volume = NDArray[np.float32]
Slices = tuple[slice, slice, slice]
Contrast = dict[str, float]

SUB_SLICES = 2
EDGE_MM = 0.7  # width of a partial-volume edge in the slice
DIRECTIONS = {  # world axis and sign along slices, rows and columns, as MRNet shows them
    "axial": ((2, 1), (1, -1), (0, -1)),
    "coronal": ((1, -1), (2, -1), (0, -1)),
    "sagittal": ((0, -1), (2, -1), (1, -1)),
}
COVERAGE_MM = {"axial": (-18.0, 58.0), "coronal": (-40.0, 32.0), "sagittal": (-38.0, 38.0)}  # first and last slice
FIELD_MIDDLE_MM = (0.0, -4.0, 6.0)  # of the field of view, relative to the middle of the plateau
TISSUES = ("fat", "marrow", "muscle", "cartilage", "dark", "fluid", "oedema", "notch", "skin")
SEQUENCES = {  # signal of TISSUES: PD fat-saturated, T1, T2 fat-saturated
    "axial": (0.19, 0.15, 0.37, 0.58, 0.06, 1.00, 0.88, 0.33, 0.38),
    "coronal": (0.92, 0.80, 0.36, 0.46, 0.07, 0.50, 0.54, 0.66, 0.45),
    "sagittal": (0.20, 0.15, 0.31, 0.52, 0.05, 1.00, 0.88, 0.28, 0.34),
}


class Stack:
    """Drawing board of one plane: signal of every sub-slice, painted in the knee frame with soft edges.

    Args:
        plane: axial, coronal or sagittal.
        slices: number of slices.
        matrix: rows and columns.
        field_mm: edge of the field of view.
        pose: where the knee lies.
        contrast: signal by tissue.
    """

    def __init__(self, plane: str, slices: int, matrix: int, field_mm: float, pose: Pose, contrast: Contrast) -> None:
        self.plane, self.slices, self.contrast, self.pose = plane, slices, contrast, pose
        directions = DIRECTIONS[plane]
        first, last = (limit * pose.scale[directions[0][0]] for limit in COVERAGE_MM[plane])
        self.spacing_mm = (last - first) / (slices - 1)
        thickness = min(4.0, self.spacing_mm)
        middle = first + np.arange(slices) * self.spacing_mm + 0.8 * pose.shift_mm[directions[0][0]]
        parts = ((np.arange(SUB_SLICES) + 0.5) / SUB_SLICES - 0.5) * thickness
        through = (middle[:, None] + parts).ravel()
        self.pixel_mm = field_mm / matrix
        inside = (np.arange(matrix) - (matrix - 1) / 2) * self.pixel_mm
        axes: list[Volume] = []
        for dimension, (axis, sign) in enumerate(directions):
            place = through[::sign] if dimension == 0 else sign * inside + FIELD_MIDDLE_MM[axis]
            axes.append(place.astype(np.float32))
        self.axes = axes
        self.to_world = _rotation(pose.turn_deg) @ np.diag(pose.scale) @ np.diag([-1.0 if pose.left else 1.0, 1, 1])
        self.shift = np.array(pose.shift_mm)
        self.inverse = np.linalg.inv(self.to_world).astype(np.float32)
        self.shape = (len(axes[0]), matrix, matrix)
        self.signal: Volume = np.zeros(self.shape, dtype=np.float32)
        self.solid: Volume = np.zeros(self.shape, dtype=np.float32)
        self.found: dict[int, Volume] = {}

    def world_axes(self, box: Slices) -> list[Volume]:
        """World x, y, z of a box of pixels, each with two dimensions of size one."""
        result: list[Volume] = [np.empty(0, np.float32)] * 3
        for dimension, (axis, _) in enumerate(DIRECTIONS[self.plane]):
            form = [1, 1, 1]
            form[dimension] = -1
            result[axis] = self.axes[dimension][box[dimension]].reshape(form)
        return result

    def box(self, low: Sequence[float], high: Sequence[float], margin: float = 3.0) -> Slices:
        """Pixels that can show the part of the knee frame between the corners `low` and `high` (reference mm)."""
        ends = [np.array([a - margin, b + margin]) for a, b in zip(low, high, strict=True)]
        corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3) @ self.to_world.T + self.shift
        cut = []
        for dimension, (axis, _) in enumerate(DIRECTIONS[self.plane]):
            place = self.axes[dimension]
            inside = np.flatnonzero((place >= corners[:, axis].min()) & (place <= corners[:, axis].max()))
            cut.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
        return cut[0], cut[1], cut[2]

    def coordinates(self, box: Slices) -> tuple[Volume, Volume, Volume]:
        """Knee coordinates u, v, w of a box of pixels, in reference mm, with slow bends."""
        x, y, z = self.world_axes(box)
        size, p = np.float32(self.pose.warp_mm), [np.float32(phase) for phase in self.pose.warp_phase]
        x0, y0, z0 = (axis - np.float32(s) for axis, s in zip((x, y, z), self.shift, strict=True))
        x1 = [x0, size * np.sin(y0 / 13 + p[0]), size * np.sin(z0 / 16 + p[1])]
        y1 = [y0, size * np.sin(x0 / 14 + p[2]), size * np.sin(z0 / 15 + p[3])]
        z1 = [z0, size * np.sin(x0 / 15 + p[4]), size * np.sin(y0 / 12 + p[5])]
        rows = []
        for row in range(3):
            a, b, c = (float(self.inverse[row, column]) for column in range(3))
            by_x = a * x1[0] + b * y1[1] + c * z1[1]  # sums of one axis stay one-dimensional
            by_y = b * y1[0] + a * x1[1] + c * z1[2]
            by_z = c * z1[0] + a * x1[2] + b * y1[2]
            rows.append((by_x + by_y) + by_z)
        return rows[0], rows[1], rows[2]

    def blend(
        self,
        box: Slices,
        depth: Volume,
        tissue: str | float | Volume,
        edge_mm: float = EDGE_MM,
        solid: bool = False,
        finding: int = 0,
        strength: float = 1.0,
    ) -> None:
        """Paint `tissue` where `depth` (mm, positive inside) is positive; bone and cartilage are `solid`."""
        weight = depth * np.float32(1 / edge_mm)
        weight += np.float32(0.5)
        np.clip(weight, 0, 1, out=weight)
        if strength != 1:
            weight *= np.float32(strength)
        value = np.asarray(self.contrast[tissue] if isinstance(tissue, str) else tissue, dtype=np.float32)
        part = self.signal[box]
        change = value - part
        change *= weight
        part += change
        if solid:
            np.maximum(self.solid[box], weight, out=self.solid[box])
        if finding:
            cover = self.found.setdefault(finding, np.zeros(self.shape, dtype=np.float32))
            np.maximum(cover[box], weight, out=cover[box])

    def cover_outside(self, skin: Volume) -> None:
        """Clear the air around the leg; `skin` is the depth under the skin (S * sub, H, W) in mm."""
        self.signal *= np.clip(skin * np.float32(1 / EDGE_MM) + np.float32(0.5), 0, 1)

    def affine(self) -> NDArray[np.float64]:
        """Affine (4, 4) from (slice, row, column) to RAS mm."""
        affine = np.eye(4)
        affine[:3, :3] = 0
        for dimension, (axis, sign) in enumerate(DIRECTIONS[self.plane]):
            step = sign * (self.pixel_mm if dimension else self.spacing_mm)
            place = self.axes[dimension]
            affine[axis, dimension] = step
            affine[axis, 3] = place[0] if dimension else place[:SUB_SLICES].mean()
        return affine

    def image(self) -> Volume:
        """Signal (S, H, W) of the thick slices."""
        thick: Volume = self.signal.reshape(self.slices, -1, *self.shape[1:]).mean(1)
        return thick

    def mask(self) -> NDArray[np.uint8]:
        """Truth (S, H, W): the number of the finding that fills half of the thick slice, outside bone and cartilage."""
        truth = np.zeros((self.slices, *self.shape[1:]), dtype=np.uint8)
        for number in sorted(self.found, reverse=True):
            cover = self.found[number] * (1 - self.solid)
            truth[cover.reshape(self.slices, -1, *self.shape[1:]).mean(1) >= 0.4] = number
        return truth


def draw_contrast(plane: str, rng: np.random.Generator) -> Contrast:
    """Draw the signal of every tissue of one sequence around its usual value."""
    signal = dict(zip(TISSUES, SEQUENCES[plane], strict=True))
    jitter = dict(zip(TISSUES, rng.uniform(0.88, 1.12, len(TISSUES)), strict=True))
    less_saturated = float(rng.uniform(0, 0.3) * (rng.random() < 0.5))
    drawn = {tissue: value * float(jitter[tissue]) for tissue, value in signal.items()}
    if plane != "coronal":
        drawn["fat"] += less_saturated
        drawn["marrow"] += 0.8 * less_saturated
        drawn["notch"] += 0.5 * less_saturated
        drawn["fluid"], drawn["oedema"] = 1.0, min(drawn["oedema"], 0.95)
    return drawn


def make_stacks(settings: PhantomSettings, pose: Pose, rng: np.random.Generator) -> dict[str, Stack]:
    """Lay out the empty stacks of the three planes."""
    stacks = {}
    for plane in DIRECTIONS:
        slices = int(rng.integers(settings.slices[0], settings.slices[1] + 1))
        field_mm = float(rng.uniform(150, 160))
        stacks[plane] = Stack(plane, slices, settings.matrix, field_mm, pose, draw_contrast(plane, rng))
    return stacks


def texture(stack: Stack, grain: int, rng: np.random.Generator) -> Volume:
    """Smooth noise (S, H, W) of unit spread with a grain of `grain` pixels."""
    rows = stack.shape[1]
    knots = -(-rows // grain) + 2
    place = np.arange(rows, dtype=np.float32)[:, None] / grain + 0.5 - np.arange(knots, dtype=np.float32)
    weight = np.exp(-((place / 0.8) ** 2))
    weight /= np.sqrt((weight**2).sum(1, keepdims=True))  # a sum of independent knots keeps its spread
    return weight @ rng.standard_normal((stack.slices, knots, knots), dtype=np.float32) @ weight.T


def scan(stack: Stack, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add tissue texture, coil shading and Rician noise to the thick slices, scale to 0..255 and round.

    Args:
        stack: painted stack.
        rng: source of shading and noise.

    Returns:
        uint8 (S, H, W).
    """
    image = stack.image()
    grain = np.float32(0.035) * texture(stack, 4, rng) + np.float32(0.06) * texture(stack, 16, rng)
    image *= 1 + grain
    rows = np.linspace(-1, 1, stack.shape[1], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, stack.shape[2], dtype=np.float32)[None, :]
    tilt, bend = rng.uniform(-0.18, 0.18, 2).astype(np.float32), rng.uniform(-0.1, 0.3, 2).astype(np.float32)
    field = 1 + tilt[0] * rows + tilt[1] * columns + bend[0] * rows**2 + bend[1] * columns**2
    image *= field * np.linspace(1 - tilt[0] / 3, 1 + tilt[0] / 3, stack.slices, dtype=np.float32)[:, None, None]
    spread = np.float32(rng.uniform(0.012, 0.035))
    noise = rng.standard_normal((2, *image.shape), dtype=np.float32) * spread
    image = np.sqrt((image + noise[0]) ** 2 + noise[1] ** 2)
    brightest = max(stack.contrast["fat"], stack.contrast["marrow"], 0.72)  # not of this image: findings are bright
    white = np.float32(brightest * rng.uniform(*((1.02, 1.25) if stack.plane == "coronal" else (0.9, 1.2))))
    return np.rint(np.clip(image * (255 / white), 0, 255)).astype(np.uint8)


def _rotation(turn_deg: Sequence[float]) -> NDArray[np.float64]:
    """Rotation (3, 3) about world x, then y, then z."""
    (a, b, c), (sa, sb, sc) = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    about_x = np.array([[1, 0, 0], [0, a, -sa], [0, sa, a]])
    about_y = np.array([[b, 0, sb], [0, 1, 0], [-sb, 0, b]])
    about_z = np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
