"""Phantom cohort of resting-state fMRI: region series whose class shows in planted edges and in who resembles whom.

`make_cohort` writes a folder of `.1D` series with `dataset.json`. Three things are planted: sites differ in their
connectivity more than the classes do; a few edges change in patients; and subjects of one site, sex and age band tend
to share the class, although none of the three tells it alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .common.data import write_datalist
from .phantom_series import simulate_series
from .phantom_subjects import (
    SITES,
    PhantomSettings,
    Subject,
    cell_name,
    draw_subject,
    planted_edges,
    planted_regions,
    prevalence,
    region_table,
)

__all__ = ["PhantomSettings", "make_cohort", "make_subject", "planted_edges", "planted_regions"]

LABELS = {0: "control", 1: "patient"}
SECTIONS = ("training", "validation", "test")


def make_subject(
    index: int, label: int, settings: PhantomSettings | None = None
) -> tuple[Subject, NDArray[np.float32]]:
    """Make subject number `index` of a cohort without writing it.

    Args:
        index: number in the cohort; with seed and version of the settings everything follows from it.
        label: 0 control, 1 patient.
        settings: defaults of `PhantomSettings` when left out.

    Returns:
        The person, and the series (T, 110) float32.

    Raises:
        ValueError: if the label is neither 0 nor 1.
    """
    if label not in LABELS:
        raise ValueError(f"make_subject: label is {label}, it must be 0 (control) or 1 (patient).")
    chosen = settings or PhantomSettings()
    person, scan = np.random.default_rng([chosen.seed, chosen.version, index]).spawn(2)
    subject = draw_subject(index, label, chosen, person)
    return subject, simulate_series(subject, chosen, scan)


def make_cohort(folder: Path, settings: PhantomSettings) -> None:
    """Write the cohort: `images/<id>_rois_ho.1D` and `dataset.json`.

    `dataset.json` also holds the truth: `planted_regions` (code to name), `planted_edges` (two codes to the sign of
    the change in patients) and `prevalence` (share of patients in each cell of site, sex and age band).

    Args:
        folder: to fill; made when missing.
        settings: what to draw.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cases: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS if getattr(settings, name)}
    jobs = [(section, case % 2) for section in cases for case in range(getattr(settings, section))]
    for index, (section, label) in enumerate(tqdm(jobs, desc="phantoms", unit="subject")):
        cases[section].append(_write_subject(folder, index, label, settings))
    text = (
        f"{len(jobs)} synthetic resting-state scans (not people) of {len(SITES)} sites with planted edges and planted "
        f"neighbours, seed {settings.seed}, generator version {settings.version}"
    )
    write_datalist(folder, "population phantoms", text, LABELS, cases, _truth(settings))


def _write_subject(folder: Path, index: int, label: int, settings: PhantomSettings) -> dict[str, Any]:
    """Make and write one subject; return its entry of `dataset.json`."""
    subject, series = make_subject(index, label, settings)
    name = f"phantom_{index:04d}"
    path = folder / "images" / f"{name}_rois_ho.1D"
    header = "\t".join(f"#{code}" for code in region_table().codes)
    np.savetxt(path, series, fmt="%.4g", delimiter="\t", header=header, comments="")
    return {
        "id": name,
        "image": path.relative_to(folder).as_posix(),
        "label": label,
        "group": name,
        "site": SITES[subject.site],
        "sex": subject.sex,
        "age": subject.age,
        "motion": subject.motion,
    }


def _truth(settings: PhantomSettings) -> dict[str, Any]:
    return {
        "planted_regions": {str(code): name for code, name in planted_regions(settings).items()},
        "planted_edges": {f"{one} {other}": sign for (one, other), sign in planted_edges(settings).items()},
        "prevalence": {cell_name(*cell): share for cell, share in prevalence(settings).items()},
    }
