"""Lung mask of a chest CT in HU, without any learned weights.

Air is found by a threshold; air around the body, airways and gas are taken out by where they lie and how dark they
are, not by the order of sizes, so that it makes no difference whether air is in view, whether a couch divides it, or
whether the trachea is open at the top. Arrays are (X, Y, Z) in RAS order, lengths mm.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import interpolate

from .airways import IN_SLICE, Mask, follow_airways, regions_in_slices


class LungMask(Transform):
    """Mask both lungs of a CT in HU, with vessels, nodules at the pleura and consolidations, without trachea and bronchi.

    The steps, on a grid of about `working_spacing_mm`: dark air that reaches the in-plane border is outside, slice by
    slice; what is below `threshold_hu` elsewhere is a candidate; airways are followed from the trachea downwards and
    taken out; regions that are pure gas or hug the outside air (couch, clothes) are dropped; the two largest regions
    of at least `min_volume_ml` remain (one, if both lungs touch), each closed by a ball and filled slice by slice.

    Args:
        threshold_hu: upper bound of air-filled lung.
        closing_mm: radius of the ball that closes dents at the pleura, 5-10 mm.
        costal_closing_mm: radius of a second, wider ball for consolidations at the chest wall, which must not act
            towards the mediastinum; 0 leaves it out. It needs two lungs in view, which tell where the middle is.
        min_volume_ml: smallest region that can be a lung.
        max_hole_cm2: largest hole per slice that is filled (vessels, consolidations, but not a heart between lungs).
        working_spacing_mm: axes with finer voxels are averaged to about this size, and the mask is brought back.
    """

    def __init__(
        self,
        threshold_hu: float = -320.0,
        closing_mm: float = 8.0,
        costal_closing_mm: float = 20.0,
        min_volume_ml: float = 50.0,
        max_hole_cm2: float = 40.0,
        working_spacing_mm: float = 2.0,
    ) -> None:
        self.threshold_hu = threshold_hu
        self.closing_mm = closing_mm
        self.costal_closing_mm = costal_closing_mm
        self.min_volume_ml = min_volume_ml
        self.max_hole_cm2 = max_hole_cm2
        self.working_spacing_mm = working_spacing_mm

    def __call__(self, img: torch.Tensor, spacing_mm: Sequence[float] | None = None) -> torch.Tensor:
        """Compute the mask.

        Args:
            img: CT in HU, (1, X, Y, Z), RAS.
            spacing_mm: voxel size; read from the affine of a MetaTensor when left out.

        Returns:
            uint8 mask (1, X, Y, Z), with the metadata of `img`; all ones, with a warning, when no lung is found.

        Raises:
            ValueError: if the shape is not (1, X, Y, Z), a value is not finite, the spacing is unknown or not
                positive, or the axes are not RAS.
        """
        if img.ndim != 4 or img.shape[0] != 1:
            raise ValueError(
                f"LungMask: img has shape {tuple(img.shape)}, but must be one channel-first CT (1, X, Y, Z); "
                "use EnsureChannelFirst and give one volume at a time."
            )
        plain = img.as_tensor() if isinstance(img, MetaTensor) else torch.as_tensor(img)
        plain = plain.detach().to("cpu", torch.float32)
        if not bool(torch.isfinite(plain).all()):
            raise ValueError(
                "LungMask: img holds NaN or infinite values, but must be finite HU; repair the volume first."
            )
        spacing = _spacing_of(img, spacing_mm)
        coarse, step = _coarsen(plain, spacing, self.working_spacing_mm)
        lungs = self.segment(coarse, step.tolist())
        if lungs.any():
            mask = _refine(lungs, plain.shape[1:])
        else:
            warnings.warn(
                f"LungMask: no region of at least {self.min_volume_ml} ml below {self.threshold_hu} HU looks like a "
                "lung; the full field is used instead of a mask.",
                stacklevel=2,
            )
            mask = torch.ones(plain.shape, dtype=torch.uint8)
        mask = mask.to(img.device)
        return MetaTensor(mask, meta=dict(img.meta)) if isinstance(img, MetaTensor) else mask

    def segment(self, hu: NDArray[np.float32], spacing_mm: Sequence[float]) -> Mask:
        """Mask (X, Y, Z) of the lungs on the working grid, all False when there is none."""
        spacing = np.asarray(spacing_mm, dtype=np.float64)
        air = hu < self.threshold_hu
        outside = _outside_air(hu, air)
        air &= ~outside
        airways = follow_airways(hu, air, spacing)
        voxel_ml = float(spacing.prod()) / 1000
        seeds = self._anatomic(hu, air & ~airways, outside, spacing, voxel_ml)
        if len(seeds) == 1:  # both lungs may touch at the anterior junction
            seeds = _split(seeds[0], spacing)
        lungs = np.zeros_like(air)
        max_voxels = self.max_hole_cm2 * 100 / float(spacing[0] * spacing[1])
        margin = np.ceil(max(self.closing_mm, self.costal_closing_mm) / spacing).astype(int) + 1
        middles = [float(np.flatnonzero(seed.any(axis=(1, 2))).mean()) for seed in seeds]
        for seed, middle in zip(seeds, middles, strict=True):
            # Each lung by itself, else both together would enclose heart and mediastinum.
            box = _box(seed, margin)
            lung = seed[box]
            away = ndimage.distance_transform_edt(~lung, sampling=spacing)
            closed = lung | _shrink(away <= self.closing_mm, self.closing_mm, spacing)
            if self.costal_closing_mm and len(seeds) == 2:
                wide = _shrink(away <= self.costal_closing_mm, self.costal_closing_mm, spacing)
                closed |= wide & _beside(lung, medial_last=middle == min(middles)) & (hu[box] < 150)
            lungs[box] |= _fill_slices(closed & ~(airways | outside)[box], max_voxels)
        return lungs

    def _anatomic(
        self, hu: NDArray[np.float32], air: Mask, outside: Mask, spacing: NDArray[np.float64], voxel_ml: float
    ) -> list[Mask]:
        """The one or two largest regions that can be lungs."""
        labels, count = ndimage.label(air)
        sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml
        sizes[0] = 0
        near = ndimage.binary_dilation(outside, iterations=max(1, round(10 / float(spacing[:2].mean()))))
        chosen: list[int] = []
        for label in np.argsort(sizes)[::-1]:
            floor = max(self.min_volume_ml, 0.05 * sizes[chosen[0]] if chosen else 0.0)
            if len(chosen) == 2 or sizes[label] < floor:
                break
            region = labels == label
            gas = np.median(hu[region]) < -960  # stomach, bowel, pockets of air under clothes
            if not gas and near[region].mean() < 0.2:  # a couch or a blanket lies along the outside air
                chosen.append(int(label))
        return [labels == label for label in chosen]


class LungMaskd(MapTransform):
    """Add the lung mask of a CT to the item.

    Args:
        keys: key of the CT in HU, (1, X, Y, Z); one key.
        mask_key: where the mask is put.
        allow_missing_keys: leave items without the key alone.
        kwargs: settings of `LungMask`.

    Raises:
        ValueError: if more than one key is given (they would share one `mask_key`).
    """

    def __init__(
        self, keys: KeysCollection, mask_key: str = "lung", allow_missing_keys: bool = False, **kwargs: float
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"LungMaskd: keys={self.keys} would all write {mask_key!r}; give one key per LungMaskd.")
        self.mask_key = mask_key
        self.lung_mask = LungMask(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the item with `mask_key`, uint8 (1, X, Y, Z)."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[self.mask_key] = self.lung_mask(item[key])
        return item


def _outside_air(hu: NDArray[np.float32], air: Mask) -> Mask:
    """Air around the body: dark regions that touch the in-plane border of their slice, with their blurred rim.

    Lungs that the field cuts touch the border too, but are not as dark as free air.
    """
    labels = regions_in_slices(air & (hu < -940))
    border = np.concatenate([labels[0].ravel(), labels[-1].ravel(), labels[:, 0].ravel(), labels[:, -1].ravel()])
    touching = np.zeros(int(labels.max()) + 1, dtype=bool)
    touching[border] = True
    touching[0] = False
    free = touching[labels]
    return ndimage.binary_dilation(free, IN_SLICE, iterations=2) & air if free.any() else free


def _box(region: Mask, margin: NDArray[np.integer]) -> tuple[slice, slice, slice]:
    """Slices of the region's bounding box with a margin in voxels."""
    x, y, z = (
        slice(max(0, part.start - int(pad)), part.stop + int(pad))
        for part, pad in zip(ndimage.find_objects(region.view(np.uint8))[0], margin, strict=True)
    )
    return x, y, z


