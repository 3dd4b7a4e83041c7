"""Tissues of a synthetic head on one axial plane: scalp, skull, CSF, folded cortex, white matter, nuclei, ventricles.

The cortex is what lies within its thickness of the surface of the brain, and that surface follows the sulci: lines
on which a noise field crosses zero, drawn in coordinates along and below the surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from .canvas import Canvas, Noise, Plane, ellipse, tube
from .traits import Traits

GYRUS_MM = 13.0  # distance of sulci along the surface


class Tissue(IntEnum):
    """Codes of the tissue map."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    CSF = 6
    GRAY = 7
    WHITE = 8
    NUCLEUS = 9
    FALX = 10
    PLEXUS = 11


@dataclass(frozen=True)
class Head:
    """One plane at fine samples: `tissue` codes and `depth` below the brain's surface in mm, both (H, W)."""

    tissue: NDArray[np.uint8]
    depth: Plane


class Texture:
    """Noise fields of one patient, the same for all levels.

    Args:
        rng: source of the lattices.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.outline = Noise(rng, (50, 44, 44))
        self.thickness = Noise(rng, (40, 26, 26))
        self.warp = Noise(rng, (30, 14, 14))
        self.bend = Noise(rng, (13, 8, 8))
        self.sulci = Noise(rng, (16, 11, 11))
        self.reach = Noise(rng, (14, 14, 14))
        self.medial = Noise(rng, (16, 10, 10))
        self.cortex = Noise(rng, (8, 6, 6))
        self.edge = Noise(rng, (10, 9, 9))
        self.fine = Noise(rng, (5, 4, 4))
        self.slow = Noise(rng, (60, 60, 60))


def draw_head(canvas: Canvas, traits: Traits, texture: Texture, z: float) -> Head:
    """Draw one level of the head.

    Args:
        canvas: the plane.
        traits: the patient.
        texture: noise fields of the patient.
        z: level in mm.
    """
    depth = _brain_depth(canvas, z) + np.float32(1.1) * texture.outline.on(canvas, z)
    gap = np.float32(1.2 + 2.0 * traits.atrophy)
    tissue = _draw_cover(canvas, traits, texture, z, depth + gap)
    canvas = canvas.warped(1.6 * texture.warp.on(canvas, z), 1.6 * texture.warp.on(canvas, z + 300))
    midline = np.abs(canvas.x - 0.8 * texture.reach.on(canvas, z) * (np.abs(canvas.y) < 60))
    callosum = ellipse(canvas, (0, -2), (40, _core_length(z)))
    fissure = midline + np.float32(40) * np.clip(6 * (1.05 - callosum), 0, 1)
    spaces = (depth < 0) | _sulci(canvas, traits, texture, z, depth, fissure) | _sylvian(canvas, traits, z)
    spaces |= fissure < 0.5 + 0.9 * traits.atrophy
    distance = distance_transform_edt(~spaces, sampling=canvas.sample_mm).astype(np.float32)
    thickness = 3.3 - 0.5 * traits.atrophy + 0.45 * texture.cortex.on(canvas, z)
    inside = depth + gap > 0
    tissue[inside] = Tissue.WHITE
    tissue[inside & (distance < thickness)] = Tissue.GRAY
    tissue[inside & spaces] = Tissue.CSF
    _draw_nuclei(canvas, texture, z, tissue)
    _draw_ventricles(canvas, traits, z, tissue)
    tissue[inside & (fissure < 0.55) & (np.abs(canvas.y) > 0.62 * _core_length(z))] = Tissue.FALX
    return Head(tissue, depth)


def _brain_depth(canvas: Canvas, z: float) -> Plane:
    """Depth below the brain's surface along the ray from the middle: an egg, narrow in front, smaller to the vertex."""
    shrink = np.sqrt(1 - np.clip((z + 4) / 82, 0, 0.98) ** 2) if z > -4 else 1.0
    half_width, half_length = 65 * shrink**0.95, 83 * shrink
    across = canvas.x / np.float32(half_width) * (1 + np.float32(0.13 / half_length) * canvas.y)
    along = canvas.y / np.float32(half_length)
    round_level = np.hypot(across, along)
    # A little more square than an ellipse: to first order the superellipse of exponent 2.2.
    level = np.maximum(round_level * (1 - 0.11 * (across * along) ** 2 / np.maximum(round_level, 0.1) ** 4), 1e-3)
    reach = np.hypot(canvas.x, canvas.y)
    return (reach / level - reach).astype(np.float32)


