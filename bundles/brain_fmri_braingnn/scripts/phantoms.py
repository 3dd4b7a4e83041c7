"""Phantom cohort of resting-state fMRI: 110 region series in 8 networks, six sites, head motion, a planted difference.

`make_cohort` writes a folder of `.1D` series (or 4-D NIfTI) with `dataset.json`; `planted_regions` names the truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from tqdm import tqdm

from .common.data import write_datalist
from .phantom_files import make_atlas, write_nifti, write_series
from .phantom_networks import NETWORKS, communities
from .phantom_series import Scan, Subject, simulate_scan, simulate_streamlines
from .phantom_subjects import PhantomSettings, draw_subject, planted_regions

__all__ = ["PhantomSettings", "communities", "make_cohort", "make_subject", "planted_regions", "write_nifti"]

LABELS = {0: "control", 1: "patient"}
SECTIONS = ("training", "validation", "test")


def make_subject(index: int, label: int, settings: PhantomSettings | None = None) -> tuple[Subject, Scan]:
    """Make subject number `index` of a cohort without writing it.

    Args:
        index: number in the cohort; with the seed of the settings everything follows from it.
        label: 0 control, 1 patient.
        settings: defaults of `PhantomSettings` when left out.

    Returns:
        The person and the scan: series (T, N).

    Raises:
        ValueError: if the label is neither 0 nor 1.
    """
    if label not in (0, 1):
        raise ValueError(f"make_subject: label={label} is no class; give 0 (control) or 1 (patient).")
    settings = settings or PhantomSettings()
    person, scan = _streams(index, settings)[:2]
    subject = draw_subject(label, settings, person)
    return subject, simulate_scan(subject, scan)


def make_cohort(dataset_dir: Path, settings: PhantomSettings) -> None:
    """Write the cohort: `images/`, on request `structural/` and `atlas.nii.gz`, and `dataset.json`.

    `dataset.json` also holds `planted_regions` (code to name), `communities` (network of each region),
    `networks` (their names) and `tr_seconds`.

    Args:
        dataset_dir: folder to fill; made when missing.
        settings: what to draw.
    """
    for name in ("images", "structural") if settings.structural else ("images",):
        (dataset_dir / name).mkdir(parents=True, exist_ok=True)
    if settings.nifti:
        nib.save(make_atlas(), dataset_dir / "atlas.nii.gz")
    jobs = [(section, case % 2) for section in SECTIONS for case in range(getattr(settings, section))]
    cases: dict[str, list[dict[str, Any]]] = {s: [] for s in SECTIONS if getattr(settings, s)}
    for index, (section, label) in enumerate(tqdm(jobs, desc="phantoms", unit="subject")):
        cases[section].append(_write_subject(dataset_dir, index, label, settings))
    text = (
        f"{len(jobs)} synthetic resting-state scans (not people) with a planted difference, seed {settings.seed}, "
        f"generator version {settings.version}"
    )
    write_datalist(
        *(dataset_dir, "fMRI phantoms", text, LABELS, cases, _truth(settings)),
        path_keys=("image", "structural", "confounds"),
    )


def _truth(settings: PhantomSettings) -> dict[str, Any]:
    return {
        "planted_regions": {str(code): name for code, name in planted_regions(settings).items()},
        "communities": list(communities()),
        "networks": list(NETWORKS),
        "tr_seconds": settings.tr_seconds,
        **({"atlas": "atlas.nii.gz"} if settings.nifti else {}),
    }


def _write_subject(dataset_dir: Path, index: int, label: int, settings: PhantomSettings) -> dict[str, Any]:
    """Make and write one subject; return its entry of `dataset.json`."""
    subject, scan = make_subject(index, label, settings)
    _, _, streamlines, voxels = _streams(index, settings)
    name = f"phantom_{index:04d}"
    paths = {"image": dataset_dir / "images" / f"{name}_rois_ho.1D"}
    if settings.nifti:
        paths["image"], paths["confounds"] = write_nifti(
            dataset_dir / "images", name, scan, subject.site.tr_seconds, voxels
        )
    else:
        write_series(paths["image"], scan.series)
    if settings.structural and streamlines.random() < settings.structural_share:
        paths["structural"] = dataset_dir / "structural" / f"{name}_streamlines.npy"
        weakening = _structural_weakening(subject, settings, streamlines)
        np.save(paths["structural"], simulate_streamlines(weakening, streamlines))
    covariates = {"site": subject.site.name, "age": subject.age, "sex": subject.sex, "motion": subject.motion}
    entry = {key: path.relative_to(dataset_dir).as_posix() for key, path in paths.items()}
    return {"id": name, **entry, "label": label, "group": name, **covariates, "tr_seconds": subject.site.tr_seconds}


def _structural_weakening(subject: Subject, settings: PhantomSettings, rng: np.random.Generator) -> np.ndarray:
    """Structural loss (N,) of patients: in the same regions, of a strength that the fMRI does not tell."""
    strength = 0.5 * settings.weakening * rng.gamma(6, 1 / 6)
    return np.where(subject.weakening > 0, min(strength, 0.95), 0.0)


def _streams(index: int, settings: PhantomSettings) -> list[np.random.Generator]:
    """Sources of chance of one subject: person, scan, streamlines, voxel noise."""
    seed = np.random.SeedSequence([settings.seed, settings.version, index])
    return [np.random.default_rng(child) for child in seed.spawn(4)]
