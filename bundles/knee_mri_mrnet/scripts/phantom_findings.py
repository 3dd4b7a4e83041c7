"""Menisci and the anterior cruciate ligament, whole or torn, and joint fluid, normal or too much, with their truth."""

from __future__ import annotations

import numpy as np

from .phantom_anatomy import (
    ACL,
    ACL_MM,
    BASE_MM,
    LATERAL,
    MEDIAL,
    Ring,
    around,
    capsule,
    ellipsoid,
    is_empty,
    meniscus_box,
    meniscus_depth,
    ring_coordinates,
)
from .phantom_sequences import Stack, Volume
from .phantom_traits import Findings, Traits

ACL_TEAR, MENISCAL_TEAR, EFFUSION = 1, 2, 3


def draw_fluid(stack: Stack, traits: Traits, findings: Findings) -> None:
    """Joint fluid: a film in the suprapatellar recess and beside the condyles, or an effusion that distends them."""
    full = findings.effusion
    half = findings.effusion_mm if full else traits.fluid_mm
    number = EFFUSION if full else 0
    shapes = [  # suprapatellar recess, gutters beside the condyles, behind the fat pad, behind the condyles
        ((0.0, 29.0 + 0.55 * half, 60.0), (13 + 1.4 * half, half, 17 + 0.9 * half)),
        ((36.0, 14.0, 34.0), (0.4 + 0.5 * half, 6 + 0.8 * half, 6 + half)),
        ((-36.0, 14.0, 34.0), (0.4 + 0.5 * half, 6 + 0.8 * half, 6 + half)),
    ]
    if full:
        shapes.append(((0.0, 29.0, 44.0), (20.0, 0.6 * half, 14.0)))
        shapes.append(((20.0, -42.0, 22.0), (8.0, 0.5 * half, 12.0)))
    for centre, axes in shapes:
        box = stack.box(np.subtract(centre, axes).tolist(), np.add(centre, axes).tolist())
        if not is_empty(box):
            depth = ellipsoid(*stack.coordinates(box), centre, axes)
            stack.blend(box, depth, "fluid", finding=number)


def draw_acl(stack: Stack, traits: Traits, findings: Findings) -> None:
    """The oblique dark band with faint streaks; torn, a gap full of fluid in a cloud of oedema."""
    start, stop = ACL
    length = float(np.linalg.norm(np.subtract(stop, start)))
    radius = ACL_MM * traits.ligament_scale
    box = stack.box(*around(start, stop, radius=16))
    if is_empty(box):
        return
    u, v, w = stack.coordinates(box)
    depth, place = capsule(u, v, w, start, stop, (radius * 0.9, radius * 1.1))
    along = np.abs(place - np.float32(findings.acl_place)) * np.float32(length)
    gap = along - np.float32(findings.acl_gap_mm / 2) + np.sin(u * 1.1) * np.float32(0.6)
    if findings.acl:
        depth = np.minimum(depth, gap)
    stack.blend(box, depth, "dark", 1.0)
    streak = np.float32(0.5 * traits.mucoid * stack.contrast["fluid"]) * (1 + np.sin(2.4 * v + 1.3 * w))
    streak += np.float32(stack.contrast["dark"])
    stack.blend(box, depth - np.float32(0.8), streak.astype(np.float32, copy=False))
    if findings.acl:
        stack.blend(box, oedema_depth(u, v, w, findings), "oedema", 5.0, finding=ACL_TEAR, strength=0.9)
        stack.blend(box, np.minimum(radius + 1.5 - axis_distance(u, v, w), -gap), "fluid", 1.5, finding=ACL_TEAR)


def axis_distance(u: Volume, v: Volume, w: Volume) -> Volume:
    """Distance to the axis of the anterior cruciate ligament in reference mm."""
    return -capsule(u, v, w, *ACL, (0.0, 0.0))[0]