def _core_length(z: float) -> float:
    """Half length in mm of the part of the midline that the hemispheres share (callosum and below); 0 above it."""
    return 44.0 * float(np.sqrt(np.clip(1 - max(z, 0) / 32, 0, 1))) + 1e-3


def _draw_cover(canvas: Canvas, traits: Traits, texture: Texture, z: float, depth: Plane) -> NDArray[np.uint8]:
    """Skin, fat, muscle and skull around the dura, which lies at depth 0."""
    wave = texture.thickness.on(canvas, z)
    crest = np.exp(-((canvas.x / 13) ** 2)) * np.where(canvas.y < 0, 1.8, 0.8)
    tilt = 1 + max(z - 25, 0) / 70  # the plane cuts the vault obliquely towards the vertex
    skull = (traits.skull_mm + crest + 0.8 * wave).astype(np.float32) * np.float32(tilt)
    scalp = (traits.scalp_mm + 0.6 * wave - 1.5 * np.exp(-((canvas.x / 60) ** 2))).astype(np.float32) * np.float32(tilt)
    out = -depth
    tissue = np.zeros(depth.shape, dtype=np.uint8)
    tissue[out < skull + scalp] = Tissue.SKIN
    tissue[out < skull + scalp - 1.6] = Tissue.FAT
    side = np.clip(1 - np.abs(canvas.y - 22) / 34, 0, 1) * (np.abs(canvas.x) > 25) * np.clip((16 - z) / 16, 0, 1)
    tissue[(out < skull + np.minimum(6 * side, scalp - 2.2)) & (out >= skull)] = Tissue.MUSCLE
    tissue[out < skull] = Tissue.BONE
    tissue[np.abs(out - 0.5 * skull) < 0.5 * skull - 1.9] = Tissue.MARROW
    return tissue


def _sulci(
    canvas: Canvas, traits: Traits, texture: Texture, z: float, depth: Plane, fissure: Plane
) -> NDArray[np.bool_]:
    """Sulci: thin lines on which a disturbed wave crosses zero, radial from the outer surface and from the midline."""
    wave = texture.reach.on(canvas, z)
    reach = np.clip(16 + 0.1 * max(z - 15, 0) + 5.5 * wave, 3, 30)
    band = (depth > -2) & (depth < 33)
    width = np.float32(0.5 + 1.0 * traits.atrophy) * np.exp(0.45 * texture.bend.on(canvas, z)) * (1.15 - depth / 40)
    small = np.float32(np.sqrt(1 - (max(z, 0) / 84) ** 2))
    around = np.arctan2(canvas.x, canvas.y) * np.float32(62) * small
    phase = around / np.float32(GYRUS_MM)
    phase[band] += np.float32(0.85) * texture.sulci.at(depth[band] + 50, around[band] + 300, z)
    found = (_crossing(canvas, np.sin(np.pi * phase)) < width) & (depth < reach)
    phase = canvas.y / (1.1 * GYRUS_MM) + 0.6 * texture.medial.on(canvas, z)
    return found | ((_crossing(canvas, np.sin(np.pi * phase)) < 0.8 * width) & (fissure < 0.75 * reach) & (depth > 6))


def _crossing(canvas: Canvas, field: Plane) -> Plane:
    """Distance in mm to the nearest zero of a field, to first order."""
    down, right = np.gradient(field, *canvas.sample_mm)
    return np.abs(field) / np.maximum(np.hypot(down, right), 0.06)


