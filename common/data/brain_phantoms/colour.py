"""Colour scales of a nuclear medicine console whose luminance is the value, so that colours lead back to it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

WEIGHTS = np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
_STOPS = {
    "PET": ((0, 0, 0), (0, 0, 123), (0, 31, 172), (0, 63, 222), (25, 97, 235), (105, 116, 176), (215, 110, 40))
    + ((250, 140, 8), (255, 178, 0), (255, 215, 0), (255, 247, 20), (255, 255, 255)),
    "SPECT": ((0, 0, 0), (16, 28, 29), (44, 12, 100), (84, 20, 135), (142, 50, 131), (190, 80, 100), (226, 98, 50))
    + ((255, 123, 23), (255, 158, 106), (255, 196, 195), (255, 255, 255)),
}


@cache
def colour_scale(modality: str) -> NDArray[np.uint8]:
    """Colours (256, 3) of a modality; entry i has the luminance i to rounding.

    Args:
        modality: PET (blue to yellow) or SPECT (violet to rose).

    Raises:
        ValueError: a modality without colours.
    """
    if modality not in _STOPS:
        raise ValueError(f"colour_scale: modality={modality!r} has no colours; take one of {list(_STOPS)}.")
    stops = np.array(_STOPS[modality], dtype=np.float64)
    light = stops @ WEIGHTS
    channels = [np.interp(np.arange(256), light, stops[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def colourise(values: NDArray[np.uint8], modality: str) -> NDArray[np.uint8]:
    """Colours (..., 3) of values (...) in 0..255."""
    return colour_scale(modality)[values]


def luminance(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Values (...) of colours (..., 3): the inverse of `colourise`, to within one level."""
    return np.rint(colours @ WEIGHTS).astype(np.uint8)
