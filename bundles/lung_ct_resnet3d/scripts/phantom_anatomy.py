"""Geometry and densities of a synthetic chest: from one patient's traits to HU, lung mask and lung depth.

All lengths of the anatomy are reference mm of the patient frame (see `phantom_canvas`): x right, y anterior, z superior;
the carina is near z = 22, the apex near 118, the deepest recess near -124. Arrays are (X, Y, Z), densities are HU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .phantom_canvas import Grid, Volume, blend, capsule, ellipsoid, paint, smooth_noise, stamp, world_capsule
from .phantom_traits import Traits

AIR, FAT, SOFT, MUSCLE, LIVER, MARROW, CARTILAGE, BONE = -1000.0, -95.0, 38.0, 55.0, 62.0, 190.0, 120.0, 520.0
CARINA = (0.0, -20.0, 22.0)
AIRWAYS = (  # start, stop, lumen radii: trachea, right and left main bronchus, right intermediate bronchus
    ((0.0, -12.0, 170.0), CARINA, (9.0, 8.5)),
    (CARINA, (34.0, -25.0, 0.0), (7.5, 6.5)),
    (CARINA, (-40.0, -29.0, -6.0), (7.0, 6.0)),
    ((34.0, -25.0, 0.0), (38.0, -24.0, -22.0), (5.5, 5.0)),
)
GREAT_VESSELS = (  # start, stop, radii: aorta (ascending, arch, descending), caval vein, pulmonary arteries, branches
    ((10.0, 20.0, -22.0), (14.0, 20.0, 38.0), (16.0, 15.0)),
    ((14.0, 20.0, 38.0), (-4.0, 2.0, 54.0), (14.5, 14.0)),
    ((-4.0, 2.0, 54.0), (-22.0, -36.0, 42.0), (14.0, 12.5)),
    ((-22.0, -36.0, 42.0), (-22.0, -42.0, -170.0), (12.5, 11.0)),
    ((29.0, 8.0, 78.0), (26.0, 8.0, -30.0), (8.0, 10.0)),
    ((-10.0, 34.0, -12.0), (-20.0, 12.0, 12.0), (14.0, 13.0)),
    ((-20.0, 12.0, 12.0), (40.0, -10.0, 2.0), (11.0, 8.5)),
    ((-20.0, 12.0, 12.0), (-42.0, -16.0, 6.0), (11.0, 8.5)),
    ((12.0, 14.0, 60.0), (26.0, 12.0, 140.0), (6.5, 5.5)),
    ((-14.0, -4.0, 58.0), (-30.0, -4.0, 140.0), (6.0, 5.0)),
)
HILA = {1: (44.0, -16.0, -4.0), -1: (-46.0, -20.0, -4.0)}


@dataclass(frozen=True)
class Chest:
    """A drawn chest: `hu` and `lung_depth` (mm, positive in the lung) are float32 (X, Y, Z), `lung` is bool."""

    hu: Volume
    lung: NDArray[np.bool_]
    lung_depth: Volume
    body_depth: Volume


def cage_depth(x: Volume, y: Volume, z: Volume) -> Volume:
    """Depth inside the rib cage in reference mm: a stadium-shaped bullet that narrows to two apices."""
    rise = np.clip((z + 40) / 158, 0, 1)
    taper = np.clip(1 - rise**2, 0.04, None) ** 0.62
    half_gap = 36 * rise
    width = 1 - np.float32(0.0016) * y  # wider at the back
    across = np.clip(np.abs(x) - half_gap, 0, None) / (((130 - half_gap) * taper) * width)
    front = y - 2 + 14 * rise
    front = np.maximum(front, np.float32(0.12) * np.exp(-((x / 42) ** 2)) * -front - front) / (86 * taper**0.9)
    level = across**2 * np.sqrt(across) + front**2 * np.sqrt(front)
    return np.clip(np.minimum((1 - level) * (40 * taper), 118 - z), -80, None)


def diaphragm_height(x: Volume, y: Volume, dome_mm: float) -> Volume:
    """Reference z (X, Y, Z) of the diaphragm: two domes over a low rim, the right one higher."""
    front = ((y - 8) / 62) ** 2
    right = np.exp(-(((x - 62) / 52) ** 2) - front)
    left = np.exp(-(((x + 62) / 50) ** 2) - front)
    return dome_mm * right + (0.84 * dome_mm) * left + (0.16 * y - 111)


def draw_chest(grid: Grid, traits: Traits, rng: np.random.Generator) -> Chest:
    """Draw body, skeleton, mediastinum, lungs with vessels and airways, and the couch."""
    x, y, z = grid.patient_coordinates()
    scale = np.float32(grid.mean_scale)
    cage = cage_depth(x, y, z)
    body = _body_depth(grid, x, y, traits)
    hu = np.full(grid.shape, AIR if traits.air_around else FAT, dtype=np.float32)
    blend(hu, body * scale, MUSCLE, grid.voxel_mm)
    streaks = smooth_noise(rng, grid, 14.0)
    wall = 24 + 26 * np.clip((z - 55) / 50, 0, 1)  # chest wall muscle grows towards the shoulders
    blend(hu, np.minimum(body - 2, np.maximum(-cage - wall, streaks - 1.1) * 2) * scale, FAT, 2 * grid.voxel_mm)
    _draw_skeleton(grid, hu, x, y, z, cage)

    mediastinum = _mediastinum_depth(grid, traits)
    above = z - diaphragm_height(x, y, traits.dome_mm)
    lung_depth = np.minimum(np.minimum(cage, above * np.float32(0.8)) * scale, -mediastinum)
    blend(hu, cage * scale, FAT + 25, grid.voxel_mm)
    blend(hu, np.minimum(cage - 2, -above * np.float32(0.8)) * scale, LIVER, grid.voxel_mm)
    _draw_abdomen(grid, hu, traits)
    _draw_mediastinum(grid, hu, traits)
    _draw_spine(grid, hu)

    tissue = lung_tissue(grid, traits, y, rng)
    blend(hu, lung_depth, tissue, grid.voxel_mm)
    lung = lung_depth > 0
    _draw_airways(grid, hu)
    for side in (1, -1):
        _draw_lung_tree(grid, hu, traits, lung, side, rng)
    if traits.couch:
        _draw_couch(grid, hu, body, traits.prone)
    return Chest(hu, lung, lung_depth, body)


def lung_tissue(grid: Grid, traits: Traits, y: Volume, rng: np.random.Generator) -> Volume:
    """Density of healthy lung tissue (X, Y, Z) in HU: level, gravity gradient, patchy ventilation, fine texture."""
    down = -1 if traits.prone else 1
    tissue = np.float32(traits.lung_hu) - np.float32(down * traits.gravity_hu / 170) * y
    tissue += np.float32(0.6 * traits.texture_hu) * smooth_noise(rng, grid, 25.0)
    tissue += np.float32(traits.texture_hu) * smooth_noise(rng, grid, max(3.5, 1.2 * grid.voxel_mm))
    return tissue


def _body_depth(grid: Grid, x: Volume, y: Volume, traits: Traits) -> Volume:
    across = np.abs(x) / np.float32(154 + traits.fat_mm)
    front = np.abs(y + 4) / np.float32(106 + traits.fat_mm)
    level = across**2 * np.sqrt(across) + front**2 * np.sqrt(front)
    body = np.clip((1 - level) * 45, -60, None)
    if traits.breast_mm:
        for side in (-60, 60):
            centre = (side, 88 + traits.fat_mm, -22)
            cut, depth = ellipsoid(grid, centre, (46, traits.breast_mm + 14, 50), margin=20)
            np.maximum(body[cut], depth / grid.mean_scale, out=body[cut])
    return body


def _draw_skeleton(grid: Grid, hu: Volume, x: Volume, y: Volume, z: Volume, cage: Volume) -> None:
    """Ribs that descend to the front, cartilage, breast bone, shoulder blades and collar bones."""
    scale = np.float32(grid.mean_scale)
    shell = 4.5 - np.abs(cage + 5.5)
    phase = (z + np.float32(0.5) * y) / 25
    rib = np.minimum(shell, 6 - np.abs(phase - np.round(phase)) * 25) * scale
    rib[..., (z > 112).ravel()] = -9
    front = y > 58
    for value, depth in ((BONE, rib), (MARROW, rib - 2.6)):
        blend(hu, np.where(front, np.float32(-9), depth), value, grid.voxel_mm)
    blend(hu, np.where(front, rib, np.float32(-9)), CARTILAGE, grid.voxel_mm)
    plate = np.minimum(np.minimum(shell, 17 - np.abs(x)), np.minimum(z + 62, 78 - z)) * scale
    plate = np.where(y > 40, plate, np.float32(-9))
    for value, depth in ((BONE * 0.7, plate), (MARROW * 0.8, plate - np.float32(2.2))):
        blend(hu, depth.astype(np.float32), value, grid.voxel_mm)
    for side in (1, -1):
        blade = np.array([[0.88, 0.45 * side, 0.1 * side], [-0.47 * side, 0.88, 0.0], [-0.09 * side, -0.05, 1.0]])
        paint(grid, hu, ellipsoid(grid, (98 * side, -78, 52), (38, 4.5, 60), blade), BONE * 0.8)
        paint(grid, hu, ellipsoid(grid, (98 * side, -78, 52), (33, 1.8, 55), blade), MARROW)
        paint(grid, hu, capsule(grid, (18 * side, 66, 88), (104 * side, 30, 116), (6.5, 6.0)), BONE)
        paint(grid, hu, capsule(grid, (18 * side, 66, 88), (104 * side, 30, 116), (3.5, 3.2)), MARROW)


def _draw_spine(grid: Grid, hu: Volume) -> None:
    """Vertebrae with discs, canal, transverse and spinous processes, repeated every 25 reference mm."""
    paint(grid, hu, capsule(grid, (0, -78, 190), (0, -78, -190), (14.0, 14.0)), BONE * 0.75)
    for level in range(-7, 8):
        middle = 25.0 * level
        for radius, value in ((21.0, BONE * 0.85), (18.5, MARROW)):
            for shift in (-5.0, 5.0):
                ends = (0, -50, middle + shift - 2), (0, -50, middle + shift + 2)
                cut, depth = capsule(grid, *ends, (radius, radius))
                if depth.size:
                    height = np.abs(grid.axes[2][cut[2]] - grid.to_world([(0, -50, middle)])[0, 2])
                    level_depth = (10.5 if radius > 20 else 8.5) * grid.mean_scale - height
                    blend(hu[cut], np.minimum(depth, level_depth), value, grid.voxel_mm)
        paint(grid, hu, capsule(grid, (0, -90, middle), (0, -106, middle - 9), (4.0, 3.0)), BONE * 0.8)
        for side in (1, -1):
            ends = (10 * side, -76, middle + 4), (38 * side, -88, middle + 8)
            paint(grid, hu, capsule(grid, *ends, (5.0, 3.5)), BONE * 0.7)
    paint(grid, hu, capsule(grid, (0, -78, 190), (0, -78, -190), (8.5, 8.5)), 25.0)


def _mediastinum_depth(grid: Grid, traits: Traits) -> Volume:
    """Depth (world mm) inside all that keeps the lungs apart: heart, vessels, spine, fat between the lungs."""
    depths = np.full(grid.shape, -12.0, dtype=np.float32)
    heart = 1.04 * traits.heart_scale
    stamp(depths, ellipsoid(grid, (-22, 24, -50), (66 * heart, 53 * heart, 54 * heart), _heart_frame(), 12))
    stamp(depths, ellipsoid(grid, (16, 12, -42), (42 * heart, 46 * heart, 50 * heart), margin=12))
    stamp(depths, ellipsoid(grid, (0, 2, 70), (31, 44, 74), margin=12))
    for start, stop, (a, b) in GREAT_VESSELS + AIRWAYS:
        stamp(depths, capsule(grid, start, stop, (a + 3.0, b + 3.0), 12))
    stamp(depths, capsule(grid, (0, -50, 190), (0, -50, -190), (23.0, 23.0), 12))
    stamp(depths, capsule(grid, (0, -78, 190), (0, -78, -190), (18.0, 18.0), 12))
    for level in range(-130, 140, 8):  # the fold of fat and pleura between both lungs, from spine to breast bone
        stamp(depths, capsule(grid, (0, -54, level), (-3, 88, level), (10.0, 3.5), 12))
    for side, (x, y, z) in HILA.items():
        stamp(depths, ellipsoid(grid, (x - 4 * side, y, z), (11, 13, 19), margin=12))
    return depths


def _heart_frame() -> NDArray[np.float64]:
    axis = np.array([-0.74, 0.45, -0.50])
    second = np.cross(axis, [0.0, 0.0, 1.0])
    rows = [axis / np.linalg.norm(axis), second / np.linalg.norm(second)]
    return np.stack([*rows, np.cross(*rows)])


def _draw_mediastinum(grid: Grid, hu: Volume, traits: Traits) -> None:
    heart = traits.heart_scale
    paint(grid, hu, ellipsoid(grid, (-22, 24, -50), (64 * heart, 51 * heart, 52 * heart), _heart_frame()), MUSCLE)
    paint(grid, hu, ellipsoid(grid, (16, 12, -42), (39 * heart, 42 * heart, 46 * heart)), traits.blood_hu)
    chamber = ellipsoid(grid, (-28, 28, -54), (46 * heart, 36 * heart, 37 * heart), _heart_frame())
    paint(grid, hu, chamber, traits.blood_hu)
    paint(grid, hu, ellipsoid(grid, (-4, 24, -40), (30 * heart, 3.5, 34 * heart), _heart_frame()), MUSCLE)
    for start, stop, (a, b) in GREAT_VESSELS:
        paint(grid, hu, capsule(grid, start, stop, (a + 1.5, b + 1.5)), MUSCLE)
    for start, stop, radii in GREAT_VESSELS:
        paint(grid, hu, capsule(grid, start, stop, radii), traits.blood_hu)
    paint(grid, hu, capsule(grid, (-6, -38, 170), (-8, -36, -120), (7.0, 7.0)), SOFT)  # gullet
    for side, (x, y, z) in HILA.items():
        paint(grid, hu, ellipsoid(grid, (x - 4 * side, y, z), (10, 12, 18)), traits.blood_hu)


def _draw_abdomen(grid: Grid, hu: Volume, traits: Traits) -> None:
    """Stomach with an optional gas bubble that rises to the side away from gravity, and fat around it."""
    low = -118 + 0.84 * traits.dome_mm
    paint(grid, hu, ellipsoid(grid, (-58, 10, low - 38), (44, 52, 26)), FAT + 10)
    paint(grid, hu, ellipsoid(grid, (-58, 12, low - 40), (39, 46, 23)), SOFT - 10)
    if traits.stomach_gas_mm:
        radius = traits.stomach_gas_mm
        rise = -18 if traits.prone else 18
        paint(grid, hu, ellipsoid(grid, (-56, 12 + rise, low - 36), (1.2 * radius, radius, 0.75 * radius)), AIR + 10)


def _draw_airways(grid: Grid, hu: Volume) -> None:
    for start, stop, (a, b) in AIRWAYS:
        paint(grid, hu, capsule(grid, start, stop, (a + 2.0, b + 2.0)), SOFT)
    for start, stop, radii in AIRWAYS:
        paint(grid, hu, capsule(grid, start, stop, radii), AIR + 12)


def _draw_lung_tree(
    grid: Grid, hu: Volume, traits: Traits, lung: NDArray[np.bool_], side: int, rng: np.random.Generator
) -> None:
    """Vessels that branch from the hilum into one lung, with bronchi along the thick ones."""
    root = grid.to_world([HILA[side]])[0]
    cells = np.argwhere(lung[::3, ::3, ::3]) * 3
    points = np.stack([axis[cells[:, i]] for i, axis in enumerate(grid.axes)], axis=1).astype(np.float64)
    points = points[(points[:, 0] - grid.shift_mm[0]) * side > 0]
    if len(points) == 0:
        return
    points = points[rng.choice(len(points), min(traits.vessels, len(points)), replace=False)]
    nodes, parents = grow_tree(root, points, rng)
    leaves = np.ones(len(nodes))
    for child in range(len(nodes) - 1, 0, -1):  # parents precede their children
        leaves[parents[child]] += leaves[child] if child else 0
    radii = np.clip(0.62 * leaves**0.36, None, 5.5) * traits.vessel_scale
    for child in range(1, len(nodes)):
        start, stop = nodes[parents[child]], nodes[child]
        radius = min(radii[parents[child]], 1.4 * radii[child]), radii[child]
        thin = min(1.0, 1.7 * radius[1] / grid.voxel_mm)  # vessels below the voxel size look faint
        cut, depth = world_capsule(grid, start, stop, radius, grid.voxel_mm)
        if depth.size:
            block = hu[cut]
            weight = np.minimum(np.maximum(depth / grid.voxel_mm + 0.5, 0), 1)
            block += thin * weight * np.maximum(traits.blood_hu - block, 0)
        if radius[1] > 2.0:
            beside = np.array([2.1 * radius[1] * side, 0.9 * radius[1], 0.0])
            for value, bore in ((SOFT - 150, 1.15), (AIR + 30, 0.75)):
                tube = world_capsule(grid, start + beside, stop + beside, (radius[0] * bore, radius[1] * bore))
                paint(grid, hu, tube, value)


def grow_tree(
    root: NDArray[np.floating], points: NDArray[np.floating], rng: np.random.Generator, step_mm: float = 14.0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Join points to a branching tree: nearest to the root first, each to the node with the shortest detour.

    Args:
        root: (3,) world mm.
        points: (N, 3) world mm, the ends of the branches.
        rng: source of the bends.
        step_mm: length of the straight pieces.

    Returns:
        Nodes (M, 3), and for every node the index of its parent (M,), -1 for the root; parents precede children.
    """
    order = np.argsort(np.linalg.norm(points - root, axis=1))
    room = 1 + int(np.sum(2 + np.linalg.norm(points - root, axis=1) / step_mm))
    nodes, path, parents = np.zeros((room, 3)), np.zeros(room), np.full(room, -1)
    nodes[0], count = root, 1
    for target in points[order]:
        gap = np.linalg.norm(nodes[:count] - target, axis=1)
        near = int(np.argmin(gap + 0.4 * path[:count]))
        pieces = 1 + int(gap[near] / step_mm)
        last, start = near, nodes[near].copy()
        for piece in range(1, pieces + 1):
            bend = rng.normal(0, 0.08 * step_mm, 3) if piece < pieces else 0.0
            nodes[count] = start + (target - start) * (piece / pieces) + bend
            path[count] = path[last] + np.linalg.norm(nodes[count] - nodes[last])
            parents[count], last, count = last, count, count + 1
    return nodes[:count], parents[:count]


def _draw_couch(grid: Grid, hu: Volume, body: Volume, prone: bool) -> None:
    """Curved table top under the patient: a thin dense shell around light foam, across the whole field."""
    x, y = grid.axes[0], grid.axes[1]
    rows = np.flatnonzero((body > 0).any(axis=(0, 2)))
    down = 1 if prone else -1
    lowest = float(y[rows[-1 if prone else 0]]) if rows.size else down * 100.0
    below = down * (y[None, :] - lowest) - 3 + 18 * ((x[:, None] / 170) ** 2)
    thick = 34.0
    shell = 2.4 - np.minimum(np.abs(below), np.abs(below - thick))
    outside = body < -0.5
    for depth, value in ((np.minimum(below, thick - below), -925.0), (shell, 20.0)):
        painted = hu.copy()
        blend(painted, np.broadcast_to(depth[:, :, None], hu.shape).astype(np.float32), value, grid.voxel_mm)
        np.copyto(hu, painted, where=outside)
