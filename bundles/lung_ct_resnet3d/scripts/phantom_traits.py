"""What a phantom case is: the settings of a cohort, and the patient, findings and scan that are drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PhantomSettings:
    """What a cohort is made of; its hash names the cohort, so every field that changes a voxel stands here.

    Args:
        training: number of training cases, half of them of each class.
        validation: number of validation cases.
        test: number of test cases.
        matrix: voxels in plane.
        spacing_range_mm: voxel size in plane, drawn per case.
        slice_spacing_range_mm: distance of slices, drawn per case.
        noise_range_hu: standard deviation of the scanner's noise in the body, drawn per case.
        seed: the whole cohort follows from it.
        version: raised when the generator changes.
    """

    training: int = 64
    validation: int = 16
    test: int = 32
    matrix: int = 160
    spacing_range_mm: tuple[float, float] = (1.8, 2.2)
    slice_spacing_range_mm: tuple[float, float] = (1.8, 2.5)
    noise_range_hu: tuple[float, float] = (8.0, 40.0)
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a section is negative or odd, the matrix too small, or a range not ascending and positive.
        """
        for name in ("training", "validation", "test"):
            if getattr(self, name) < 0 or getattr(self, name) % 2:
                raise ValueError(
                    f"PhantomSettings: {name}={getattr(self, name)} cases cannot be balanced over two classes; "
                    "give an even number, 0 or more."
                )
        if self.matrix < 32:
            raise ValueError(f"PhantomSettings: matrix={self.matrix} shows no anatomy; give 32 or more.")
        for name in ("spacing_range_mm", "slice_spacing_range_mm", "noise_range_hu"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"PhantomSettings: {name}=({low}, {high}) is no range; give 0 < low <= high.")


FULL_SIZE = PhantomSettings(
    training=0,
    validation=0,
    test=4,
    matrix=512,
    spacing_range_mm=(0.6, 0.72),
    slice_spacing_range_mm=(5.0, 5.0),
)


@dataclass(frozen=True)
class Traits:
    """What makes one patient and one scan: every field is drawn by `phantoms.draw_traits` and can be set by hand.

    Args:
        fat_mm: thickness of the fat under the skin.
        breast_mm: thickness of the breasts, 0 for none.
        heart_scale: size of the heart.
        dome_mm: height of the right diaphragm over its rim (the left one is lower).
        blood_hu: density of blood, high with contrast agent.
        lung_hu: mean density of healthy lung tissue.
        gravity_hu: rise of lung density from the top to the bottom side of the lying patient.
        texture_hu: standard deviation of fine lung texture.
        vessels: number of end branches of the vessel tree per lung.
        vessel_scale: calibre of the vessels of the lung.
        stomach_gas_mm: radius of a gas bubble under the left diaphragm, 0 for none.
        prone: lying face down (gravity and couch on the anterior side).
        couch: whether the couch is in the field.
        air_around: False fills the field outside the body with fat (no air in view).
    """

    fat_mm: float = 14.0
    breast_mm: float = 0.0
    heart_scale: float = 1.0
    dome_mm: float = 58.0
    blood_hu: float = 45.0
    lung_hu: float = -850.0
    gravity_hu: float = 50.0
    texture_hu: float = 18.0
    vessels: int = 380
    vessel_scale: float = 1.0
    stomach_gas_mm: float = 0.0
    prone: bool = False
    couch: bool = True
    air_around: bool = True


@dataclass(frozen=True)
class Findings:
    """What is seen in the lungs; only `opacities` belongs to the class pneumonia-like.

    Args:
        opacities: rounded peripheral patches per lung (both lungs get them), 0 for healthy.
        opacity_mm: range of their half axes in mm.
        consolidation: share of the patches that are dense (-100 to 40 HU) instead of ground glass (-700 to -200 HU).
        nodules: solid nodules of 5-14 mm diameter in both lungs together.
        scars: thin lines from the pleura inwards.
        emphysema: strength of hypodense regions in the upper lungs, 0 to 1.
        atelectasis_hu: rise of density at the pleura on which the patient lies.
        atelectasis_mm: how deep that rise reaches.
        haze_hu: rise of density around the hila (congestion).
    """

    opacities: int = 0
    opacity_mm: tuple[float, float] = (12.0, 26.0)
    consolidation: float = 0.3
    nodules: int = 0
    scars: int = 0
    emphysema: float = 0.0
    atelectasis_hu: float = 0.0
    atelectasis_mm: float = 6.0
    haze_hu: float = 0.0


