"""From tissues and lesions to images: CT in a brain window, MRI of several contrasts, PET and SPECT uptake.

Every scanner sees its own lesion only: the tumour shows in MRI, bleeding and chalk in CT, hot and cold areas in the
nuclear scan. Outside the head an image is exactly 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .anatomy import Head, Texture, Tissue
from .canvas import Canvas, Plane, shrink
from .traits import Lesion, Traits

Mask = NDArray[np.bool_]
# air, skin, fat, muscle, bone, marrow, CSF, gray, white, nucleus, falx, plexus
CT_HU = (-1000, 25, -90, 52, 1100, 420, 7, 38, 28, 38, 58, 210)
MRI = {
    "t1": (0, 120, 238, 92, 10, 135, 30, 124, 184, 142, 62, 44),
    "t1ce": (0, 120, 232, 95, 10, 130, 30, 122, 178, 140, 130, 90),
    "t2": (0, 70, 108, 36, 7, 50, 222, 124, 78, 100, 50, 190),
    "pd": (0, 110, 190, 82, 10, 96, 96, 152, 124, 138, 70, 96),
    "flair": (0, 90, 140, 60, 7, 60, 16, 128, 102, 120, 48, 22),
}
# Tumour: necrosis, rim, oedema; None leaves the tissue as it is.
TUMOUR = {"t1": (58, 82, 118), "t2": (246, 218, 205), "pd": (224, 214, 200), "flair": (196, 238, 212)}
UPTAKE = {
    "PET": (0, 0.04, 0.02, 0.06, 0.01, 0.02, 0.03, 1.1, 0.24, 1.02, 0.4, 0.05),
    "SPECT": (0, 0.19, 0.15, 0.18, 0.05, 0.08, 0.04, 0.94, 0.36, 0.9, 0.3, 0.1),
}
BLUR_MM = {"PET": 2.4, "SPECT": 3.5}  # standard deviation of the point spread
CHANGE = {"haemorrhage": 70.0, "calcification": 190.0, "hot": 1.4, "cold": 0.12}  # HU, HU, uptake, share of uptake
SUV_OF_GRAY = 9.0


def tumour_masks(canvas: Canvas, head: Head, texture: Texture, lesion: Lesion, z: float) -> tuple[Mask, Mask, Mask]:
    """Necrosis, rim and oedema (fine samples): the core is compact, the oedema spreads in white matter."""
    level = _level(canvas, lesion, z) + 0.14 * texture.edge.on(canvas, z)
    core = (level < 0.58) & (head.depth > 1.5)
    spread = (level + 0.25 * texture.edge.on(canvas, z + 50) < 1) & (head.tissue == Tissue.WHITE)
    necrosis = core & (level < 0.36)
    return necrosis, core & ~necrosis, spread & ~core


def finding_mask(canvas: Canvas, head: Head, texture: Texture, lesion: Lesion, z: float) -> Mask:
    """Bleeding, chalk, hot spot or cold area (fine samples)."""
    level = _level(canvas, lesion, z) + 0.16 * texture.edge.on(canvas, z + 100)
    if lesion.kind == "calcification":  # several grains instead of one lump
        level = np.maximum(level, 1.5 - texture.fine.on(canvas, z))
    brain = np.isin(head.tissue, (Tissue.GRAY, Tissue.WHITE, Tissue.NUCLEUS))
    if lesion.kind in ("haemorrhage", "calcification"):
        brain |= (head.tissue == Tissue.CSF) & (head.depth > 2)
    return (level < 1) & brain


def scan_mri(
    canvas: Canvas,
    head: Head,
    traits: Traits,
    texture: Texture,
    z: float,
    tumour: Sequence[tuple[Mask, float | None]],
    noise: Plane,
) -> Plane:
    """MRI (H, W) in 0..1: contrast of the sequence, shading of the coil, Rician noise.

    `tumour` holds masks with their gray value (None: as the tissue below); `noise` is standard normal (2, H, W).
    """
    samples = np.array(MRI[traits.sequence], dtype=np.float32)[head.tissue]
    for mask, value in tumour:
        if value is not None:
            samples[mask] = value
    grain = texture.fine.on(canvas, z)
    samples *= 1 + np.where((head.tissue == Tissue.FAT) | (head.tissue == Tissue.MUSCLE), 0.1, 0.035) * grain
    samples *= np.exp(0.07 * texture.slow.on(canvas, z))
    image = gaussian_filter(shrink(samples), 0.45)
    sigma = 3.2 * traits.noise
    image = np.hypot(image + sigma * noise[0], sigma * noise[1])
    return _finish(image / 255, head)


def scan_ct(
    canvas: Canvas, head: Head, traits: Traits, texture: Texture, z: float, finding: Mask, noise: Plane
) -> Plane:
    """CT (H, W) in 0..1: Hounsfield units with hardening near the skull, in the patient's window."""
    samples = np.array(CT_HU, dtype=np.float32)[head.tissue]
    samples += np.where(head.depth > 0, 5 * np.exp(-np.clip(head.depth, 0, 60) / 9), 0).astype(np.float32)
    if traits.finding.kind in CHANGE:
        change = CHANGE[traits.finding.kind]
        samples[finding] = change * (1 + 0.06 * texture.fine.on(canvas, z)[finding])
    image = gaussian_filter(shrink(samples), 0.8)
    image += 2.7 * traits.noise * gaussian_filter(noise[0], 0.7) / 0.40  # 0.40: what the filter leaves of the noise
    width, centre = traits.window_hu
    return _finish((image - centre) / width + 0.5, head)


def scan_uptake(
    canvas: Canvas, head: Head, traits: Traits, texture: Texture, z: float, finding: Mask, noise: Plane
) -> Plane:
    """PET or SPECT (H, W), gray matter near 0.7: regional uptake, counting noise, blur of the scanner."""
    samples = np.array(UPTAKE[traits.modality], dtype=np.float32)[head.tissue]
    samples *= traits.uptake * np.exp(0.08 * texture.outline.on(canvas, z + 200) + 0.05 * texture.slow.on(canvas, z))
    if traits.finding.kind == "hot":
        samples[finding] = CHANGE["hot"] * (1 + 0.05 * texture.fine.on(canvas, z)[finding])
    elif traits.finding.kind == "cold":
        samples[finding] *= CHANGE["cold"]
    blur = [BLUR_MM[traits.modality] / step for step in canvas.pixel_mm]
    image = gaussian_filter(shrink(samples), blur)
    grain = gaussian_filter(noise[0], [0.8 * sigma for sigma in blur]) * (2 * np.sqrt(np.pi) * 0.8 * blur[0])
    share = 0.035 if traits.modality == "PET" else 0.06
    image += share * traits.noise * grain * np.sqrt(np.clip(image, 0, None))
    return _finish(0.78 * image, head)


def head_mask(head: Head) -> Mask:
    """Pixels (H, W) that belong to the head."""
    return shrink(head.tissue > 0) > 0.5


def _level(canvas: Canvas, lesion: Lesion, z: float) -> Plane:
    """Relative radius (1 at the edge) in the ellipsoid of a lesion."""
    x = (canvas.x - np.float32(lesion.centre[0])) / np.float32(lesion.radii[0])
    y = (canvas.y - np.float32(lesion.centre[1])) / np.float32(lesion.radii[1])
    height = np.float32((z - lesion.centre[2]) / lesion.radii[2])
    return np.sqrt(x * x + y * y + height * height)


def _finish(image: Plane, head: Head) -> Plane:
    return np.where(head_mask(head), np.clip(image, 0, 1), 0).astype(np.float32)
