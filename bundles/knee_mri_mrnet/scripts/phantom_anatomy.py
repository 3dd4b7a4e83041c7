"""A synthetic knee: skin, fat, muscles, vessels, ligaments, menisci, bones with cartilage, in the knee frame.

The frame is that of a right knee in reference mm: u lateral, v anterior, w superior, the tibial plateau at w = 0.
Every shape is a depth (mm, positive inside) as a function of (u, v, w), so that all planes cut the same knee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .phantom_sequences import Slices, Stack, Volume
from .phantom_traits import Traits

Point = tuple[float, float, float]
HEIGHTS = (-90.0, -45.0, -20.0, 0.0, 20.0, 35.0, 50.0, 90.0)  # of the outline below
FRONT = (29.0, 33.0, 41.0, 49.0, 56.0, 58.0, 57.0, 56.0)
BACK = (-64.0, -64.0, -59.0, -56.0, -56.0, -58.0, -61.0, -68.0)
HALF_WIDTH = (47.0, 49.0, 50.0, 52.0, 54.0, 55.0, 56.0, 62.0)
Rods = tuple[tuple[Point, Point, tuple[float, float]], ...]
MUSCLES: Rods = (  # start, stop, radii: thigh (vasti, hamstrings, sartorius), calf (gastrocnemius, soleus, shin)
    ((-30, 18, 90), (-34, 20, 34), (20, 5)),
    ((32, 18, 90), (32, 20, 46), (20, 5)),
    ((-28, 0, 95), (-33, 6, 50), (20, 4)),
    ((30, -4, 95), (33, 2, 54), (20, 4)),
    ((0, 28, 95), (0, 27, 64), (12, 4)),
    ((30, -40, 90), (38, -32, 2), (17, 6)),
    ((-20, -42, 90), (-28, -42, 4), (19, 7)),
    ((-43, -26, 90), (-43, -26, -14), (8, 4)),
    ((19, -44, 24), (21, -45, -85), (9, 19)),
    ((-20, -45, 24), (-21, -45, -85), (10, 21)),
    ((12, -26, -14), (2, -28, -85), (7, 14)),
    ((28, 4, -24), (26, 8, -85), (6, 15)),
)
TENDONS: Rods = (  # start, stop, radii of round tendons: semitendinosus, gracilis, biceps, popliteus, lateral ligament
    ((-30, -52, 60), (-36, -44, -20), (2.6, 2.2)),
    ((-40, -42, 60), (-40, -38, -20), (2.0, 1.8)),
    ((38, -31, 20), (36, -22, -14), (3.0, 3.0)),
    ((37, -4, 18), (28, -24, -4), (2.0, 2.4)),
    ((42, -4, 28), (37, -19, -12), (1.7, 1.7)),
)
ACL = ((8.0, -19.0, 27.0), (-2.0, 11.0, 1.0))
ACL_MM = 4.8
PCL = ((-6.5, 3.0, 16.0), (-4.0, -25.0, 30.0), (-1.0, -30.0, -8.0))  # corners of a quadratic Bezier curve
PCL_MM = 4.6


@dataclass(frozen=True)
class Ring:
    """Shape of one meniscus: an open ellipse on the plateau.

    Args:
        centre: (u, v) of the ellipse.
        half_mm: outer half axes along u and v.
        width_mm: from the outer rim to the inner edge.
        open_deg: half angle of the gap towards the middle of the joint.
        outward: +1 lateral, -1 medial.
    """

    centre: tuple[float, float]
    half_mm: tuple[float, float]
    width_mm: float
    open_deg: float
    outward: int


MEDIAL = Ring((-21.0, -7.0), (17.5, 23.0), 10.5, 42.0, -1)
LATERAL = Ring((21.5, -6.0), (16.5, 19.0), 11.0, 30.0, 1)
BASE_MM = 1.6  # height of the lower face of the menisci over the bone of the tibia


def ellipsoid(u: Volume, v: Volume, w: Volume, centre: Point, half: Sequence[float]) -> Volume:
    """Depth inside an ellipsoid, exact along its shortest half axis."""
    square = ((u - centre[0]) / half[0]) ** 2 + ((v - centre[1]) / half[1]) ** 2 + ((w - centre[2]) / half[2]) ** 2
    return (1 - np.sqrt(square)) * np.float32(min(half))


def capsule(
    u: Volume, v: Volume, w: Volume, start: Point, stop: Point, radii: tuple[float, float]
) -> tuple[Volume, Volume]:
    """Depth inside a rod whose radius runs from one end to the other, and the place on its axis (0..1)."""
    axis = np.subtract(stop, start)
    a, b, c = (np.float32(part) for part in axis / (axis @ axis))
    offset = np.float32(-(np.asarray(start) @ axis) / (axis @ axis))
    place = np.clip(a * u + b * v + c * w + offset, 0, 1)
    square = (u - start[0] - place * np.float32(axis[0])) ** 2
    square += (v - start[1] - place * np.float32(axis[1])) ** 2
    square += (w - start[2] - place * np.float32(axis[2])) ** 2
    return radii[0] + place * np.float32(radii[1] - radii[0]) - np.sqrt(square), place


def around(*points: Point, radius: float) -> tuple[list[float], list[float]]:
    """Corners of the box around points with a margin."""
    return list(np.min(points, 0) - radius), list(np.max(points, 0) + radius)


def smooth_union(a: Volume, b: Volume, width: float) -> Volume:
    """Larger of two depths with a rounded seam of `width` mm."""
    share = np.clip(0.5 + (a - b) * np.float32(0.5 / width), 0, 1)
    return b + (a - b) * share + np.float32(width) * share * (1 - share)


def draw_background(stack: Stack, traits: Traits) -> Volume:
    """Fill the leg with fat, muscles and vessels; return the depth under the skin (S * sub, H, W) in mm."""
    everything = (slice(None),) * 3
    u, v, _ = stack.coordinates(everything)
    height = (stack.world_axes(everything)[2] - np.float32(stack.shift[2])) * stack.inverse[2, 2]
    front, back, half = (np.interp(height, HEIGHTS, line).astype(np.float32) for line in (FRONT, BACK, HALF_WIDTH))
    fat = np.float32(traits.fat_mm)
    front, back, half = front + fat / 3, back - fat / 2, half + fat / 2
    across = (u / half) ** 2
    along = ((v - (front + back) / 2) / ((front - back) / 2)) ** 2
    skin = (1 - np.sqrt(across + along - np.float32(0.3) * np.minimum(across * along, 1))) * 52
    stack.signal[:] = stack.contrast["fat"]
    stack.blend(everything, 1.6 - skin, "skin")
    for start, stop, (a, b) in MUSCLES:
        radii = a * traits.muscle_scale, b * traits.muscle_scale
        box = stack.box(*around(start, stop, radius=max(radii)))
        if not is_empty(box):
            u, v, w = stack.coordinates(box)
            depth, _ = capsule(u, v, w, start, stop, radii)
            depth += np.float32(1.6) * np.sin(u / 3.5 + w / 30) * np.sin(v / 4 - w / 40)  # bundles
            depth = np.minimum(depth, skin[box] - np.float32(3 + traits.fat_mm / 2))
            stack.blend(box, depth, "muscle", 1.5)
    stack.blend(everything, 0.6 - np.abs(skin - np.float32(4 + traits.fat_mm)), "dark", 1.2, strength=0.4)  # fascia
    for start, stop, radii in TENDONS:
        paint_rod(stack, start, stop, radii, "dark")
    vein = stack.contrast["fluid"] * traits.vein_signal if stack.plane != "coronal" else 0.2
    knee, top, bottom = (5.0, -43.0, 8.0), (1.0, -46.0, 90.0), (6.0, -47.0, -90.0)
    for shift, radius, value in (
        ((0.0, -2.0), traits.vein_mm, vein),
        ((-7.0, 3.0), 3.0, 0.06),  # fast blood of the artery gives no signal
        ((7.0, -8.0), 2.6, stack.contrast["muscle"] * 1.2),  # tibial nerve
    ):
        for end in (top, bottom):
            start, stop = ((a + shift[0], b + shift[1], c) for a, b, c in (knee, end))
            paint_rod(stack, start, stop, (radius, radius), value)
    paint_rod(stack, (-46.0, -38.0, 90.0), (-44.0, -36.0, -90.0), (1.8, 1.8), vein)
    return skin


def paint_rod(stack: Stack, start: Point, stop: Point, radii: tuple[float, float], tissue: str | float) -> None:
    """Paint a capsule."""
    box = stack.box(*around(start, stop, radius=max(radii)))
    if not is_empty(box):
        stack.blend(box, capsule(*stack.coordinates(box), start, stop, radii)[0], tissue)


def draw_soft_joint(stack: Stack, traits: Traits) -> None:
    """Notch tissue, posterior cruciate ligament, extensor tendons, collateral ligament and normal fluid."""
    box = stack.box((-15, -34, 0), (15, 16, 34))
    if not is_empty(box):
        u, v, w = stack.coordinates(box)
        stack.blend(box, ellipsoid(u, v, w, (0, -9, 14), (14, 25, 19)), "notch", 4.0)
    rise = traits.patella_mm
    lower, tuberosity, upper = (0.0, 44.0, 17.0 + rise), (0.0, 27.0, -36.0), (0.0, 47.0, 50.0 + rise)
    for start, stop, thick, half in ((lower, tuberosity, 2.6, 13.0), (upper, (0.0, 38.0, 95.0), 3.6, 16.0)):
        box = stack.box(*around(start, stop, radius=half))
        if not is_empty(box):
            u, v, w = stack.coordinates(box)
            flat = thick / half
            depth, _ = capsule(u * np.float32(flat), v, w, start, stop, (thick, thick))
            stack.blend(box, depth, "dark")
    box = stack.box((-46, -14, -46), (-38, 8, 34))
    if not is_empty(box):
        u, v, w = stack.coordinates(box)
        middle = np.float32(-41.5) + ((w + 5) / 40) ** 2 * 3
        thick = np.sqrt(np.maximum(1 - ((v + 3) / 10) ** 2 - ((w + 6) / 40) ** 4, 0)) * np.float32(2.2)
        depth = thick - np.float32(0.4) - np.abs(u - middle)
        stack.blend(box, depth, "dark")
    if traits.bursa_mm:
        r = traits.bursa_mm
        box = stack.box((-26, -52, 4), (-10, -38, 34))
        if not is_empty(box):
            u, v, w = stack.coordinates(box)
            stack.blend(box, ellipsoid(u, v, w, (-17, -44, 16), (0.8 * r, 0.6 * r, 2 * r)), "fluid")


def draw_posterior_cruciate(stack: Stack, traits: Traits) -> None:
    """The dark arched band behind the anterior cruciate ligament."""
    radius = PCL_MM * traits.ligament_scale
    box = stack.box(*around(*PCL, radius=radius))
    if is_empty(box):
        return
    u, v, w = stack.coordinates(box)
    t = np.linspace(0, 1, 7)[:, None]
    first, second, third = np.array(PCL)
    points = (1 - t) ** 2 * first + 2 * t * (1 - t) * second + t**2 * third
    ends = [(float(a), float(b), float(c)) for a, b, c in points]
    rods = [capsule(u, v, w, a, b, (radius, radius))[0] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    stack.blend(box, np.maximum.reduce(rods), "dark")


def ring_coordinates(u: Volume, v: Volume, ring: Ring) -> tuple[Volume, Volume]:
    """Distance (mm) inwards from the outer rim, and angle (degrees; 0 rim, 90 front, -90 back) on a meniscus."""
    a = (u - np.float32(ring.centre[0])) * np.float32(ring.outward)
    b = v - np.float32(ring.centre[1])
    level = np.sqrt((a / ring.half_mm[0]) ** 2 + (b / ring.half_mm[1]) ** 2)
    radius = np.sqrt(a**2 + b**2)
    inward = radius / np.maximum(level, np.float32(0.05)) - radius
    return inward, np.rad2deg(np.arctan2(b / ring.half_mm[1], a / ring.half_mm[0]))


def meniscus_depth(inward: Volume, angle: Volume, w: Volume, ring: Ring, height_mm: float) -> Volume:
    """Depth inside the wedge: full height at the outer rim, an edge inside, open towards the middle of the joint."""
    top = np.float32(height_mm) * (1 - inward / np.float32(ring.width_mm))
    depth = np.minimum(np.minimum(w - np.float32(BASE_MM), (top + np.float32(BASE_MM) - w) * np.float32(0.85)), inward)
    return np.minimum(depth, (180 - ring.open_deg - np.abs(angle)) * np.float32(0.3))


def meniscus_box(stack: Stack, ring: Ring, beyond: float = 0.0) -> Slices:
    """Pixels around one meniscus."""
    (cu, cv), (hu, hv) = ring.centre, ring.half_mm
    return stack.box(
        (cu - hu - beyond, cv - hv - beyond, -4 - beyond), (cu + hu + beyond, cv + hv + beyond, 9 + beyond)
    )


def femur_depth(u: Volume, v: Volume, w: Volume, notch_mm: float) -> Volume:
    """Depth inside the femur: two condyles, the trochlea with its groove, the widening shaft, and the notch cut out."""
    lateral = ellipsoid(u, v, w, (22, -9, 28), (18, 31, 23.4))
    medial = ellipsoid(u, v, w, (-22, -10, 28), (18, 32, 23.4))
    bone = smooth_union(lateral, medial, 3.0)
    groove = 4 * np.exp(-((u / 10) ** 2)) * np.clip((v - 6) / 8, 0, 1)
    bone = smooth_union(bone, ellipsoid(u, v, w, (1, 5, 34), (32, 22, 21)) - groove, 4.0)
    flare = np.exp(-((np.maximum(w - 30, 0) / 29) ** 2))
    half_u, half_v = 16 + 23 * flare, 15 + 8 * flare
    shaft = (1 - np.sqrt((u / half_u) ** 2 + ((v + 5) / half_v) ** 2)) * half_v
    bone = smooth_union(bone, np.minimum(shaft, w - 26), 4.0)
    roof = 34 - np.float32(0.85) * (v + 22) - u**2 / 16
    return np.minimum(bone, -np.minimum(np.minimum(notch_mm - np.abs(u), roof - w), 12 - v))


def tibia_depth(u: Volume, v: Volume, w: Volume) -> tuple[Volume, Volume, Volume]:
    """Depth inside the tibia, height of its upper face with the two spines at (u, v), and depth inside the side faces."""
    top = np.float32(6.5) * np.exp(-(((np.abs(u) - 4.5) / 4.5) ** 2) - ((v + 5) / 7) ** 2)
    taper = (0.42 + 0.58 * np.exp(-((np.minimum(w + 7, 0) / 27) ** 2))).astype(np.float32, copy=False)
    across, along = (u / (38 * taper)) ** 2, ((v + 5) / (27 * taper)) ** 2
    around_axis = (1 - np.sqrt(across + along - np.float32(0.45) * np.minimum(across * along, 1))) * (26 * taper)
    tuberosity, _ = capsule(u, v, w, (1, 16, -26), (1, 10, -50), (8, 8))
    return np.minimum(smooth_union(around_axis, tuberosity, 5.0), top - w), top, around_axis


def draw_bones(stack: Stack, traits: Traits) -> None:
    """Femur, tibia, fibula and patella: cartilage, dark cortex and marrow, over all soft tissue."""
    box = stack.box((-42, -44, 1), (42, 30, 100))
    if not is_empty(box):
        u, v, w = stack.coordinates(box)
        depth = femur_depth(u, v, w, traits.notch_mm)
        joint = np.maximum(38 - w, np.minimum((v - 12) * 4, 48 - w))
        walls = np.maximum(np.minimum(np.abs(u) - np.float32(traits.notch_mm + 1), 36 - np.abs(u)), v - 9)
        joint = np.minimum(joint, walls)
        _bone(stack, box, depth, np.minimum(depth + np.float32(traits.cartilage_mm), joint))
        scar = np.float32(0.7) - np.abs(w - 44 + (u / 16) ** 2)
        stack.blend(box, np.minimum(scar, depth - 3), "dark", strength=0.35)
    box = stack.box((-40, -34, -95), (40, 26, 8))
    if not is_empty(box):
        u, v, w = stack.coordinates(box)
        depth, top, rim = tibia_depth(u, v, w)
        plateau = np.minimum(np.minimum(top + 2 - w, w + 3), np.abs(u) - 7)
        _bone(stack, box, depth, np.minimum(plateau, rim - 1))
        scar = np.float32(0.7) - np.abs(w + 17 - (u / 16) ** 2)
        stack.blend(box, np.minimum(scar, depth - 3), "dark", strength=0.35)
    head, neck, shaft = (34.0, -20.0, -18.0), (33.0, -20.0, -30.0), (31.0, -20.0, -95.0)
    box = stack.box(*around(head, neck, shaft, radius=9))
    if not is_empty(box):
        u, v, w = stack.coordinates(box)
        upper, _ = capsule(u, v, w, head, neck, (9.0, 6.5))
        lower, _ = capsule(u, v, w, neck, shaft, (6.5, 5.5))
        _bone(stack, box, np.maximum(upper, lower))
    box = stack.box((-24, 28, 8 + traits.patella_mm), (26, 56, 60 + traits.patella_mm))
    if not is_empty(box):
        u, v, w = stack.coordinates(box)
        w = w - np.float32(traits.patella_mm)
        body = ellipsoid(u, v, w, (1, 40, 34), (23, 14, 21))
        face = v - 32 - np.float32(0.28) * np.abs(u - 2) - ((w - 34) / 20) ** 2
        depth = np.minimum(body, np.float32(0.9) * face)
        back = np.minimum(np.minimum(body + 2, np.float32(0.9) * face + 3), 40 - v)
        _bone(stack, box, depth, np.minimum(back, 17 - np.abs(w - 35)))


def _bone(stack: Stack, box: Slices, depth: Volume, cartilage: Volume | None = None) -> None:
    if cartilage is not None:
        stack.blend(box, cartilage, "cartilage", solid=True)
    stack.blend(box, depth, "dark", solid=True)
    stack.blend(box, depth - np.float32(1.2), "marrow")


def is_empty(box: Slices) -> bool:
    """Whether a box holds no pixel."""
    return any(part.stop <= part.start for part in box)
