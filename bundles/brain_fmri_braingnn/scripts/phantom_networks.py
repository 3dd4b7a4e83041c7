"""The regions of the phantoms: the Harvard-Oxford table of the bundle and the network of each region."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["NETWORKS", "Region", "centroids_mm", "communities", "homologues", "load_regions"]

REGIONS_CSV = Path(__file__).resolve().parents[1] / "configs" / "ho_regions.csv"

# A region belongs to the network that holds the beginning of its name (without side).
NETWORKS: dict[str, tuple[str, ...]] = {
    "visual": (
        *("Intracalcarine", "Supracalcarine", "Cuneal", "Lingual", "Occipital Pole", "Occipital Fusiform"),
        *("Lateral Occipital Cortex inferior", "Temporal Occipital Fusiform"),
    ),
    "somatomotor": (
        *("Precentral", "Postcentral", "Juxtapositional", "Central Opercular", "Parietal Operculum"),
        *("Heschl", "Planum", "Superior Temporal Gyrus"),
    ),
    "dorsal attention": (
        *("Superior Parietal", "Lateral Occipital Cortex superior", "Supramarginal Gyrus anterior"),
        *("Middle Temporal Gyrus temporooccipital", "Inferior Temporal Gyrus temporooccipital"),
    ),
    "salience": (
        *("Insular", "Frontal Operculum", "Cingulate Gyrus anterior", "Supramarginal Gyrus posterior"),
        "Inferior Frontal Gyrus pars opercularis",
    ),
    "frontoparietal": (
        *("Frontal Pole", "Middle Frontal", "Superior Frontal", "Inferior Frontal Gyrus pars triangularis"),
        "Inferior Temporal Gyrus posterior",
    ),
    "default": (
        *("Frontal Medial", "Paracingulate", "Cingulate Gyrus posterior", "Precuneous", "Angular"),
        *("Middle Temporal Gyrus anterior", "Middle Temporal Gyrus posterior"),
    ),
    "limbic": (
        *("Hippocampus", "Amygdala", "Parahippocampal", "Temporal Pole", "Subcallosal", "Frontal Orbital"),
        *("Temporal Fusiform", "Inferior Temporal Gyrus anterior"),
    ),
    "subcortical": ("Thalamus", "Caudate", "Putamen", "Pallidum", "Accumbens"),
}


@dataclass(frozen=True)
class Region:
    """One row of `ho_regions.csv`.

    Args:
        code: number of the region in the atlas.
        name: with its side, as "Left Thalamus".
        position_mm: centroid, RAS in MNI space.
    """

    code: int
    name: str
    position_mm: tuple[float, float, float]

    @property
    def base_name(self) -> str:
        """Name without the side, the same for both homologues."""
        return self.name.split(" ", 1)[1]


@cache
def load_regions() -> tuple[Region, ...]:
    """Rows of the region table, in its order."""
    with REGIONS_CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(Region(int(r["code"]), r["name"], (float(r["x"]), float(r["y"]), float(r["z"]))) for r in rows)


@cache
def communities() -> tuple[int, ...]:
    """Network of each region: index into `NETWORKS`, the same for both homologues."""
    return tuple(_network(region.base_name) for region in load_regions())


def homologues() -> NDArray[np.int64]:
    """Index (N,) of the pair of each region: left and right share one."""
    names = [region.base_name for region in load_regions()]
    return np.unique(names, return_inverse=True)[1]


def centroids_mm() -> NDArray[np.float64]:
    """Centroids (N, 3) in RAS mm of MNI space."""
    return np.array([region.position_mm for region in load_regions()])


def _network(base_name: str) -> int:
    found = [k for k, names in enumerate(NETWORKS.values()) if base_name.startswith(names)]
    if len(found) != 1:
        raise ValueError(f"communities: region {base_name!r} fits {len(found)} networks of NETWORKS; name it in one.")
    return found[0]
