"""Findings of the chest phantom: pneumonia-like opacities, and what else changes a lung without being pneumonia."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .phantom_anatomy import HILA, Chest
from .phantom_canvas import Grid, Volume, ellipsoid, smooth_noise, world_capsule
from .phantom_traits import Findings, Traits

Mask = NDArray[np.bool_]


def draw_distractors(grid: Grid, chest: Chest, findings: Findings, traits: Traits, rng: np.random.Generator) -> Mask:
    """Draw everything that both classes may show into `chest.hu`; return the mask of the nodules (X, Y, Z)."""
    if findings.emphysema > 0:
        _draw_emphysema(grid, chest, findings.emphysema, rng)
    if findings.atelectasis_hu > 0:
        _draw_atelectasis(grid, chest, findings, traits.prone, rng)
    if findings.haze_hu > 0:
        _draw_haze(grid, chest, findings.haze_hu)
    for point in _lung_points(grid, chest, findings.scars, (0.0, 4.0), rng):
        _draw_scar(grid, chest, point, rng)
    nodules = np.zeros(grid.shape, dtype=bool)
    for point in _lung_points(grid, chest, findings.nodules, (3.0, 60.0), rng):
        cut, depth = _lump(grid, point, (rng.uniform(2.5, 7.0),) * 3, rng)
        _raise(grid, chest, cut, depth, rng.uniform(0, 60), grid.voxel_mm)
        nodules[cut] |= (depth > 0) & chest.lung[cut]
    return nodules


def draw_opacities(grid: Grid, chest: Chest, findings: Findings, rng: np.random.Generator) -> Mask:
    """Draw patches of ground glass and consolidation near the pleura of both lungs; return their mask (X, Y, Z)."""
    mask = np.zeros(grid.shape, dtype=bool)
    if findings.opacities == 0:
        return mask
    bumps = smooth_noise(rng, grid, 9.0)
    for side in (1, -1):
        for index, point in enumerate(_lung_points(grid, chest, findings.opacities, (2.5, 13.0), rng, side)):
            dense = index + 0.5 < findings.consolidation * findings.opacities or rng.random() < 0.15
            value = rng.uniform(-100, 40) if dense else rng.uniform(-560, -250)
            low, high = findings.opacity_mm
            for _ in range(int(rng.integers(1, 4))):  # a patch is a cluster of overlapping lumps
                radii = rng.uniform(low, high, 3) * (0.75 if dense else 1.0)
                cut, depth = _lump(grid, point + rng.normal(0, 0.45 * low, 3), radii, rng)
                depth = depth + np.float32(2.5) * bumps[cut]
                _raise(grid, chest, cut, depth, value, 3.0 if dense else 5.0)
                mask[cut] |= (depth > 0) & chest.lung[cut]
    return mask


def _lung_points(
    grid: Grid, chest: Chest, count: int, depth_mm: tuple[float, float], rng: np.random.Generator, side: int = 0
) -> NDArray[np.float64]:
    """World points (N, 3) in the lungs at a given depth under their surface, away from the mediastinum when shallow."""
    if count == 0:
        return np.zeros((0, 3))
    sparse = chest.lung_depth[::3, ::3, ::3]
    cells = np.argwhere((sparse > depth_mm[0]) & (sparse < depth_mm[1])) * 3
    points = np.stack([axis[cells[:, i]] for i, axis in enumerate(grid.axes)], axis=1).astype(np.float64)
    across = points[:, 0] - grid.shift_mm[0]
    keep = np.abs(across) > 55 * grid.scale[0]
    if side:
        keep &= across * side > 0
    points = points[keep] if keep.any() else points
    return points[rng.choice(len(points), min(count, len(points)), replace=False)] if len(points) else points


def _lump(
    grid: Grid, point: NDArray[np.floating], radii: tuple[float, ...] | NDArray[np.floating], rng: np.random.Generator
) -> tuple[tuple[slice, slice, slice], Volume]:
    """Randomly turned ellipsoid in world mm."""
    frame, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    patient = np.linalg.solve(grid.to_world_matrix, point - np.asarray(grid.shift_mm))
    half = np.asarray(radii) / grid.mean_scale
    return ellipsoid(grid, patient.tolist(), half.tolist(), frame, margin=8.0)


def _raise(
    grid: Grid, chest: Chest, cut: tuple[slice, slice, slice], depth: Volume, value: float, edge_mm: float
) -> None:
    """Lift lung tissue towards `value` where `depth` is positive: denser structures (vessels) stay visible."""
    block = chest.hu[cut]
    weight = np.clip(depth / np.float32(edge_mm) + 0.5, 0, 1)
    weight *= np.clip(chest.lung_depth[cut] / np.float32(grid.voxel_mm) + 0.5, 0, 1)
    block += weight * np.clip(np.float32(value) - block, 0, None)


def _draw_scar(grid: Grid, chest: Chest, point: NDArray[np.floating], rng: np.random.Generator) -> None:
    middle = np.array(
        [grid.shift_mm[0] + np.sign(point[0] - grid.shift_mm[0]) * 62 * grid.scale[0], point[1] * 0.4, point[2]]
    )
    inward = (middle - point) / max(float(np.linalg.norm(middle - point)), 1e-6) + rng.normal(0, 0.35, 3)
    tip = point + inward * rng.uniform(14, 34)
    radius = rng.uniform(0.9, 1.8)
    cut, depth = world_capsule(grid, point - 3 * inward, tip, (radius, 0.7 * radius))
    _raise(grid, chest, cut, depth, rng.uniform(-150, 40), grid.voxel_mm)


def _draw_emphysema(grid: Grid, chest: Chest, strength: float, rng: np.random.Generator) -> None:
    holes = smooth_noise(rng, grid, 11.0)
    holes += np.float32(0.9) * (grid.axes[2] / np.float32(grid.axes[2][-1]))  # the upper lungs more
    weight = np.clip((holes - np.float32(2.0 - 1.2 * strength)) * 2, 0, 0.9)
    weight *= np.clip(chest.lung_depth / 2 - 0.5, 0, 1)
    tissue = chest.hu < -700  # vessels stay
    np.add(chest.hu, weight * (np.float32(-975) - chest.hu), out=chest.hu, where=tissue)


def _draw_atelectasis(grid: Grid, chest: Chest, findings: Findings, prone: bool, rng: np.random.Generator) -> None:
    """Denser tissue along the pleura on the side of gravity, thicker at the bases."""
    down = np.float32(1 if prone else -1)
    low = np.clip(down * (grid.axes[1] - np.float32(grid.shift_mm[1])) / np.float32(15 * grid.scale[1]) - 2.2, 0, 1)
    base = np.float32(0.45) + np.float32(0.55) / (1 + np.exp(grid.axes[2] / np.float32(30)))
    rows = np.flatnonzero(low)
    cut = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(None)) if rows.size else (slice(0),) * 3
    depth = chest.lung_depth[cut]
    weight = np.exp(-np.clip(depth, 0, None) / np.float32(findings.atelectasis_mm))
    weight *= np.clip(depth / np.float32(grid.voxel_mm) + 0.5, 0, 1)
    weight *= low[cut[1]][None, :, None] * base[None, None, :]
    weight *= np.clip(0.75 + 0.35 * smooth_noise(rng, grid, 30.0)[cut], 0.1, 1.3)
    block = chest.hu[cut]
    block += weight * np.float32(findings.atelectasis_hu) * np.clip((0 - block) / 850, 0, 1)


def _draw_haze(grid: Grid, chest: Chest, haze_hu: float) -> None:
    x, y, z = grid.axes
    for centre in grid.to_world([HILA[1], HILA[-1]]):
        spread = np.float32(2 * (38 * grid.mean_scale) ** 2)
        across, front, height = (
            np.exp(-((axis - np.float32(c)) ** 2) / spread) for axis, c in zip((x, y, z), centre, strict=True)
        )
        weight = across[:, None, None] * front[None, :, None] * height[None, None, :]
        tissue = np.clip((0 - chest.hu) / 850, 0, 1) * (chest.lung_depth > 0)
        np.add(chest.hu, np.float32(haze_hu) * weight * tissue, out=chest.hu)
