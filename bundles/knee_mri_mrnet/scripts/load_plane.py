"""Read one plane of an exam in the display convention of its slices."""

import os
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform, Orientation

from .names import PLANES

__all__ = ["AXCODES", "LoadPlaned", "load_plane"]

AXCODES = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
"""Where slices, rows and columns (S, H, W) run to: sagittal slices to the left, rows down, columns to the back."""


def load_plane(path: str | os.PathLike[str], plane: str) -> torch.Tensor:
    """Read the volume of one plane.

    Args:
        path: an npy file (S, H, W), taken as it is in the display convention as MRNet ships it; or a NIfTI file,
            which is turned to it by its affine.
        plane: axial, coronal or sagittal.

    Returns:
        Slices (S, H, W), float32, in the file's units, without metadata.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the plane is unknown, or the file is unreadable, not 3-D, holds NaN or infinite values, or has the
            same value everywhere.
    """
    if plane not in PLANES:
        raise ValueError(f"load_plane: plane is {plane!r}, and known are {list(PLANES)}; take one of those.")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"load_plane: {path} does not exist; check the path.")
    slices = _read_npy(path) if str(path).endswith(".npy") else _read_nifti(path, plane)
    if not bool(torch.isfinite(slices).all()):
        raise ValueError(f"load_plane: {path} holds NaN or infinite values; repair the file.")
    if float(slices.min()) == float(slices.max()):
        raise ValueError(f"load_plane: {path} has no contrast: every pixel is {float(slices.min()):g}; export it anew.")
    return slices


class LoadPlaned(MapTransform):
    """Replace paths by slices (S, H, W), float32, with :func:`load_plane`.

    Args:
        keys: entries that name a file.
        plane: which plane it is of; not needed for entries called axial, coronal or sagittal.
        allow_missing_keys: leave out the planes that an exam does not have.

    Raises:
        ValueError: `plane` is unknown, or is needed and not given.
    """

    def __init__(self, keys: KeysCollection, plane: str | None = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if unknown := [key for key in self.keys if (key if key in PLANES else plane) not in PLANES]:
            raise ValueError(
                f"LoadPlaned: plane is {plane!r} for the key {unknown[0]!r}, and known are {list(PLANES)}; give one of "
                "those."
            )
        self.plane = plane

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the item with tensors in place of paths."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = load_plane(item[key], str(key if key in PLANES else self.plane))
        return item


def _read_npy(path: str | os.PathLike[str]) -> torch.Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"load_plane: {path} is no readable npy file ({error}); export it anew.") from None
    _check_shape(path, array.shape)
    if array.dtype.kind not in "buif":
        raise ValueError(f"load_plane: {path} holds {array.dtype}, and must hold real numbers; export it anew.")
    return torch.from_numpy(array.astype(np.float32))


def _read_nifti(path: str | os.PathLike[str], plane: str) -> torch.Tensor:
    try:
        image = _reader()(path)
    except Exception as error:  # every reader fails in its own way
        raise ValueError(f"load_plane: {path} is no readable NIfTI file; export it anew.") from error
    _check_shape(path, image.shape[1:] if len(image) == 1 else image.shape)
    turned = cast(MetaTensor, Orientation(axcodes=AXCODES[plane], labels=None)(image))
    return turned.as_tensor()[0].to(torch.float32).contiguous()


@cache
def _reader() -> LoadImage:
    return LoadImage(
        image_only=True, ensure_channel_first=True
    )  # slow to make: it looks for every library it could use


def _check_shape(path: str | os.PathLike[str], shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape) == 0:
        raise ValueError(
            f"load_plane: {path} has the shape {tuple(shape)}, and a plane is (S, H, W), grey; give one volume."
        )
