"""Phantom cohort of paired brain images: CT, PET or SPECT with MRI, each with a finding that the other cannot show.

`make_phantom` makes the slices of one patient with their truth, `make_cohort` a folder with `images/`, `truth/` and
`dataset.json`. Truth: 0 background, 1 brain, 2 skull, 3 lesion seen in MRI only, 4 finding seen in CT (or PET, SPECT)
only, 5 scalp.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from ..datalist import SECTIONS, write_datalist
from ..in_parallel import in_parallel
from .anatomy import Head, Texture, Tissue, draw_head
from .canvas import Canvas, shrink
from .colour import colourise
from .scanners import (
    SUV_OF_GRAY,
    TUMOUR,
    Mask,
    finding_mask,
    head_mask,
    scan_ct,
    scan_mri,
    scan_uptake,
    tumour_masks,
)
from .sequences import make_sequences_phantom, write_sequences
from .traits import MODALITIES, PhantomSettings, draw_traits

__all__ = ["Phantom", "make_cohort", "make_phantom", "make_sequences_cohort"]

BRAIN, SKULL, MRI_LESION, FINDING, SCALP = 1, 2, 3, 4, 5
FIELD_MM = 230.0
GRAY_LEVEL = 0.7  # of gray matter in PET


@dataclass(frozen=True)
class Phantom:
    """Slices of one patient, from below upwards.

    Args:
        image: CT uint8 (S, H, W), or PET, SPECT uint8 RGB (S, H, W, 3), or PET uint16 1000 x SUV (S, H, W).
        mri: uint8 (S, H, W).
        truth: uint8 (S, H, W), labels as in the module's docstring.
        meta: seed, modality and every drawn trait.
    """

    image: NDArray[Any]
    mri: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    meta: dict[str, Any]


def make_phantom(
    seed: int, modality: str, settings: PhantomSettings | None = None, tumour: bool = True, finding: bool = True
) -> Phantom:
    """Make one patient. The same seed without tumour or finding gives the same patient and noise without it.

    Args:
        seed: everything follows from it.
        modality: CT, PET or SPECT.
        settings: size, slices and bits; defaults of `PhantomSettings` when left out.
        tumour: whether the MRI shows a tumour.
        finding: whether CT shows bleeding or chalk, PET and SPECT a hot spot or a cold area.

    Raises:
        ValueError: an unknown modality.
    """
    if modality not in MODALITIES:
        raise ValueError(f"make_phantom: modality={modality!r} has no scanner; take one of {MODALITIES}.")
    settings = settings or PhantomSettings()
    chance = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, settings.version]).spawn(3)]
    traits = draw_traits(chance[0], modality, settings.slices)
    texture = Texture(chance[1])
    pixel = FIELD_MM / settings.size
    canvas = Canvas((settings.size,) * 2, (pixel, pixel), traits.scale, traits.roll_deg, traits.shift_mm)
    scan = scan_ct if modality == "CT" else scan_uptake
    slices = []
    with threadpool_limits(limits=1):
        for z in traits.levels:
            head = draw_head(canvas, traits, texture, z)
            nothing = np.zeros(head.tissue.shape, dtype=bool)
            parts = tumour_masks(canvas, head, texture, traits.tumour, z) if tumour else (nothing,) * 3
            lesion = list(zip(parts, TUMOUR[traits.sequence], strict=True))
            found = finding_mask(canvas, head, texture, traits.finding, z) if finding else nothing
            noise = chance[2].standard_normal((4, *canvas.shape), dtype=np.float32)
            image = _stored(scan(canvas, head, traits, texture, z, found, noise[:1]), modality, settings.bits)
            mri = scan_mri(canvas, head, traits, texture, z, lesion, noise[2:])
            slices.append((image, _stored(mri, "MRI", 8), _truth(head, np.logical_or.reduce(parts), found)))
    image, mri, truth = zip(*slices, strict=True)
    return Phantom(np.stack(image), np.stack(mri), np.stack(truth), {"seed": seed, **asdict(traits)})


def make_cohort(dataset_dir: Path, settings: PhantomSettings, workers: int | None = None) -> None:
    """Write the cohort: `images/`, `truth/` and `dataset.json`; for BraTS see `make_sequences_cohort`.

    Args:
        dataset_dir: folder to fill; made when missing.
        settings: what to draw; the files are the same for any number of workers.
        workers: processes, default one per core.
    """
    if tuple(settings.modalities) == ("BraTS",):
        make_sequences_cohort(dataset_dir, settings, workers)
        return
    for name in ("images", "truth"):
        (dataset_dir / name).mkdir(parents=True, exist_ok=True)
    text = "pairs of synthetic brain slices; truth: 1 brain, 2 skull, 3 MRI-only lesion, 4 CT/PET/SPECT-only, 5 scalp"
    _write(dataset_dir, settings, workers, _write_patient, "brain fusion phantoms", text)


def make_sequences_cohort(dataset_dir: Path, settings: PhantomSettings, workers: int | None = None) -> None:
    """Write volumes of four MRI sequences in the layout of BraTS with `dataset.json`; `image` is a list of 4 paths.

    Args:
        dataset_dir: folder to fill; made when missing.
        settings: what to draw.
        workers: processes, default one per core.
    """
    text = "synthetic brain volumes of flair, t1, t1ce, t2; truth: 1 necrosis, 2 oedema, 4 enhancing rim"
    _write(dataset_dir, settings, workers, _write_subject, "four-sequence phantoms", text)


def _write(dataset_dir: Path, settings: PhantomSettings, workers: int | None, write: Any, name: str, text: str) -> None:
    """Write all patients with a progress bar, then the datalist."""
    sections = [section for section in SECTIONS for _ in range(getattr(settings, section))]
    cases: dict[str, list[dict[str, Any]]] = {section: [] for section in dict.fromkeys(sections)}
    job = partial(write, dataset_dir, settings)
    with tqdm(total=len(sections), desc="phantoms", unit="patient") as bar:
        for section, entries in zip(sections, in_parallel(job, range(len(sections)), workers), strict=True):
            cases[section] += entries
            bar.update()
    text = f"{text}; {len(sections)} phantoms (not patients), seed {settings.seed}, version {settings.version}"
    write_datalist(dataset_dir, name, text, {}, cases)


def _write_patient(dataset_dir: Path, settings: PhantomSettings, index: int) -> list[dict[str, Any]]:
    """Make and write patient number `index`; return one entry for each slice."""
    modality = settings.modalities[index % len(settings.modalities)]
    phantom = make_phantom(_seed(settings, index), modality, settings)
    patient = f"phantom_{index:04d}"
    entries = []
    for level in range(settings.slices):
        name = f"{patient}_{level:02d}"
        paths = {
            "image": f"images/{name}_{modality.lower()}.png",
            "mri": f"images/{name}_mri.png",
            "truth": f"truth/{name}.png",
        }
        for part, path in paths.items():
            Image.fromarray(getattr(phantom, part)[level]).save(dataset_dir / path)
        covariates = {"modality": modality, "sequence": phantom.meta["sequence"]}
        entries.append({"id": name, "group": patient, "label": -1, **paths, **covariates})
    return entries


def _write_subject(dataset_dir: Path, settings: PhantomSettings, index: int) -> list[dict[str, Any]]:
    phantom = make_sequences_phantom(_seed(settings, index), settings)
    return [write_sequences(dataset_dir, f"phantom_{index:04d}", phantom)]


def _seed(settings: PhantomSettings, index: int) -> int:
    return int(np.random.SeedSequence([settings.seed, index]).generate_state(1)[0])


def _stored(values: NDArray[np.float32], modality: str, bits: int) -> NDArray[Any]:
    """What the file of a modality holds, from values in 0..1."""
    if modality == "PET" and bits == 16:
        return np.rint(values * (1000 * SUV_OF_GRAY / GRAY_LEVEL)).astype(np.uint16)
    gray = np.rint(values * 255).astype(np.uint8)
    return gray if modality in ("CT", "MRI") else colourise(gray, modality)


def _truth(head: Head, lesion: Mask, found: Mask) -> NDArray[np.uint8]:
    """Label map (H, W): what fills most of each pixel of the head, lesions from one half on."""
    bone = (head.tissue == Tissue.BONE) | (head.tissue == Tissue.MARROW)
    brain = head.tissue >= Tissue.CSF
    shares = [shrink(mask) for mask in (brain, bone, (head.tissue > 0) & ~bone & ~brain)]
    truth = np.array([BRAIN, SKULL, SCALP], dtype=np.uint8)[np.argmax(shares, axis=0)]
    truth[~head_mask(head)] = 0
    for mask, label in ((lesion, MRI_LESION), (found, FINDING)):
        truth[shrink(mask) >= 0.5] = label
    return truth