def _sylvian(canvas: Canvas, traits: Traits, z: float) -> NDArray[np.bool_]:
    """Lateral fissure with the insula behind it, on both sides, below z = 24."""
    found = np.zeros(canvas.x.shape, dtype=bool)
    if z > 24:
        return found
    wide = 0.55 + 1.1 * traits.atrophy
    deep, rise = (40, 13 - 0.3 * z) if z < 12 else (43, 10)
    stem = ((72, 4 - 0.4 * z, 1.4 * wide), (56, 9 - 0.4 * z, 1.2 * wide), (deep, rise, wide))
    insula = ((deep + 3, rise + 15, 0.5), (deep, rise + 6, 1.1 * wide), (deep - 1, rise - 8, wide), (deep, -10, 0.4))
    for side in (-1, 1):
        for line in (stem, insula):
            found |= tube(canvas, [(side * x, y, radius) for x, y, radius in line])
    return found


def _draw_nuclei(canvas: Canvas, texture: Texture, z: float, tissue: NDArray[np.uint8]) -> None:
    """Caudate, lentiform nucleus and thalamus of both sides, each with its own range of heights."""
    wobble = 0.07 * texture.edge.on(canvas, z)
    for side in (-1, 1):
        for centre, radii, turn, height, half in (
            ((13.5, 21.0), (5.0, 9.5), 18, 8, 17),
            ((17.5, 0.0), (3.0, 9.0), 8, 20, 9),
            ((26.0, 5.0), (6.3, 15.5), -14, 3, 14),
            ((11.0, -13.0), (8.5, 14.0), 20, 5, 13),
        ):
            size = 1 - ((z - height) / half) ** 2
            if size > 0.05:
                grow = float(np.sqrt(size))
                place = (side * centre[0], centre[1])
                shape = ellipse(canvas, place, (radii[0] * grow, radii[1] * grow), side * turn)
                tissue[(shape + wobble < 1) & (tissue >= Tissue.CSF)] = Tissue.NUCLEUS


def _draw_ventricles(canvas: Canvas, traits: Traits, z: float, tissue: NDArray[np.uint8]) -> None:
    """Frontal horns, bodies, atria with plexus, third ventricle."""
    wide = traits.ventricles
    lines: list[Sequence[tuple[float, float, float]]] = []
    if z < 10:
        lines.append(((0, 4, 0.6 * wide), (0, -6, 1.3 * wide), (0, -19, 0.8 * wide)))
    for side in (-1, 1):
        if z < 12:
            horn = ((3, 13, 0.8), (6, 20, 2.2), (10, 27, 3.0), (15, 34, 2.2), (17, 37, 0.8))
            atrium = ((16, -26, 1.5), (21, -33, 4.2), (25, -43, 3.6), (25, -53, 1.6))
            lines += [[(side * x, y, r * wide) for x, y, r in line] for line in (horn, atrium)]
        elif z < 32:
            size = wide * np.sqrt(1 - (max(z - 17, 0) / 15.5) ** 2)
            body = ((16, 36, 0.8), (12, 29, 3.4), (8, 20, 4.2), (7.5, 6, 3.8), (10, -8, 3.6), (15, -21, 4.4))
            tail = ((15, -21, 4.4), (20, -30, 4.6), (24, -40, 2.2)) if z < 24 else ((15, -21, 4.4), (16, -25, 2))
            lines += [[(side * x, y, r * size) for x, y, r in line] for line in (body, tail)]
    for line in lines:
        tissue[tube(canvas, line) & (tissue >= Tissue.CSF)] = Tissue.CSF
    if traits.calcified_plexus and -4 < z < 9:
        spots = [ellipse(canvas, (22 * side, -35), (1.8, 3.2), 15 * side) < 1 for side in (-1, 1)]
        pineal = ellipse(canvas, (0, -25), (2.2, 2.6)) < 1
        tissue[(spots[0] | spots[1] | pineal) & (tissue >= Tissue.CSF)] = Tissue.PLEXUS
