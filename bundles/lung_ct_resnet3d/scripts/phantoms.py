"""Phantom cohort of chest CT: cases drawn from a seed, written as a dataset of NIfTI, NRRD and DICOM files.

`make_phantom` makes one volume with its truth, `make_cohort` a folder with `images/`, `masks/` and `dataset.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from .common.data import in_parallel
from .phantom_anatomy import draw_chest
from .phantom_canvas import Grid, Volume
from .phantom_files import write_image, write_mask
from .phantom_findings import Mask, draw_distractors, draw_opacities
from .phantom_traits import FULL_SIZE, Case, PhantomSettings, Scan, draw_case

LABELS = {"0": "healthy", "1": "pneumonia-like"}
FORMATS = (".nii.gz", "dicom", ".nrrd", ".nii")
PADDING_HU = -2048
REFERENCE_WIDTH_MM = 308.0  # of the reference adult without fat
REFERENCE_RANGE_MM = (-142.0, 142.0)  # of the field along z, from below the recesses to above the apices


@dataclass(frozen=True)
class Phantom:
    """One case. Arrays are (X, Y, Z) in the order in which the scanner stores them.

    Args:
        volume: int16 HU.
        affine: (4, 4) voxel index to RAS mm.
        lung: bool, both lungs with their vessels, small airways and findings.
        opacity: bool, pneumonia-like patches.
        nodules: bool, solid nodules.
        meta: label, seed, spacing and every drawn trait.
    """

    volume: NDArray[np.int16]
    affine: NDArray[np.float64]
    lung: Mask
    opacity: Mask
    nodules: Mask
    meta: dict[str, Any]

    def truth(self) -> NDArray[np.uint8]:
        """Label map (X, Y, Z): 1 lung, 2 opacity, 3 nodule."""
        truth = self.lung.astype(np.uint8)
        truth[self.opacity] = 2
        truth[self.nodules] = 3
        return truth


def make_phantom(seed: int, label: int, settings: PhantomSettings | None = None, **overrides: Any) -> Phantom:
    """Make one chest CT. One seed with both labels gives the same patient without and with opacities.

    Args:
        seed: everything follows from it.
        label: 0 healthy, 1 pneumonia-like.
        settings: matrix and ranges; defaults of `PhantomSettings` when left out.
        overrides: fields of `Traits`, `Findings` or `Scan` to set by hand, for instance `couch=True`.

    Returns:
        The case with its truth.

    Raises:
        ValueError: if the label is neither 0 nor 1 or an override has no such field.
    """
    if label not in (0, 1):
        raise ValueError(f"make_phantom: label={label} is no class; give 0 (healthy) or 1 (pneumonia-like).")
    settings = settings or PhantomSettings()
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence([seed, settings.version]).spawn(5)]
    case = draw_case(streams[0], label, settings).override(overrides)
    scan, traits, findings = case.scan, case.traits, case.findings
    grid = _field(case, settings.matrix)
    with threadpool_limits(limits=1):  # many small products: threads only wait for each other
        chest = draw_chest(grid, traits, streams[1])
        nodules = draw_distractors(grid, chest, findings, traits, streams[2])
        opacity = draw_opacities(grid, chest, findings, streams[3])
        volume = _scan(grid, chest.hu, chest.body_depth, scan, streams[4])

    # Scanners store columns to the left and rows to the back of a supine patient, both reversed when prone.
    flip = (slice(None, None, 1 if traits.prone else -1),) * 2 + (slice(None, None, -1 if scan.feet_first else 1),)
    affine = _stored_affine(grid, scan.table_mm, [part.step < 0 for part in flip])
    meta = {"seed": seed, "label": label, "spacing_mm": list(case.spacing_mm)}
    meta |= {key: value for part in (scan, traits, findings) for key, value in vars(part).items()}
    lung, opacity, nodules = (np.ascontiguousarray(m[flip]) for m in (chest.lung, opacity & ~nodules, nodules))
    return Phantom(np.ascontiguousarray(volume[flip]), affine, lung, opacity, nodules, meta)


def full_size_series(folder: Path, seed: int = 0, count: int = 3) -> list[Path]:
    """Write DICOM series of 512 x 512 slices (one folder each), for tests of real-life size.

    The first lies supine head first, the second feet first, the third prone.

    Args:
        folder: where the folders `full_0`, `full_1`, ... are made.
        seed: the cases follow from it.
        count: how many, 1 to 3.

    Returns:
        The folders.
    """
    made = []
    for index in range(count):
        phantom = make_phantom(3 * seed + index, index % 2, FULL_SIZE, feet_first=index == 1, prone=index == 2)
        write_image(folder / f"full_{index}", phantom.volume, phantom.affine, f"full/{seed}/{index}", "dicom")
        made.append(folder / f"full_{index}")
    return made


def make_cohort(dataset_dir: Path, settings: PhantomSettings, workers: int | None = None) -> None:
    """Write the cohort: `images/`, `masks/` (1 lung, 2 opacity, 3 nodule) and `dataset.json`.

    Args:
        dataset_dir: folder to fill; made when missing.
        settings: what to draw; the files are the same for any number of workers.
        workers: processes, default one per available core.
    """
    for name in ("images", "masks"):
        (dataset_dir / name).mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(dataset_dir, settings))
    entries: list[tuple[str, dict[str, Any]]] = []
    with tqdm(total=len(jobs), desc="phantoms", unit="case") as bar:
        for entry in in_parallel(_write_case, jobs, workers):
            entries.append(entry)
            bar.update()
    description = {
        "name": "chest CT phantoms",
        "description": f"{len(jobs)} synthetic chest CT volumes with known truth, seed {settings.seed}, "
        f"generator version {settings.version}; truth masks: 1 lung, 2 opacity, 3 nodule",
        "labels": LABELS,
    }
    sections = {name: [e for s, e in entries if s == name] for name in ("training", "validation", "test")}
    text = json.dumps(description | {name: cases for name, cases in sections.items() if cases}, indent=4)
    (dataset_dir / "dataset.json").write_text(text + "\n")


@dataclass(frozen=True)
class _Job:
    dataset_dir: Path
    settings: PhantomSettings
    section: str
    index: int
    label: int


def _jobs(dataset_dir: Path, settings: PhantomSettings) -> Iterator[_Job]:
    index = 0
    for section in ("training", "validation", "test"):
        for case in range(getattr(settings, section)):
            yield _Job(dataset_dir, settings, section, index, case % 2)
            index += 1


def _write_case(job: _Job) -> tuple[str, dict[str, Any]]:
    """Make and write one case; return its section and its entry of `dataset.json`."""
    seed = int(np.random.SeedSequence([job.settings.seed, job.index]).generate_state(1)[0])
    phantom = make_phantom(seed, job.label, job.settings)
    # Formats rotate by pairs of cases, so that every format holds both classes.
    kind = FORMATS[(job.index // 2) % len(FORMATS)]
    name = f"phantom_{job.index:03d}"
    target = job.dataset_dir / "images" / (name if kind == "dicom" else name + kind)
    written = write_image(target, phantom.volume, phantom.affine, f"{job.settings.seed}/{seed}", kind)
    mask = job.dataset_dir / "masks" / f"{name}.nii.gz"
    write_mask(mask, phantom.truth(), phantom.affine)
    paths = [path.relative_to(job.dataset_dir).as_posix() for path in written]
    entry = {"id": name, "image": paths if kind == "dicom" else paths[0], "label": job.label, "group": name}
    return job.section, entry | {"truth": mask.relative_to(job.dataset_dir).as_posix()}


def _field(case: Case, matrix: int) -> Grid:
    """Lay the field around the patient: the body fills the width, the height reaches from below to above the lungs."""
    scan = case.scan
    width = case.spacing_mm[0] * matrix * scan.fill / (REFERENCE_WIDTH_MM + 2 * case.traits.fat_mm)
    scale = tuple(width * part for part in scan.shape)
    low, high = (height * scale[2] for height in REFERENCE_RANGE_MM)
    slices = max(1, round((high - low) / case.spacing_mm[2]))
    shift = (*scan.off_centre_mm, -(low + high) / 2)
    return Grid((matrix, matrix, slices), case.spacing_mm, scale, scan.roll_deg, scan.lean, shift)  # type: ignore[arg-type]


def _scan(grid: Grid, hu: Volume, body_depth: Volume, scan: Scan, rng: np.random.Generator) -> NDArray[np.int16]:
    """Add the scanner's noise (correlated in plane, weaker outside the body), clip at -1024 HU and pad the corners."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    noise[1:] += noise[:-1]  # neighbours share half of their noise
    noise[:, 1:] += noise[:, :-1]
    noise *= np.where(body_depth > 0, np.float32(scan.noise_hu / 2), np.float32(scan.noise_hu / 4))
    hu = np.clip(hu + noise, -1024, 3071)
    if scan.circle:
        x, y = grid.axes[0][:, None], grid.axes[1][None, :]
        hu[x**2 + y**2 > (grid.shape[0] * grid.spacing_mm[0] / 2) ** 2] = PADDING_HU
    return np.rint(hu).astype(np.int16)


def _stored_affine(grid: Grid, table_mm: tuple[float, float, float], flipped: list[bool]) -> NDArray[np.float64]:
    """Affine (4, 4) of the stored array: RAS mm, axes reversed where `flipped`."""
    affine = np.eye(4)
    for axis, reverse in enumerate(flipped):
        step, count = grid.spacing_mm[axis], grid.shape[axis]
        first = round(table_mm[axis] - (count - 1) / 2 * step, 3)
        affine[axis, axis] = -step if reverse else step
        affine[axis, 3] = round(first + (count - 1) * step, 3) if reverse else first
    return affine