def _split(region: Mask, spacing: NDArray[np.float64]) -> list[Mask]:
    """Cut a region into two lungs where a thin bridge joins them; one region if there is no such bridge."""
    core = region
    for _ in range(max(1, round(8 / float(spacing.mean())))):
        core = ndimage.binary_erosion(core, border_value=1)
        labels, count = ndimage.label(core)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        first, second = np.argsort(sizes)[::-1][:2] if count > 1 else (0, 0)
        if sizes[second] > 0.15 * region.sum():
            sparse = labels[::2, ::2, ::2]
            marked = (sparse == first) | (sparse == second)
            near = ndimage.distance_transform_edt(
                ~marked, sampling=spacing, return_distances=False, return_indices=True
            )
            owner = sparse[tuple(near)] == first
            for axis in range(3):
                owner = owner.repeat(2, axis=axis)
            owner = owner[tuple(slice(n) for n in region.shape)]
            return [region & owner, region & ~owner]
    return [region]


def _shrink(grown: Mask, radius_mm: float, spacing: NDArray[np.float64]) -> Mask:
    """Erode by a ball, but not from the end of the array: what lies behind it is not known to be outside."""
    return grown if grown.all() else ndimage.distance_transform_edt(grown, sampling=spacing) > radius_mm


def _beside(lung: Mask, medial_last: bool) -> Mask:
    """Voxels (X, Y, Z) that lie, in their row along x, not further to the middle than the lung does."""
    order = slice(None, None, -1) if medial_last else slice(None)
    return np.logical_or.accumulate(lung[order], axis=0)[order]


