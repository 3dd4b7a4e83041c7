"""What differs from one phantom patient to the next: pose, shape, lesions, sequence and scanner, drawn from a seed.

Lengths are mm of the head frame: x to the patient's left, y anterior, z superior; z = 0 is the level of the deep
nuclei, the ventricles reach to about 28, the vertex of the brain lies near 75.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MODALITIES = ("CT", "PET", "SPECT")
SEQUENCES = ("flair", "t1", "t1ce", "t2")
FINDINGS = {"CT": ("haemorrhage", "calcification"), "PET": ("hot", "cold"), "SPECT": ("hot", "cold")}
MRI_OF = {"CT": ("t2", "flair", "pd", "t1"), "PET": ("t1", "t1", "flair"), "SPECT": ("t2", "t2", "pd")}
LOWEST_MM, HIGHEST_MM = -6.0, 54.0  # range of the levels


@dataclass(frozen=True)
class PhantomSettings:
    """What the cohort holds. All values are plain, so that a hash of them names the cohort.

    Args:
        training: patients for training; counts are patients, each with `slices` slices.
        validation: patients for validation.
        test: patients for the test.
        slices: axial slices of each patient.
        size: width and height of a slice in pixels.
        seed: everything follows from it.
        version: number of the generator; raise it when the images change.
        modalities: what is paired with MRI, patient by patient in turn: of CT, PET, SPECT; or ("BraTS",) alone for
            volumes of four MRI sequences.
        bits: 8, or 16 for PET as 16-bit gray of 1000 x SUV instead of colours.
        volume_shape: voxels of a four-sequence volume (X, Y, Z).

    Raises:
        ValueError: a value out of range.
    """

    training: int = 24
    validation: int = 6
    test: int = 12
    slices: int = 4
    size: int = 256
    seed: int = 0
    version: int = 1
    modalities: tuple[str, ...] = MODALITIES
    bits: int = 8
    volume_shape: tuple[int, int, int] = (96, 96, 24)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name, low, high in (
            ("training", 0, 10_000),
            ("validation", 0, 10_000),
            ("test", 0, 10_000),
            ("slices", 1, 64),
            ("size", 64, 1024),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"PhantomSettings: {name}={getattr(self, name)} must lie in {low}..{high}; change it.")
        if self.training + self.validation + self.test == 0:
            raise ValueError("PhantomSettings: training, validation and test are all 0; ask for at least one patient.")
        known = set(self.modalities) <= set(MODALITIES) or tuple(self.modalities) == ("BraTS",)
        if not self.modalities or not known:
            raise ValueError(
                f"PhantomSettings: modalities={self.modalities} must be some of {MODALITIES}, or ('BraTS',) alone."
            )
        if self.bits not in (8, 16):
            raise ValueError(f"PhantomSettings: bits={self.bits} must be 8 (colours) or 16 (1000 x SUV); take one.")
        if len(self.volume_shape) != 3 or min(self.volume_shape[:2]) < 32 or self.volume_shape[2] < 8:
            raise ValueError(
                f"PhantomSettings: volume_shape={self.volume_shape} must be at least (32, 32, 8); give more voxels."
            )


@dataclass(frozen=True)
class Lesion:
    """A blob with an irregular edge: kind, centre (3,) and half axes (3,) in mm."""

    kind: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]


@dataclass(frozen=True)
class Traits:
    """One patient and both scans; `levels` are the heights of the slices in mm."""

    modality: str
    sequence: str
    levels: tuple[float, ...]
    scale: tuple[float, float]
    roll_deg: float
    shift_mm: tuple[float, float]
    atrophy: float
    ventricles: float
    skull_mm: float
    scalp_mm: float
    calcified_plexus: bool
    tumour: Lesion
    finding: Lesion
    window_hu: tuple[float, float]
    noise: float
    uptake: float


def draw_traits(rng: np.random.Generator, modality: str, slices: int) -> Traits:
    """Draw one patient.

    Args:
        rng: source of chance.
        modality: CT, PET, SPECT or BraTS.
        slices: number of levels; they are spread over at most 36 mm around the lesions.
    """
    middle = float(rng.uniform(LOWEST_MM + 8, HIGHEST_MM - 12))
    reach = float(rng.uniform(12, 18))
    low, high = max(middle - reach, LOWEST_MM), min(middle + reach, HIGHEST_MM)
    levels = np.linspace(low, high, slices) if slices > 1 else np.array([middle])
    side = float(rng.choice([-1, 1]))
    kind = str(rng.choice(FINDINGS.get(modality, ("none",))))
    atrophy = float(rng.beta(1.5, 2.5))
    return Traits(
        modality=modality,
        sequence=str(rng.choice(MRI_OF.get(modality, ("t1",)))),
        levels=tuple(round(float(z), 2) for z in levels),
        scale=(float(rng.uniform(0.94, 1.06)), float(rng.uniform(0.94, 1.06))),
        roll_deg=float(rng.normal(0, 2.5)),
        shift_mm=(float(rng.normal(0, 3)), float(rng.normal(0, 3))),
        atrophy=atrophy,
        ventricles=float(rng.uniform(0.75, 1.15) + 0.7 * atrophy),
        skull_mm=float(rng.uniform(5.5, 8.5)),
        scalp_mm=float(rng.uniform(4, 7.5)),
        calcified_plexus=bool(rng.random() < 0.5),
        tumour=_lesion(rng, "tumour", side, middle, (20, 30) if modality == "BraTS" else (14, 23)),
        finding=_lesion(rng, kind, -side, middle, (8, 14)),
        window_hu=(float(rng.uniform(78, 115)), float(rng.uniform(34, 42))),
        noise=float(rng.uniform(0.6, 1.4)),
        uptake=float(rng.uniform(0.9, 1.08)),
    )


def _lesion(rng: np.random.Generator, kind: str, side: float, middle: float, radius_mm: tuple[float, float]) -> Lesion:
    """Place a lesion in one hemisphere; perfusion defects (cold) lie near the surface, the others deeper."""
    far = 1.0 if kind == "cold" else 0.62
    shrink = np.sqrt(1 - (max(middle, 0) / 84) ** 2)  # the brain is smaller towards the vertex
    angle = rng.uniform(0.3, 0.7) * np.pi
    x = side * 52 * far * shrink * np.sin(angle)
    y = 70 * far * shrink * np.cos(angle)
    radius = rng.uniform(*radius_mm) * (1.25 if kind == "cold" else 1.0)
    radii = radius * rng.uniform(0.8, 1.2, 3)
    centre = (float(x), float(y), float(middle + rng.uniform(-4, 4)))
    return Lesion(kind, centre, (float(radii[0]), float(radii[1]), float(radii[2])))