def oedema_depth(u: Volume, v: Volume, w: Volume, findings: Findings) -> Volume:
    """Depth inside the cloud of oedema around the gap of the ligament: a thick rod longer than the gap."""
    start, stop = np.array(ACL[0]), np.array(ACL[1])
    length = np.linalg.norm(stop - start)
    middle = start + findings.acl_place * (stop - start)
    reach = (stop - start) * ((findings.acl_gap_mm / 2 - 2) / length)
    ends = [(float(a), float(b), float(c)) for a, b, c in (middle - reach, middle + reach)]
    return capsule(u, v, w, ends[0], ends[1], (findings.acl_oedema_mm,) * 2)[0]


def draw_menisci(stack: Stack, traits: Traits, findings: Findings) -> None:
    """Both dark wedges; harmless signal inside one of them; a tear as a bright line to the surface with a cyst."""
    for ring in (MEDIAL, LATERAL):
        box = meniscus_box(stack, ring, 9.0)
        if is_empty(box):
            continue
        u, v, w = stack.coordinates(box)
        inward, angle = ring_coordinates(u, v, ring)
        depth = meniscus_depth(inward, angle, w, ring, traits.meniscus_mm)
        stack.blend(box, depth, "dark")
        lateral = ring.outward > 0
        torn = findings.meniscus and findings.meniscus_lateral == lateral
        if traits.intrasubstance and traits.intrasubstance_lateral == lateral and not torn:
            inner = intrasubstance_depth(inward, angle, w, traits.meniscus_mm)
            stack.blend(box, inner, "fluid", 1.0, strength=traits.intrasubstance)
        if torn:
            stack.blend(box, cyst_depth(inward, angle, w, ring, findings), "fluid", 1.5, finding=MENISCAL_TEAR)
            line = tear_depth(inward, angle, w, depth, ring, traits.meniscus_mm, findings)
            stack.blend(box, line, "fluid", finding=MENISCAL_TEAR)


def intrasubstance_depth(inward: Volume, angle: Volume, w: Volume, height_mm: float) -> Volume:
    """Depth inside the harmless signal: a flat body in the middle of the posterior horn, away from both faces."""
    half = np.float32(0.16 * height_mm)
    middle = np.float32(BASE_MM + 0.36 * height_mm)
    square = ((inward - 3.4) / 2.0) ** 2 + ((w - middle) / half) ** 2 + ((angle + 60) / 40) ** 2
    return (1 - np.sqrt(square)) * half


def tear_depth(
    inward: Volume, angle: Volume, w: Volume, wedge: Volume, ring: Ring, height_mm: float, findings: Findings
) -> Volume:
    """Depth inside the tear: a sheet through the wedge that ends at its surface, over a part of the arc."""
    half = np.float32(findings.meniscus_line_mm / 2)
    if findings.meniscus_vertical:
        sheet = half - np.abs(inward - np.float32(4.0))
    else:  # from the middle of the rim down to the lower face
        sheet = half - np.abs(w - np.float32(BASE_MM + 0.55 * height_mm) + np.float32(0.62) * inward) * np.float32(0.85)
    mean_half = sum(ring.half_mm) / 2
    arc = np.abs(angle - np.float32(findings.meniscus_angle_deg)) * np.float32(np.pi / 180 * mean_half)
    return np.minimum(np.minimum(sheet, wedge + np.float32(0.4)), np.float32(findings.meniscus_arc_mm / 2) - arc)


def cyst_depth(inward: Volume, angle: Volume, w: Volume, ring: Ring, findings: Findings) -> Volume:
    """Depth inside the fluid that collects at the rim of the torn meniscus."""
    mean_half = sum(ring.half_mm) / 2
    arc = (angle - np.float32(findings.meniscus_angle_deg)) * np.float32(np.pi / 180 * mean_half)
    r = findings.cyst_mm
    square = ((inward + 0.6 * r) / (0.7 * r)) ** 2 + ((w - 4.5) / r) ** 2 + (arc / (1.6 * r)) ** 2
    return (1 - np.sqrt(square)) * np.float32(0.7 * r)
