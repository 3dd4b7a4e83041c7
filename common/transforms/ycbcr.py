"""Colour for fusion: the luma takes part, the colour is kept and put back."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import get_track_meta
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

__all__ = ["RGBToYCbCrd", "YCbCrToRGBd", "rgb_to_ycbcr", "ycbcr_to_rgb"]

# Luma weights of ITU-R BT.601, section 2.5.1; the usual .1687, .3313, .4187, .0813 are ratios of these, rounded.
_R, _G, _B = 0.299, 0.587, 0.114


def rgb_to_ycbcr(rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split RGB into luma and chroma, full range.

    ``Y = .299 R + .587 G + .114 B``, ``Cb = (B - Y) / 1.772 + .5``, ``Cr = (R - Y) / 1.402 + .5``. Unlike the published
    tables of rounded coefficients, :func:`ycbcr_to_rgb` undoes this exactly, and gray has Cb = Cr = .5.

    Args:
        rgb: (3, H, W[, D]) in [0, 1].

    Returns:
        Y (1, H, W[, D]) and Cb, Cr (2, H, W[, D]) in [0, 1].

    Raises:
        ValueError: not three channels.

    Reference:
        ITU-R BT.601-7 (2011), section 2.5; ITU-T T.871 (JFIF, 2011), section 7 for the full range.
    """
    if rgb.ndim < 3 or rgb.shape[0] != 3:
        raise ValueError(f"rgb_to_ycbcr: rgb has shape {tuple(rgb.shape)}; it must be (3, H, W) or (3, H, W, D).")
    red, green, blue = rgb[0:1], rgb[1:2], rgb[2:3]
    luma = _R * red + _G * green + _B * blue
    chroma = torch.cat([(blue - luma) / (2 * (1 - _B)), (red - luma) / (2 * (1 - _R))]) + 0.5
    return luma.clamp(0, 1), chroma.clamp(0, 1)  # rounding may leave [0, 1] by 1e-7


def ycbcr_to_rgb(luma: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    """Join luma and chroma to RGB: the inverse of :func:`rgb_to_ycbcr`.

    A new luma may ask for a colour that does not exist; such values are cut to [0, 1].

    Args:
        luma: (1, H, W[, D]) in [0, 1].
        chroma: Cb and Cr (2, H, W[, D]) in [0, 1].

    Returns:
        RGB (3, H, W[, D]) in [0, 1].

    Raises:
        ValueError: other channels, or different sizes.
    """
    if (luma.shape[0], chroma.shape[0]) != (1, 2) or luma.shape[1:] != chroma.shape[1:]:
        raise ValueError(
            f"ycbcr_to_rgb: luma has shape {tuple(luma.shape)} and chroma {tuple(chroma.shape)}; they must be (1, ...) "
            "and (2, ...) of equal size."
        )
    blue = luma + 2 * (1 - _B) * (chroma[0:1] - 0.5)
    red = luma + 2 * (1 - _R) * (chroma[1:2] - 0.5)
    green = (luma - _R * red - _B * blue) / _G
    return torch.cat([red, green, blue]).clamp(0, 1)


class RGBToYCbCrd(MapTransform):
    """Split a colour image into its luma, which stays under its key, and its chroma.

    One channel passes unchanged, and of three equal ones the first, both without chroma. Where an item lacks
    ``partner_key``, its channels are sources, not colours, and pass unchanged. Colour that a fused image could not show
    is refused, never dropped.

    Args:
        keys: entry of the colour image, (3, H, W) in [0, 1].
        chroma_key: where Cb and Cr go, (2, H, W) in [0, 1].
        partner_key: entry of the other source, which is gray; None takes every three channels for colours, of volumes
            (3, H, W, D) too.

    Raises:
        ValueError: in a call, for a partner in colour, a colour picture without a partner, or a colour volume with one.
    """

    def __init__(self, keys: KeysCollection, chroma_key: str = "chroma", partner_key: str | None = "mri") -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"RGBToYCbCrd: keys are {self.keys}, and there is one chroma; give one key.")
        self.chroma_key = chroma_key
        self.partner_key = partner_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Convert the image of one item."""
        item = dict(data)
        if self.partner_key is not None:
            self._refuse_colour_that_would_be_lost(item, self.keys[0], self.partner_key)
            if self.partner_key not in item:
                return item
        for key in self.key_iterator(item):
            image = convert_to_tensor(item[key], track_meta=get_track_meta())
            if len(image) == 1:
                continue
            if len(image) == 3 and bool((image == image[:1]).all()):
                item[key] = image[:1]
                continue
            item[key], item[self.chroma_key] = rgb_to_ycbcr(image if image.is_floating_point() else image.float())
        return item

    def _refuse_colour_that_would_be_lost(self, item: Mapping[Hashable, Any], key: Hashable, partner: str) -> None:
        image = item[key]
        if partner not in item:
            # three sources of one file are a volume; a picture whose channels stood last has colours
            if image.ndim == 3 and len(image) >= 3 and getattr(image, "meta", {}).get("original_channel_dim") == -1:
                raise ValueError(
                    f"RGBToYCbCrd: {key} is a picture in colour without {partner}; give the gray source as it."
                )
            return
        if _is_coloured(item[partner]):
            raise ValueError(
                f"RGBToYCbCrd: {partner} is in colour, and only {key} may be; swap the two, or give {partner} in gray."
            )
        if image.ndim == 4 and _is_coloured(image):
            raise ValueError(
                f"RGBToYCbCrd: {key} is a volume in colour, and fused volumes are gray; give its values instead, or slices."
            )


class YCbCrToRGBd(MapTransform):
    """Put the chroma back; without chroma an image stays gray.

    Args:
        keys: entries of fused images, (1, H, W[, D]) in [0, 1]; each becomes (3, H, W[, D]).
        chroma_key: entry of Cb and Cr, (2, H, W[, D]), from :class:`RGBToYCbCrd`.
    """

    def __init__(self, keys: KeysCollection, chroma_key: str = "chroma") -> None:
        super().__init__(keys)
        self.chroma_key = chroma_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Colour the images of one item."""
        item = dict(data)
        if self.chroma_key not in item:
            return item
        for key in self.key_iterator(item):
            luma = convert_to_tensor(item[key], track_meta=get_track_meta())
            chroma = convert_to_tensor(item[self.chroma_key], device=luma.device, dtype=luma.dtype)
            item[key] = ycbcr_to_rgb(luma, chroma)
        return item


def _is_coloured(image: Any) -> bool:
    return len(image) == 3 and not bool((image == image[:1]).all())
