"""Who is in a phantom cohort: its settings, the sites, and one subject drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .phantom_networks import load_regions
from .phantom_series import Site, Subject

__all__ = ["PLANTED", "PhantomSettings", "draw_subject", "planted_regions"]

PLANTED = (  # names without side: both homologues
    *("Paracingulate Gyrus", "Precuneous Cortex", "Insular Cortex", "Amygdala"),
    *("Superior Temporal Gyrus posterior division", "Temporal Occipital Fusiform Cortex", "Frontal Pole"),
)
HYPERCONNECTED = (  # edges, one on each side, between planted regions of different networks
    ("Amygdala", "Temporal Occipital Fusiform Cortex"),
    ("Insular Cortex", "Superior Temporal Gyrus posterior division"),
)
DROPOUT = ("Frontal Orbital", "Inferior Temporal Gyrus anterior", "Temporal Fusiform Cortex anterior", "Subcallosal")
SITES = (  # repetition time and length as factors of the settings, noise, global signal, share of patients, motion
    (1.0, 0.5, 0.95, 0.25, 0.50, 1.0),
    (1.0, 1.0, 1.05, 0.45, 0.45, 0.8),
    (0.75, 1.0, 1.15, 0.35, 0.55, 1.2),
    (1.0, 0.25, 0.90, 0.60, 0.55, 1.0),
    (1.25, 0.0, 1.00, 0.30, 0.45, 0.9),
    (1.0, 0.75, 1.20, 0.50, 0.50, 1.3),
)


@dataclass(frozen=True)
class PhantomSettings:
    """What a cohort is made of; its hash names the cohort, so every field that changes a file stands here.

    Args:
        training: number of training subjects, half of them patients.
        validation: number of validation subjects.
        test: number of test subjects.
        tr_seconds: repetition time; one site measures faster, one slower.
        frames: shortest and longest scan.
        weakening: mean share of its coupling to the own network that a planted region loses in patients.
        hyperconnection: loading of the signal that hyperconnected regions share in patients.
        missing_share: share of subjects with one to three regions without signal.
        planted: names (without side) of the planted regions.
        structural: also write streamline counts of diffusion MRI.
        structural_share: share of subjects that have them.
        nifti: write 4-D NIfTI, an atlas and confounds instead of region series.
        seed: the whole cohort follows from it.
        version: raised when the generator changes.
    """

    training: int = 200
    validation: int = 60
    test: int = 100
    tr_seconds: float = 2.0
    frames: tuple[int, int] = (120, 240)
    weakening: float = 0.28
    hyperconnection: float = 0.4
    missing_share: float = 0.08
    planted: tuple[str, ...] = PLANTED
    structural: bool = False
    structural_share: float = 0.8
    nifti: bool = False
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a section is negative or odd, a scan too short, a share outside its range, or a planted
                name no region.
        """
        for name in ("training", "validation", "test"):
            if (count := getattr(self, name)) < 0 or count % 2:
                raise ValueError(
                    f"PhantomSettings: {name}={count} subjects cannot be balanced over two classes; "
                    "give an even number, 0 or more."
                )
        if not 40 <= self.frames[0] <= self.frames[1]:
            raise ValueError(f"PhantomSettings: frames={self.frames} is no range of scans; give 40 <= low <= high.")
        if not 0.5 <= self.tr_seconds <= 4:
            raise ValueError(f"PhantomSettings: tr_seconds={self.tr_seconds} cannot hold .01-.1 Hz; give 0.5 to 4.")
        for name in ("weakening", "missing_share", "structural_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"PhantomSettings: {name}={getattr(self, name)} is no share; give 0 to 1.")
        if unknown := set(self.planted) - {region.base_name for region in load_regions()}:
            raise ValueError(
                f"PhantomSettings: planted={sorted(unknown)} are no regions; take names of ho_regions.csv."
            )

    def site(self, index: int) -> Site:
        """Return scanner `index` of `SITES`."""
        tr, length, noise, global_signal, _, _ = SITES[index]
        low, high = self.frames
        return Site(f"site_{index + 1}", tr * self.tr_seconds, round(low + length * (high - low)), noise, global_signal)


def planted_regions(settings: PhantomSettings | None = None) -> dict[int, str]:
    """Regions in which patients differ: atlas code to name, in the order of the region table."""
    names = (settings or PhantomSettings()).planted
    return {region.code: region.name for region in load_regions() if region.base_name in names}


def draw_subject(label: int, settings: PhantomSettings, rng: np.random.Generator) -> Subject:
    """Draw a person of class `label` (0 control, 1 patient).

    Patients are a little younger, more often male, and move a little more, as in ABIDE.
    """
    share = np.array([site[4] if label else 1 - site[4] for site in SITES])
    index = int(rng.choice(len(SITES), p=share / share.sum()))
    age = 7 + rng.gamma(4, 2.3 if label else 2.5)
    sex = 1 if rng.random() < (0.85 if label else 0.8) else 2
    motion = SITES[index][5] * np.exp(rng.normal(np.log(0.135 if label else 0.113), 0.45) + 0.015 * (17 - min(age, 35)))
    planted = _where(settings.planted)
    severity = rng.gamma(6, 1 / 6) if label else 0.0
    weakening = np.zeros(len(load_regions()))
    weakening[planted] = settings.weakening * severity * rng.uniform(0.6, 1.4, planted.size)
    names = [region.name for region in load_regions()]
    edges = [[names.index(f"{side} {end}") for end in edge] for edge in HYPERCONNECTED for side in ("Left", "Right")]
    missing = rng.choice(_where(DROPOUT), rng.integers(1, 4), replace=False)
    has_missing = rng.random() < settings.missing_share
    return Subject(
        *(label, settings.site(index), round(float(age), 1), sex, round(float(motion), 4), weakening.clip(0, 0.95)),
        hyperconnection=(np.array(edges), settings.hyperconnection * label),
        missing=missing if has_missing else missing[:0],
    )


def _where(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Indices of the regions whose name without side begins with one of `names`."""
    return np.array([k for k, region in enumerate(load_regions()) if region.base_name.startswith(names)])
