"""Airways of a chest CT: the part of the air in the body that is trachea and bronchi, not lung. Arrays are (X, Y, Z), RAS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
IN_SLICE = np.zeros((3, 3, 3), dtype=bool)  # neighbours within an axial slice: labels of a volume are then 2-D regions
IN_SLICE[:, 1, 1] = IN_SLICE[1, :, 1] = True


def follow_airways(hu: NDArray[np.float32], air: Mask, spacing: NDArray[np.float64]) -> Mask:
    """Air-filled tubes outside the lungs (X, Y, Z): trachea, main bronchi, and gas in gullet or bowel.

    In an axial slice the trachea is a small, dark island of air. From such islands the dark air is followed
    downwards slice by slice, through the carina and along the bronchi, until it widens into a lung.
    """
    area = float(spacing[0] * spacing[1])
    lung_hu = float(np.median(hu[air])) if air.any() else -850.0
    dark = air & (hu < min(-900.0, (lung_hu - 1000) / 2))
    islands, tubes = regions_in_slices(air), regions_in_slices(dark)
    tube_area = np.bincount(tubes.ravel()) * area
    tube_area[0] = np.inf
    airway = np.isin(islands, _trachea_like(hu, islands, area)) & air
    above = np.zeros(air.shape[:2], dtype=bool)
    for k in range(air.shape[2] - 1, -1, -1):
        if above.any():
            met = np.unique(tubes[:, :, k][above])
            airway[:, :, k] |= np.isin(tubes[:, :, k], met[tube_area[met] <= 700.0])
        above = airway[:, :, k]
    width = max(1, round(2.5 / float(spacing[:2].mean())))  # the tube's rim, blurred by partial volume
    return ndimage.binary_dilation(airway, IN_SLICE, iterations=width) & air


def _trachea_like(hu: NDArray[np.float32], islands: NDArray[np.int32], area: float) -> NDArray[np.intp]:
    """Labels of in-slice islands of 0.4-7 cm2 whose middle is as dark as free air."""
    sizes = np.bincount(islands.ravel()) * area
    sizes[0] = 0
    small = np.flatnonzero((sizes >= 40.0) & (sizes <= 700.0))
    if small.size == 0:
        return small
    dark = np.bincount(islands[hu < -915.0], minlength=sizes.size) * area
    return small[dark[small] > 0.5 * sizes[small]]


def regions_in_slices(mask: Mask) -> NDArray[np.int32]:
    """Label 2-D regions of all axial slices at once."""
    return ndimage.label(mask, IN_SLICE)[0]