@dataclass(frozen=True)
class Scan:
    """How the scanner sees the patient.

    Args:
        noise_hu: standard deviation of the noise in the body.
        circle: voxels outside the circular field of view are padded with -2048.
        feet_first: slices run from head to feet.
        fill: width of the body relative to the field of view.
        shape: relative size of the patient along x, y, z (width, depth, height) around the mean.
        roll_deg: turn about the long axis in degrees.
        lean: shift sideways and forward per mm of height.
        off_centre_mm: position of the patient in the field.
        table_mm: world position of the field's middle.
    """

    noise_hu: float = 15.0
    circle: bool = False
    feet_first: bool = False
    fill: float = 0.92
    shape: tuple[float, float, float] = (1.0, 1.0, 1.0)
    roll_deg: float = 0.0
    lean: tuple[float, float] = (0.0, 0.0)
    off_centre_mm: tuple[float, float] = (0.0, 0.0)
    table_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Case:
    """One drawn case: voxel size in mm (x, y, z), the scan, the patient and the findings."""

    spacing_mm: tuple[float, float, float]
    scan: Scan
    traits: Traits
    findings: Findings

    def override(self, values: dict[str, Any]) -> Case:
        """Copy with fields of `Scan`, `Traits` or `Findings` set by hand.

        Raises:
            ValueError: if no part has a field of that name.
        """
        parts: dict[str, Any] = {"scan": self.scan, "traits": self.traits, "findings": self.findings}
        known = {field.name: part for part, value in parts.items() for field in fields(value)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"make_phantom: {name}={value!r} is no trait; known are {', '.join(sorted(known))}.")
            parts[known[name]] = replace(parts[known[name]], **{name: value})
        return replace(self, **parts)


def draw_case(rng: np.random.Generator, label: int, settings: PhantomSettings) -> Case:
    """Draw patient, findings and scan.

    Both classes draw all distractors from the same ranges, wide enough that neither mean nor spread nor quantiles of
    the lung's density tell the classes apart; only the opacities belong to label 1. The number of draws does not
    depend on the label, so that one seed gives the same patient for both.
    """

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def sometimes(share: float, low: float, high: float) -> float:
        value = between(low, high)
        return value if rng.random() < share else 0.0

    in_plane = round(between(*settings.spacing_range_mm), 3)
    spacing = (in_plane, in_plane, round(between(*settings.slice_spacing_range_mm), 3))
    traits = Traits(
        fat_mm=between(6, 24),
        breast_mm=sometimes(0.4, 14, 32),
        heart_scale=between(0.88, 1.08),
        dome_mm=between(44, 68),
        blood_hu=between(150, 320) if rng.random() < 0.3 else between(38, 55),
        lung_hu=between(-885, -790),
        gravity_hu=between(20, 90),
        texture_hu=between(12, 34),
        vessels=int(rng.integers(240, 520)),
        vessel_scale=between(0.7, 1.75),
        stomach_gas_mm=sometimes(0.6, 12, 26),
        prone=bool(rng.random() < 0.25),
        couch=bool(rng.random() < 0.85),
    )
    opacities = int(rng.integers(4, 8))
    findings = Findings(
        opacities=opacities if label else 0,
        consolidation=between(0.15, 0.6),
        nodules=int(rng.integers(0, 5)),
        scars=int(rng.integers(0, 7)),
        emphysema=sometimes(0.4, 0.2, 1.0),
        atelectasis_hu=sometimes(0.85, 100, 780),
        atelectasis_mm=between(5, 24),
        haze_hu=sometimes(0.65, 40, 310),
    )
    scan = Scan(
        noise_hu=between(*settings.noise_range_hu),
        circle=bool(rng.random() < 0.5),
        feet_first=bool(rng.random() < 0.3),
        fill=between(0.86, 0.96),
        shape=(1.0, between(0.92, 1.08), between(0.92, 1.08)),
        roll_deg=float(np.clip(rng.normal(0, 3), -7, 7)),
        lean=(between(-0.04, 0.04), between(-0.05, 0.05)),
        off_centre_mm=(between(-5, 5), between(-5, 5)),
        table_mm=tuple(round(between(*span), 3) for span in ((-20, 20), (-200, -140), (-700, 300))),  # type: ignore[arg-type]
    )
    return Case(spacing, scan, traits, findings)
