"""Who is in a phantom cohort: its settings, the cells of site, sex and age, and one subject drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .common.data import RegionTable, read_regions

__all__ = [
    "AGE_BANDS",
    "SEXES",
    "SITES",
    "PhantomSettings",
    "Subject",
    "cell_name",
    "draw_subject",
    "planted_edges",
    "planted_regions",
    "prevalence",
    "region_table",
]

SITES = tuple(f"site_{number}" for number in range(1, 7))
SEXES = {1: "male", 2: "female"}
AGE_BANDS = {  # share, mean age, lowest and highest: a study recruits round one age
    "children": (0.25, 10.5, 7.0, 13.9),
    "adolescents": (0.5, 17.5, 14.0, 21.0),
    "adults": (0.25, 25.0, 21.1, 35.0),
}
AGE_SPREAD = 1.2
PLANTED = (  # names without side: both homologues
    *("Thalamus", "Amygdala", "Insular Cortex", "Precuneous Cortex"),
    *("Angular Gyrus", "Paracingulate Gyrus", "Lingual Gyrus", "Superior Parietal Lobule"),
)
DROPOUT = ("Subcallosal Cortex", "Frontal Orbital Cortex", "Temporal Pole", "Inferior Temporal Gyrus anterior division")
GOLDEN = (5**0.5 - 1) / 2
SEVERITY_SHAPE, HIGHEST_SEVERITY = 4.0, 2.5  # gamma with mean 1


@dataclass(frozen=True)
class PhantomSettings:
    """What a cohort is made of; its hash names the cohort, so every field that changes a file stands here.

    Args:
        training: number of training subjects, half of them patients.
        validation: number of validation subjects.
        test: number of test subjects.
        frames: shortest and longest scan; every site has its own length.
        effect: mean change of the covariance of a planted edge in patients; the variance of a region is near 2.5.
        site_effect: loading of the signals whose pattern over the regions is the site's own.
        prevalence: share of patients in every second cell of site, sex and age band; 1 minus it in the others. 0.5
            leaves no tie between phenotype and class.
        missing_share: share of subjects with one to three regions without signal.
        planted: names (without side) of the planted regions.
        seed: the whole cohort follows from it.
        version: raised when the generator changes.
    """

    training: int = 240
    validation: int = 60
    test: int = 400
    frames: tuple[int, int] = (100, 150)
    effect: float = 0.10
    site_effect: float = 0.5
    prevalence: float = 0.85
    missing_share: float = 0.06
    planted: tuple[str, ...] = PLANTED
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a section is negative or odd, a scan too short, a number outside its range, or a planted name
                no region.
        """
        for name in ("training", "validation", "test"):
            if (count := getattr(self, name)) < 0 or count % 2:
                raise ValueError(
                    f"PhantomSettings: {name} is {count}, and half of a section are patients; give an even number, "
                    "0 or more."
                )
        if not 60 <= self.frames[0] <= self.frames[1]:
            raise ValueError(f"PhantomSettings: frames is {self.frames}, it must be 60 <= shortest <= longest.")
        for name in ("seed", "version"):
            if (number := getattr(self, name)) < 0:
                raise ValueError(f"PhantomSettings: {name} is {number}, it must be 0 or more.")
        limit = 1 / HIGHEST_SEVERITY  # keeps the covariance positive definite
        ranges = {"effect": (0, limit), "site_effect": (0, 2), "prevalence": (0.5, 1), "missing_share": (0, 1)}
        for name, (low, high) in ranges.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"PhantomSettings: {name} is {value}, it must lie in {low} .. {high:g}.")
        known = {_base_name(name) for name in region_table().names}
        if unknown := [name for name in self.planted if name not in known]:
            raise ValueError(
                f"PhantomSettings: planted holds {unknown[0]!r}, which is no region; take names of harvard_oxford.csv "
                "without their side."
            )