def _fill_slices(mask: Mask, max_voxels: float) -> Mask:
    """Fill holes of every axial slice up to a size."""
    labels = regions_in_slices(~mask)
    sizes = np.bincount(labels.ravel())
    border = np.concatenate([labels[0].ravel(), labels[-1].ravel(), labels[:, 0].ravel(), labels[:, -1].ravel()])
    hole = sizes <= max_voxels
    hole[border] = False
    hole[0] = False
    return mask | hole[labels]


def _spacing_of(img: torch.Tensor, spacing_mm: Sequence[float] | None) -> NDArray[np.float64]:
    if spacing_mm is None and not isinstance(img, MetaTensor):
        raise ValueError("LungMask: img is a plain tensor without an affine; give spacing_mm=(x, y, z).")
    if isinstance(img, MetaTensor):
        affine = np.asarray(img.affine, dtype=np.float64)[:3, :3]
        if np.any(np.diag(affine) <= np.abs(affine - np.diag(np.diag(affine))).max(axis=0)):
            raise ValueError(
                f"LungMask: the affine {affine.tolist()} of img does not run right, anterior, superior; "
                "put Orientationd(axcodes='RAS') in front."
            )
        spacing = np.linalg.norm(affine, axis=0)
    if spacing_mm is not None:
        spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (3,) or not np.all(spacing > 0):
        raise ValueError(f"LungMask: spacing_mm={spacing_mm} must be three positive lengths in mm.")
    return spacing


def _coarsen(
    img: torch.Tensor, spacing: NDArray[np.float64], working_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average (1, X, Y, Z) to about the working spacing; padding below -1024 HU counts as air."""
    shape = np.asarray(img.shape[1:])
    coarse = np.where(spacing < 0.8 * working_mm, np.maximum(1, np.rint(shape * spacing / working_mm)), shape).astype(
        int
    )
    img = img.clamp(-1024, 1000)
    if not np.array_equal(coarse, shape):
        img = interpolate(img[None], size=tuple(coarse.tolist()), mode="area")[0]
    return img[0].numpy(), spacing * shape / coarse


def _refine(mask: Mask, shape: torch.Size) -> torch.Tensor:
    """Bring a mask back to the full grid, (1, X, Y, Z) uint8, with a smooth edge."""
    if mask.shape == tuple(shape):
        return torch.from_numpy(mask.astype(np.uint8))[None]
    soft = torch.from_numpy(mask.astype(np.float32))[None, None]
    return (interpolate(soft, size=tuple(shape), mode="trilinear") >= 0.5)[0].to(torch.uint8)
