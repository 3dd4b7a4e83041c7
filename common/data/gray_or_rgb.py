"""Bring the colour models of image files to two: gray and RGB."""

import numpy as np
from PIL import Image

__all__ = ["gray_or_rgb"]

_NUMBERS = ("I", "F")  # one channel of integers or floats; I;16 and its relatives too


def gray_or_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to one gray channel, or to RGB if it holds colour; for ``PILReader(converter=gray_or_rgb)``.

    A palette is looked up (PILReader would hand out its indices), what is transparent becomes darker (black behind it),
    and an RGB image with three equal channels is gray. 8 bit stays uint8, 16 bit keeps its values.

    Args:
        image: an opened image of any mode.

    Returns:
        An image of mode L, RGB, or an unchanged one of more than 8 bit.
    """
    if image.mode.startswith(_NUMBERS) or image.mode == "L":
        return image
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        front = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", front.size, (0, 0, 0, 255)), front)
    if image.mode == "1":
        return image.convert("L")
    colour = image.convert("RGB")
    values = np.asarray(colour)
    return colour.getchannel(0) if (values == values[..., :1]).all() else colour
