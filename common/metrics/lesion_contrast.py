"""How well a lesion stands out from the tissue around it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor

__all__ = [
    "BRATS_LESIONS",
    "PAIR_LESIONS",
    "RING_MM",
    "ContrastToNoise",
    "LesionRegion",
    "lesion_contrast",
    "lesion_regions",
    "region_contrast",
]

# BraTS: 1 necrosis, 2 oedema, 4 enhancing (3 since 2023); pairs: labels of the phantoms.
BRATS_LESIONS = {"whole_tumour": (1, 2, 3, 4), "enhancing": (3, 4), "necrosis": (1,)}
PAIR_LESIONS = {"mri_lesion": (3,), "finding": (4,)}
RING_MM = (1.0, 6.0)


class LesionRegion(NamedTuple):
    """Masks of a lesion and of the normal tissue around it, bool (H, W[, D])."""

    lesion: Tensor
    ring: Tensor


class ContrastToNoise(NamedTuple):
    """Contrast `mean(lesion) - mean(ring)`, in gray levels of the image, and contrast-to-noise, both with a sign."""

    contrast: float
    signed_cnr: float

    @property
    def cnr(self) -> float:
        """Contrast-to-noise ratio without the sign, 0 or more."""
        return abs(self.signed_cnr)


def lesion_contrast(
    image: Tensor,
    truth: Tensor,
    lesions: Mapping[str, Sequence[int]] = BRATS_LESIONS,
    normal: Sequence[int] = (0,),
    foreground: Tensor | None = None,
    spacing_mm: Sequence[float] | None = None,
    ring_mm: tuple[float, float] = RING_MM,
) -> dict[str, ContrastToNoise]:
    r"""Measure how far each lesion stands out from normal tissue around it.

    .. math:: CNR = |\mu_{lesion} - \mu_{ring}| / \sigma_{ring}

    It does not change when gray levels are shifted or stretched. Noise and the structure of normal tissue both count
    as noise, because both hide a lesion.

    Args:
        image: (H, W) or (H, W, D), or with one channel in front.
        truth: label map of the same size.
        lesions: name of each lesion, and its labels.
        normal: labels of normal tissue.
        foreground: mask of the head or brain, same size; None is where `image` is not 0.
        spacing_mm: size of a voxel along each axis; None is 1, so that `ring_mm` is in pixels.
        ring_mm: nearest and farthest distance of the ring from the tumour; nearer pixels are part lesion, part tissue.

    Returns:
        Figures of each lesion; NaN without a pixel of the lesion, without two of the ring, or if the ring has one value.

    Raises:
        ValueError: as in :func:`lesion_regions`, or when `image` and `truth` differ in size.

    Reference:
        Welvaert and Rosseel, PLoS ONE 8(11):e77089 (2013), doi 10.1371/journal.pone.0077089: a difference of signals
        by the standard deviation of noise; here differences are between places, not moments, and noise is that of the
        ring.
    """
    pixels = _plain(image)
    shown = (pixels != 0) if foreground is None else foreground
    regions = lesion_regions(truth, shown, lesions, normal, spacing_mm, ring_mm)
    return {name: region_contrast(pixels, region) for name, region in regions.items()}


def lesion_regions(
    truth: Tensor,
    foreground: Tensor,
    lesions: Mapping[str, Sequence[int]] = BRATS_LESIONS,
    normal: Sequence[int] = (0,),
    spacing_mm: Sequence[float] | None = None,
    ring_mm: tuple[float, float] = RING_MM,
) -> dict[str, LesionRegion]:
    """Find the pixels of each lesion and of the normal tissue around it.

    The ring surrounds the whole tumour that holds the lesion (connected pixels of any of `lesions`), so that parts of
    a tumour are compared with the same normal tissue, not with one another.

    Args:
        truth: label map (H, W) or (H, W, D), or with one channel in front.
        foreground: mask of the same size outside of which there is no tissue.
        lesions: as in :func:`lesion_contrast`.
        normal: as in :func:`lesion_contrast`.
        spacing_mm: as in :func:`lesion_contrast`.
        ring_mm: as in :func:`lesion_contrast`.

    Returns:
        Region of each lesion.

    Raises:
        ValueError: sizes differ; a label is normal tissue and lesion; `ring_mm` does not grow; or `spacing_mm` has
            another number of axes or a value that is not positive.
    """
    labels, inside = np.asarray(_plain(truth)), np.asarray(_plain(foreground)) != 0
    spacing = tuple(float(size) for size in ((1.0,) * labels.ndim if spacing_mm is None else spacing_mm))
    _check(labels, inside, lesions, normal, spacing, ring_mm)
    tumours, _ = label(np.isin(labels, [k for part in lesions.values() for k in part]), np.ones((3,) * labels.ndim))
    tissue = np.isin(labels, list(normal)) & inside
    regions, rings = {}, dict[bytes, np.ndarray]()
    for name, part in lesions.items():
        lesion = np.isin(labels, list(part))
        whole = np.isin(tumours, np.unique(tumours[lesion]))
        key = np.packbits(whole).tobytes()
        if key not in rings:
            rings[key] = _ring(whole, tissue, spacing, ring_mm)
        regions[name] = LesionRegion(torch.from_numpy(lesion), torch.from_numpy(rings[key]))
    return regions


def region_contrast(image: Tensor, region: LesionRegion) -> ContrastToNoise:
    """Figures of one lesion in one image of the size of its masks, see :func:`lesion_contrast`.

    Raises:
        ValueError: sizes differ.
    """
    pixels = _plain(image)
    if pixels.shape != region.lesion.shape:
        raise ValueError(
            f"lesion_contrast: image has size {tuple(pixels.shape)} and truth {tuple(region.lesion.shape)}; they must be "
            "equal, on one grid."
        )
    lesion, ring = pixels[region.lesion].double(), pixels[region.ring].double()
    if not len(lesion) or len(ring) < 2:
        return ContrastToNoise(float("nan"), float("nan"))
    contrast, noise = float(lesion.mean() - ring.mean()), float(ring.std())
    return ContrastToNoise(contrast, contrast / noise if noise > 0 else float("nan"))


def _ring(whole: np.ndarray, tissue: np.ndarray, spacing: Sequence[float], ring_mm: tuple[float, float]) -> np.ndarray:
    """Normal tissue in a range of distances, computed in the box around the tumour only."""
    ring = np.zeros_like(whole)
    if whole.any():
        margin = [int(ring_mm[1] / size) + 1 for size in spacing]
        places = [np.flatnonzero(whole.any(axis=tuple(set(range(whole.ndim)) - {k}))) for k in range(whole.ndim)]
        box = tuple(slice(max(p[0] - m, 0), p[-1] + m + 1) for p, m in zip(places, margin, strict=True))
        distance = distance_transform_edt(~whole[box], sampling=spacing)
        ring[box] = tissue[box] & (distance > ring_mm[0]) & (distance <= ring_mm[1])
    return ring


def _plain(image: Tensor) -> Tensor:
    """Without metadata and the one channel in front: (H, W) or (H, W, D)."""
    plain = torch.as_tensor(image).as_subclass(Tensor).detach().cpu()
    return plain[0] if plain.ndim >= 3 and plain.shape[0] == 1 else plain


def _check(
    labels: np.ndarray,
    inside: np.ndarray,
    lesions: Mapping[str, Sequence[int]],
    normal: Sequence[int],
    spacing: Sequence[float],
    ring_mm: tuple[float, float],
) -> None:
    if labels.shape != inside.shape:
        raise ValueError(
            f"lesion_contrast: truth has size {labels.shape} and foreground or image {inside.shape}; they must be equal, "
            "on one grid."
        )
    if both := sorted({k for part in lesions.values() for k in part} & set(normal)):
        raise ValueError(f"lesion_contrast: label {both[0]} is in lesions and in normal; a label is one of them.")
    if len(ring_mm) != 2 or not 0 <= ring_mm[0] < ring_mm[1]:
        raise ValueError(f"lesion_contrast: ring_mm is {ring_mm}; it must be (nearest, farthest), 0 or more, growing.")
    if len(spacing) != labels.ndim or min(spacing) <= 0:
        raise ValueError(
            f"lesion_contrast: spacing_mm is {tuple(spacing)}; it must have {labels.ndim} positive values, one an axis."
        )