@dataclass(frozen=True)
class Subject:
    """One person.

    Args:
        label: 0 control, 1 patient.
        site: index into `SITES`.
        sex: 1 male, 2 female, as ABIDE codes it.
        age_band: key of `AGE_BANDS`.
        age: years.
        motion: mean framewise displacement in mm.
        severity: 0 in controls, near 1 in patients.
        missing: indices of regions without signal.
    """

    label: int
    site: int
    sex: int
    age_band: str
    age: float
    motion: float
    severity: float
    missing: NDArray[np.int64]


@cache
def region_table() -> RegionTable:
    """Codes and names of the 110 regions, in the order of the columns."""
    return read_regions(str(Path(__file__).absolute().parents[1] / "configs" / "harvard_oxford.csv"))


def planted_regions(settings: PhantomSettings | None = None) -> dict[int, str]:
    """Regions whose edges differ in patients: atlas code to name."""
    table, planted = region_table(), (settings or PhantomSettings()).planted
    return {code: name for code, name in zip(table.codes, table.names, strict=True) if _base_name(name) in planted}


def planted_edges(settings: PhantomSettings | None = None) -> dict[tuple[int, int], int]:
    """Edges that differ in patients, all those between planted regions: pair of codes to the sign of the change.

    Planted names take turns in two camps: edges within a camp gain, edges between the camps lose.
    """
    names = (settings or PhantomSettings()).planted
    camps = {code: names.index(_base_name(name)) % 2 for code, name in planted_regions(settings).items()}
    return {(one, other): 1 if camps[one] == camps[other] else -1 for one, other in combinations(camps, 2)}


def prevalence(settings: PhantomSettings | None = None) -> dict[tuple[int, int, str], float]:
    """Share of patients in each cell (site, sex, age band): high where the three ranks have an even sum.

    Neither site nor sex nor age says anything alone, nor any two of them: people of odd rank are as many as those of even
    rank in each.
    """
    high = (settings or PhantomSettings()).prevalence
    ranks = product(range(len(SITES)), enumerate(SEXES), enumerate(AGE_BANDS))
    return {
        (site, sex, band): high if (site + k + m) % 2 == 0 else round(1 - high, 6)
        for site, (k, sex), (m, band) in ranks
    }


def cell_name(site: int, sex: int, band: str) -> str:
    """How `dataset.json` names a cell."""
    return f"{SITES[site]} {SEXES[sex]} {band}"


def draw_subject(index: int, label: int, settings: PhantomSettings, rng: np.random.Generator) -> Subject:
    """Draw person `index` of class `label` (0 control, 1 patient): the cell by quota, given the class, then the rest."""
    site, sex, band = _cell(index // 2, label, settings)
    _, mean, low, high = AGE_BANDS[band]
    age = float(np.clip(rng.normal(mean, AGE_SPREAD), low, high))
    motion = float(np.exp(rng.normal(np.log(0.12), 0.4)))
    severity = min(float(rng.gamma(SEVERITY_SHAPE, 1 / SEVERITY_SHAPE)), HIGHEST_SEVERITY) * label
    places = [k for k, name in enumerate(region_table().names) if _base_name(name) in DROPOUT]
    missing = rng.choice(places, rng.integers(1, 4), replace=False)
    count = missing.size if rng.random() < settings.missing_share else 0
    return Subject(label, site, sex, band, round(age, 1), round(motion, 4), severity, missing[:count])


def _cell(rank: int, label: int, settings: PhantomSettings) -> tuple[int, int, str]:
    """Cell of the person of this rank in its class.

    Steps of the golden ratio fill every cell in proportion to its share, in any stretch of ranks.
    """
    shares = prevalence(settings)
    weights = np.array([AGE_BANDS[cell[2]][0] * (high if label else 1 - high) for cell, high in shares.items()])
    start = np.random.default_rng([settings.seed, settings.version]).random()
    place = np.searchsorted(np.cumsum(weights) / weights.sum(), (start + rank * GOLDEN) % 1, side="right")
    return list(shares)[min(int(place), weights.size - 1)]


def _base_name(name: str) -> str:
    return name.split(" ", 1)[1]  # without "Left" or "Right"
