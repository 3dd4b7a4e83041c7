"""Four-sequence MRI of a phantom patient in the layout of BraTS: FLAIR, T1, T1 with contrast, T2, without the skull."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .anatomy import Texture, Tissue, draw_head
from .canvas import Canvas, Plane, shrink
from .scanners import scan_mri, tumour_masks
from .traits import HIGHEST_MM, LOWEST_MM, SEQUENCES, PhantomSettings, Traits, draw_traits

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4  # labels of BraTS
FIELD_MM = (160.0, 196.0)  # width and length of the volume
# Gray of necrosis, rim, oedema; None: as the tissue below. The rim takes up contrast, else it looks like oedema.
TUMOUR = {"flair": (190, 212, 212), "t1": (66, None, None), "t1ce": (60, 250, None), "t2": (244, 205, 205)}


@dataclass(frozen=True)
class SequencesPhantom:
    """Volumes int16 (4, X, Y, Z) in the order flair, t1, t1ce, t2; truth uint8 (X, Y, Z): 1, 2, 4 as in BraTS."""

    volumes: NDArray[np.int16]
    truth: NDArray[np.uint8]
    affine: NDArray[np.float64]
    meta: dict[str, Any]


def make_sequences_phantom(seed: int, settings: PhantomSettings | None = None) -> SequencesPhantom:
    """Make four volumes of one patient whose tumour has a rim that only t1ce shows and oedema that flair and t2 show.

    Args:
        seed: everything follows from it.
        settings: `volume_shape` and `version`; defaults of `PhantomSettings` when left out.
    """
    settings = settings or PhantomSettings()
    chance = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, settings.version, 4]).spawn(3)]
    traits = draw_traits(chance[0], "BraTS", settings.slices)
    texture = Texture(chance[1])
    width, length, height = settings.volume_shape
    step = (FIELD_MM[0] / width, FIELD_MM[1] / length, (HIGHEST_MM - LOWEST_MM) / height)
    canvas = Canvas((length, width), (step[1], step[0]), traits.scale, traits.roll_deg, traits.shift_mm)
    scale = chance[2].uniform(600, 3000, len(SEQUENCES))
    with threadpool_limits(limits=1):  # many small products: threads only wait for each other
        planes = [_plane(canvas, traits, texture, LOWEST_MM + k * step[2], chance[2]) for k in range(height)]
    images = np.stack([images for images, _ in planes], axis=-1)  # (4, rows, columns, Z)
    truth = np.stack([truth for _, truth in planes], axis=-1)
    volumes = np.rint(images * scale[:, None, None, None]).astype(np.int16)
    # Rows run to the back, columns to the patient's left: with x and y first this is LPS, the storage of BraTS.
    affine = np.diag([-step[0], -step[1], step[2], 1.0])
    affine[:3, 3] = [step[0] * (width - 1) / 2, step[1] * (length - 1) / 2, LOWEST_MM]
    meta = {"seed": seed, "scale": [round(float(s), 1) for s in scale], "tumour": traits.tumour}
    return SequencesPhantom(volumes.transpose(0, 2, 1, 3), truth.transpose(1, 0, 2), affine, meta)


def write_sequences(dataset_dir: Path, name: str, phantom: SequencesPhantom) -> dict[str, Any]:
    """Write `images/<name>/<name>_flair.nii.gz` and so on with `_seg.nii.gz`; return the entry of `dataset.json`."""
    folder = dataset_dir / "images" / name
    folder.mkdir(parents=True, exist_ok=True)
    paths = {key: folder / f"{name}_{key}.nii.gz" for key in (*SEQUENCES, "seg")}
    for path, volume in zip(paths.values(), (*phantom.volumes, phantom.truth), strict=True):
        nib.save(nib.Nifti1Image(np.ascontiguousarray(volume), phantom.affine), path)
    relative = {key: path.relative_to(dataset_dir).as_posix() for key, path in paths.items()}
    image = [relative[key] for key in SEQUENCES]
    return {"id": name, "group": name, "label": -1, "image": image, "truth": relative["seg"], "modality": "BraTS"}


def _plane(
    canvas: Canvas, traits: Traits, texture: Texture, z: float, rng: np.random.Generator
) -> tuple[Plane, NDArray[np.uint8]]:
    """Images (4, H, W) in 0..1 and truth (H, W) of one level."""
    head = draw_head(canvas, traits, texture, z)
    masks = tumour_masks(canvas, head, texture, traits.tumour, z)
    brain = shrink((head.tissue >= Tissue.CSF) & (head.depth > -1)) > 0.5
    images = []
    for sequence in SEQUENCES:
        tumour = list(zip(masks, TUMOUR[sequence], strict=True))
        noise = rng.standard_normal((2, *canvas.shape), dtype=np.float32)
        images.append(scan_mri(canvas, head, replace(traits, sequence=sequence), texture, z, tumour, noise) * brain)
    truth = np.zeros(canvas.shape, dtype=np.uint8)
    for mask, label in zip(masks, (NECROSIS, ENHANCING, OEDEMA), strict=True):
        truth[(shrink(mask) > 0.5) & brain] = label
    return np.stack(images), truth
