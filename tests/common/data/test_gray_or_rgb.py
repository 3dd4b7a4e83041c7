from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import PILReader
from monai.transforms import LoadImage
from PIL import Image

from common.data.gray_or_rgb import gray_or_rgb

GRAY = np.array([[0, 100, 255], [3, 4, 5]], np.uint8)
COLOUR = np.stack([GRAY, GRAY[::-1], np.full_like(GRAY, 9)], -1)


def palette() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return image


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda: Image.fromarray(GRAY), GRAY, id="gray"),
        pytest.param(lambda: Image.fromarray(COLOUR), COLOUR, id="rgb"),
        pytest.param(lambda: Image.fromarray(np.repeat(GRAY[..., None], 3, -1)), GRAY, id="gray-stored-as-rgb"),
        pytest.param(lambda: Image.fromarray(np.dstack([COLOUR, GRAY * 0 + 255])), COLOUR, id="rgba"),
        pytest.param(lambda: Image.fromarray(np.dstack([GRAY, GRAY * 0 + 255]), "LA"), GRAY, id="gray-alpha"),
        pytest.param(lambda: Image.fromarray(np.dstack([COLOUR, GRAY * 0])), GRAY * 0, id="transparent-is-black"),
        pytest.param(lambda: Image.fromarray(GRAY > 50), np.uint8(255) * (GRAY > 50), id="one-bit"),
        pytest.param(lambda: Image.fromarray(GRAY.astype(np.uint16) * 200), GRAY.astype(np.uint16) * 200, id="16-bit"),
        pytest.param(
            palette,
            np.array([[[10, 20, 30], [40, 50, 60], [70, 80, 90]], [[70, 80, 90], [40, 50, 60], [10, 20, 30]]]),
            id="palette-is-looked-up",
        ),
    ],
)
def test_every_colour_model_becomes_gray_or_rgb(make: Callable[[], Image.Image], expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(gray_or_rgb(make())), expected)


@pytest.mark.parametrize(
    ("array", "suffix", "dtype"),
    [
        pytest.param(GRAY, "png", torch.uint8, id="8-bit"),
        pytest.param(COLOUR, "tif", torch.uint8, id="rgb"),
        pytest.param(GRAY.astype(np.uint16) * 200, "png", torch.int32, id="16-bit"),
    ],
)
def test_files_load_channel_first_with_8_and_16_bit_told_apart(
    tmp_path: Path, array: np.ndarray, suffix: str, dtype: torch.dtype
) -> None:
    Image.fromarray(array).save(tmp_path / f"a.{suffix}")
    load = LoadImage(PILReader(converter=gray_or_rgb), image_only=True, dtype=None, ensure_channel_first=True)
    image = load(tmp_path / f"a.{suffix}")
    assert image.dtype == dtype
    # MONAI's orientation: (C, W, H)
    np.testing.assert_array_equal(image.numpy(), np.atleast_3d(array).transpose(2, 1, 0))
