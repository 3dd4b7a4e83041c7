"""Lay an image on the grid of another with a rigid transform."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from numpy.typing import NDArray

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

__all__ = ["apply_rigid_transform", "check_axes", "plain_array"]

MODES = ("bilinear", "nearest")


def apply_rigid_transform(
    transform: "sitk.Transform | str | os.PathLike[str]",
    moving: NdarrayOrTensor,
    fixed: NdarrayOrTensor,
    mode: str = "bilinear",
) -> torch.Tensor:
    """Lay an image on the grid of another with a transform that was found before; 0 where it has nothing.

    Args:
        transform: from :class:`RegistrationResult`, or the path of its file.
        moving: image or label map (C, H, W[, D]) in the world space of the registered moving image.
        fixed: image (C', H', W'[, D']) whose grid is wanted.
        mode: ``bilinear`` (in 3-D trilinear), or ``nearest`` for labels.

    Returns:
        (C, H', W'[, D']) in the dtype of ``moving`` (integers are rounded), with the affine of ``fixed``.

    Raises:
        ValueError: another mode; axes that differ; the moved image lies outside the fixed grid.
        FileNotFoundError: there is no such file.
    """
    import SimpleITK as sitk  # noqa: N813

    from .registration_geometry import as_image, overlap, resample

    if mode not in MODES:
        raise ValueError(f"apply_rigid_transform: mode is {mode!r}; it must be one of {MODES}; choose one.")
    check_axes(fixed, moving, ("fixed", "moving"))
    if isinstance(transform, str | os.PathLike):
        if not Path(transform).is_file():
            raise FileNotFoundError(f"apply_rigid_transform: {os.fspath(transform)!r} does not exist; check the path.")
        motion = sitk.ReadTransform(os.fspath(transform))
    else:
        motion = transform
    if motion.GetDimension() != fixed.ndim - 1:
        raise ValueError(
            f"apply_rigid_transform: transform is {motion.GetDimension()}-D and the images are {fixed.ndim - 1}-D; "
            "take the transform of these images."
        )
    values = plain_array(moving)
    grid = as_image(fixed, np.zeros(fixed.shape[1:], dtype=np.uint8))
    channels = [as_image(moving, _working(channel, mode)) for channel in values]
    if not overlap(channels[0], grid, motion):
        raise ValueError(
            "apply_rigid_transform: under this transform moving lies outside the grid of fixed; check that both belong to "
            "the transform, and their affines."
        )
    done = np.stack([sitk.GetArrayFromImage(resample(one, grid, motion, mode == "nearest")).T for one in channels])
    return _like(_stored(done, values.dtype), moving, fixed)


def check_axes(fixed: NdarrayOrTensor, moving: NdarrayOrTensor, names: tuple[str, str]) -> None:
    """Check that both have the axes (C, H, W), or both (C, H, W, D); ``names`` are for the message.

    Raises:
        ValueError: they differ, or have others.
    """
    if fixed.ndim != moving.ndim or fixed.ndim not in (3, 4):
        raise ValueError(
            f"RigidRegistration: {names[0]} has shape {tuple(fixed.shape)} and {names[1]} {tuple(moving.shape)}; both must "
            "be (C, H, W), or both (C, H, W, D); give two planes or two volumes."
        )


def plain_array(image: NdarrayOrTensor) -> NDArray[Any]:
    """Values without metadata, on the CPU."""
    tensor = image.as_tensor() if isinstance(image, MetaTensor) else image
    return tensor.detach().cpu().numpy() if isinstance(tensor, torch.Tensor) else np.asarray(tensor)


def _working(channel: NDArray[Any], mode: str) -> NDArray[Any]:
    """In a type that SimpleITK takes and that holds the values: labels above 2^24 are no float32."""
    return channel.astype(np.float64 if mode == "nearest" else np.float32)


def _stored(values: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
    return values.astype(dtype) if dtype.kind == "f" else np.rint(values).astype(dtype)


def _like(values: NDArray[Any], moving: NdarrayOrTensor, fixed: NdarrayOrTensor) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if isinstance(moving, torch.Tensor):
        tensor = tensor.to(moving.device)
    if not isinstance(fixed, MetaTensor):
        return tensor
    meta = {key: moving.meta[key] for key in moving.meta if key != "affine"} if isinstance(moving, MetaTensor) else {}
    return MetaTensor(tensor, affine=fixed.affine.clone(), meta=meta | {"spatial_shape": np.array(values.shape[1:])})
