"""Phantom cohort of knee MR: exams of three planes drawn from a seed, with the place of every planted finding.

`make_phantom` makes one exam with its truth, `make_cohort` a folder with `planes/`, `truth/` and `dataset.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from .common.data import in_parallel
from .names import PLANES
from .phantom_anatomy import draw_background, draw_bones, draw_posterior_cruciate, draw_soft_joint
from .phantom_findings import draw_acl, draw_fluid, draw_menisci
from .phantom_sequences import Stack, make_stacks, scan
from .phantom_traits import (
    Findings,
    PhantomSettings,
    Traits,
    check_labels,
    draw_findings,
    draw_labels,
    draw_pose,
    draw_traits,
)

LABELS = {"0": "normal", "1": "abnormal"}
SECTIONS = ("training", "validation", "test")


@dataclass(frozen=True)
class Phantom:
    """One exam. Arrays are (S, H, W) by plane, laid out as MRNet shows them.

    Args:
        planes: uint8 images.
        masks: uint8 truth: 0 nothing, 1 ACL tear, 2 meniscal tear, 3 effusion.
        meta: seed, labels, `affines` ((slice, row, column) to RAS mm, 4 x 4 by plane), and all that was drawn: `pose`,
            `traits`, `findings`.
    """

    planes: dict[str, NDArray[np.uint8]]
    masks: dict[str, NDArray[np.uint8]]
    meta: dict[str, Any]


def make_phantom(seed: int, labels: Mapping[str, int], settings: PhantomSettings | None = None) -> Phantom:
    """Make one exam. One seed gives the same knee for all labels, without and with the findings.

    Args:
        seed: everything follows from it.
        labels: 0 or 1 for abnormal, acl and meniscus; abnormal without a tear is an effusion.
        settings: slices and matrix; defaults of `PhantomSettings` when left out.

    Returns:
        The exam with its truth.

    Raises:
        ValueError: if a label is missing, unknown, neither 0 nor 1, or if a tear is called normal.
    """
    labels = check_labels(labels)
    settings = settings or PhantomSettings()
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence([seed, settings.version]).spawn(5)]
    pose, traits = draw_pose(streams[0]), draw_traits(streams[1])
    findings = draw_findings(streams[2], labels)
    planes, masks, affines = {}, {}, {}
    with threadpool_limits(limits=1):  # many small products: threads only wait for each other
        for plane, stack in make_stacks(settings, pose, streams[3]).items():
            _draw(stack, traits, findings)
            planes[plane], masks[plane] = scan(stack, streams[4]), stack.mask()
            affines[plane] = stack.affine().tolist()
    parts = {"pose": asdict(pose), "traits": asdict(traits), "findings": asdict(findings)}
    return Phantom(planes, masks, {"seed": seed, "labels": labels, "affines": affines} | parts)


def make_cohort(dataset_dir: Path, settings: PhantomSettings, workers: int | None = None) -> None:
    """Write the cohort: `planes/`, `truth/` (1 ACL tear, 2 meniscal tear, 3 effusion) and `dataset.json`.

    Args:
        dataset_dir: folder to fill; made when missing.
        settings: what to draw; the files are the same for any number of workers.
        workers: processes, default one per available core.
    """
    for kind in ("planes", "truth"):
        for plane in PLANES:
            (dataset_dir / kind / plane).mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(dataset_dir, settings))
    cases: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    with tqdm(total=len(jobs), desc="phantoms", unit="exam") as bar:
        for job, entry in zip(jobs, in_parallel(_write_exam, jobs, workers), strict=True):
            cases[job.section].append(entry)
            bar.update()
    content = {
        "name": "knee MR phantoms",
        "description": f"{len(jobs)} synthetic knee MR exams of three planes with known findings, seed {settings.seed}, "
        f"generator version {settings.version}; truth masks: 1 ACL tear, 2 meniscal tear, 3 effusion",
        "labels": LABELS,
        **{section: entries for section, entries in cases.items() if entries},
    }
    (dataset_dir / "dataset.json").write_text(json.dumps(content, indent=4) + "\n")


@dataclass(frozen=True)
class _Job:
    dataset_dir: Path
    settings: PhantomSettings
    section: str
    index: int
    labels: dict[str, int]


def _jobs(dataset_dir: Path, settings: PhantomSettings) -> Iterator[_Job]:
    index = 0
    for number, section in enumerate(SECTIONS):
        rng = np.random.default_rng(np.random.SeedSequence([settings.seed, settings.version, number]))
        for labels in draw_labels(getattr(settings, section), rng):
            yield _Job(dataset_dir, settings, section, index, labels)
            index += 1


def _write_exam(job: _Job) -> dict[str, Any]:
    """Make and write one exam; return its entry of `dataset.json`."""
    seed = int(np.random.SeedSequence([job.settings.seed, job.index]).generate_state(1)[0])
    phantom = make_phantom(seed, job.labels, job.settings)
    name = f"{job.index:04d}"
    entry: dict[str, Any] = {"id": name, "group": name}
    truth = {}
    for plane in PLANES:
        entry[plane], truth[plane] = f"planes/{plane}/{name}.npy", f"truth/{plane}/{name}.npz"
        np.save(job.dataset_dir / entry[plane], phantom.planes[plane])
        np.savez_compressed(job.dataset_dir / truth[plane], mask=phantom.masks[plane])
    return entry | job.labels | {"label": job.labels["abnormal"], "truth": truth}


def _draw(stack: Stack, traits: Traits, findings: Findings) -> None:
    """Paint the knee from the outside to the bones."""
    skin = draw_background(stack, traits)
    draw_soft_joint(stack, traits)
    draw_fluid(stack, traits, findings)
    draw_acl(stack, traits, findings)
    draw_posterior_cruciate(stack, traits)
    draw_menisci(stack, traits, findings)
    draw_bones(stack, traits)
    stack.cover_outside(skin)
