"""Rigid registration of one image to another, of the same or of another modality."""

import logging
import os
import re
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple
from numpy.typing import NDArray

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

    from .registration_simpleitk import Rigid

__all__ = ["RegistrationResult", "RigidRegistration", "RigidRegistrationd", "apply_rigid_transform"]

BACKENDS = ("simpleitk", "elastix")
MODES = ("bilinear", "nearest")


@dataclass(frozen=True)
class RegistrationResult:
    """What a registration gave.

    Args:
        moved: moving image on the fixed grid, (C, H, W[, D]), in its own dtype.
        transform: maps points of fixed world space to those of moving world space, where the values come from.
        nmi: normalised mutual information of fixed and moved, in [1, 2]; 1 for unrelated images.
        nmi_before: the same without a transform.
        kept: True where none was better than what was found, and `transform` is the identity.
        warning: what is suspicious, or the empty string.
    """

    moved: torch.Tensor
    transform: "Rigid"
    nmi: float
    nmi_before: float
    kept: bool
    warning: str


class RigidRegistration:
    """Find the rotation and shift that lay a moving image on a fixed one, 2-D or 3-D.

    Mattes' mutual information, three resolutions (shrink 4, 2, 1; sigma 2, 1, 0), centres of mass laid upon one another,
    regular-step gradient descent. From CT to MRI one start at 0 degrees misses turns of 10 degrees, so the coarsest
    resolution is tried from several rotations; the best ``candidates`` are refined, and normalised mutual information at
    one scale decides between them, and against leaving the image in place. Same inputs, same result (SimpleITK runs on one thread).

    World space is the affine of a ``MetaTensor`` (RAS mm; the transform is in LPS mm as ITK has it), or without one
    pixels in the order of the axes; grids and sizes may differ. Of several channels their mean is registered.

    Args:
        backend: ``simpleitk``; or ``elastix`` (``pip install itk-elastix==0.25.4``), which refines the same starts.
        start_degrees: rotations to start from; in 3-D around each axis in turn.
        candidates: how many of the starts are refined.
        min_nmi: normalised mutual information below which a warning is logged.
        seed: of the places where large images are sampled.

    Raises:
        ValueError: a setting out of range.

    Reference:
        Mattes et al. (2003), IEEE TMI 22(1), 120-128.
    """

    def __init__(
        self,
        backend: str = "simpleitk",
        start_degrees: Sequence[float] = (0, -15, 15, -30, 30),
        candidates: int = 2,
        min_nmi: float = 1.05,
        seed: int = 1,
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"RigidRegistration: backend is {backend!r}; it must be one of {BACKENDS}; choose one.")
        if not len(start_degrees) or candidates < 1 or seed < 1:
            raise ValueError(
                f"RigidRegistration: start_degrees are {tuple(start_degrees)}, candidates {candidates}, seed {seed}; give "
                "one rotation or more, and numbers from 1 on."
            )
        self.backend = backend
        self.start_degrees = tuple(start_degrees)
        self.candidates = candidates
        self.min_nmi = min_nmi
        self.seed = seed
        self.logger = logging.getLogger(type(self).__name__)

    def __call__(
        self, fixed: NdarrayOrTensor, moving: NdarrayOrTensor, names: tuple[str, str] = ("fixed", "moving")
    ) -> RegistrationResult:
        """Register ``moving`` (C, H, W[, D]) to ``fixed`` (C', H', W'[, D']); ``names`` are for messages.

        Raises:
            ValueError: axes differ or are none of 2 and 3, an axis is shorter than 8, an image is constant, or holds NaN
                or infinite values, or they cannot be laid over one another.
            ImportError: backend ``elastix`` is not installed.
        """
        from . import registration_simpleitk as itk

        _check_axes(fixed, moving, names)
        images = [
            itk.as_image(one, _metric_channel(one, name)) for one, name in zip((fixed, moving), names, strict=True)
        ]
        try:
            found = self._candidates(images[0], images[1])
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"RigidRegistration: {names[1]} cannot be laid over {names[0]} ({reason}); check that both show the same part."
            ) from error
        dims = images[0].GetDimension()
        identity = itk.rigid(np.eye(dims), np.zeros(dims))
        measure = itk.similarity(images[0], images[1])
        scores = [measure(transform) for transform in (identity, *found)]
        best = int(np.argmax(scores))
        transform = (identity, *found)[best]
        warning = self._warning(scores[best], best == 0, names)
        if warning:
            self.logger.warning(warning)
        moved = apply_rigid_transform(transform, moving, fixed)
        return RegistrationResult(moved, transform, scores[best], scores[0], best == 0, warning)

    def _candidates(self, fixed: "sitk.Image", moving: "sitk.Image") -> list["Rigid"]:
        from . import registration_simpleitk as itk

        if self.backend == "elastix":
            from .registration_elastix import refine_elastix, require_elastix

            require_elastix()
        levels = itk.pyramid(fixed, moving)
        starts = itk.coarse_starts(levels, self.start_degrees, self.seed)[: self.candidates]
        if self.backend == "elastix":
            return [refine_elastix(fixed, moving, start, self.seed) for start in starts]
        return [itk.refine(levels, start, self.seed) for start in starts]

    def _warning(self, nmi: float, kept: bool, names: tuple[str, str]) -> str:
        what = f"{names[1]} on {names[0]}: normalised mutual information {nmi:.3f}"
        if nmi < self.min_nmi:
            return f"{what} is below {self.min_nmi:g}; the registration is poor, check the pictures."
        return f"{what} without a motion, and no motion gave more; it stays in place." if kept else ""


class RigidRegistrationd(MapTransform):
    """Register entries of an item to another with :class:`RigidRegistration`, before the sources are joined.

    Use it on colours as they were read: after :class:`~.RGBToYCbCrd` the chroma would be 0, not gray, outside the grid.
    An item without the fixed or the moving key passes. Each registered key leaves ``registration_<key>``: ``transform``
    (its matrix in the world space of the affines, RAS), ``nmi``, ``nmi_before``, ``kept``, ``warning``.

    Args:
        fixed_key: entry that stays.
        moving_keys: entries that move, (C, H, W[, D]), each by itself.
        companions: for a moving key further images that move with it, (C, H, W[, D]), linear.
        label_keys: the same for label maps, nearest neighbour.
        transform_dir: folder for ``<id>_<key>.tfm`` (an id that is no file name becomes one, with a checksum), which 3D Slicer, SimpleITK and
            :func:`apply_rigid_transform` read; None writes none.
        registration: how to register; the default settings if None.
    """

    def __init__(
        self,
        fixed_key: str,
        moving_keys: KeysCollection,
        companions: Mapping[str, Sequence[str] | str] | None = None,
        label_keys: Mapping[str, Sequence[str] | str] | None = None,
        transform_dir: str | os.PathLike[str] | None = None,
        registration: RigidRegistration | None = None,
    ) -> None:
        super().__init__(moving_keys)
        self.fixed_key = fixed_key
        self.followers = [(companions or {}, "bilinear"), (label_keys or {}, "nearest")]
        self.transform_dir = transform_dir
        self.registration = registration or RigidRegistration()
        for followers, _ in self.followers:
            if unknown := sorted(set(followers) - {str(key) for key in self.keys}):
                raise ValueError(
                    f"RigidRegistrationd: companions or label_keys follow {unknown}, and moving_keys are {self.keys}; "
                    "name moving keys only."
                )
        if fixed_key in self.keys:
            raise ValueError(
                f"RigidRegistrationd: {fixed_key!r} is fixed_key and among moving_keys; leave it out of one."
            )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Register one item."""
        item = dict(data)
        if self.fixed_key not in item:
            return item
        case = str(item.get("id", "case"))
        for key in self.keys:
            if key not in item:
                continue
            names = (f"{self.fixed_key} of {case}", str(key))
            result = self.registration(item[self.fixed_key], item[key], names)
            for followers, mode in self.followers:
                for follower in ensure_tuple(followers.get(str(key), ())):
                    if follower in item:
                        moved = apply_rigid_transform(result.transform, item[follower], item[self.fixed_key], mode)
                        item[follower] = moved
            item[key] = result.moved
            item[f"registration_{key}"] = _facts(result)
            if self.transform_dir is not None:
                _write(result.transform, Path(self.transform_dir) / f"{_file_name(case)}_{key}.tfm")
        return item


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

    from .registration_simpleitk import as_image, overlap, resample

    if mode not in MODES:
        raise ValueError(f"apply_rigid_transform: mode is {mode!r}; it must be one of {MODES}; choose one.")
    _check_axes(fixed, moving, ("fixed", "moving"))
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
    values = _numpy(moving)
    grid = as_image(fixed, np.zeros(fixed.shape[1:], dtype=np.uint8))
    channels = [as_image(moving, _working(channel, mode)) for channel in values]
    if not overlap(channels[0], grid, motion):
        raise ValueError(
            "apply_rigid_transform: under this transform moving lies outside the grid of fixed; check that both belong to "
            "the transform, and their affines."
        )
    done = np.stack([sitk.GetArrayFromImage(resample(one, grid, motion, mode == "nearest")).T for one in channels])
    return _like(_stored(done, values.dtype), moving, fixed)


def _check_axes(fixed: NdarrayOrTensor, moving: NdarrayOrTensor, names: tuple[str, str]) -> None:
    if fixed.ndim != moving.ndim or fixed.ndim not in (3, 4):
        raise ValueError(
            f"RigidRegistration: {names[0]} has shape {tuple(fixed.shape)} and {names[1]} {tuple(moving.shape)}; both must "
            "be (C, H, W), or both (C, H, W, D); give two planes or two volumes."
        )


def _metric_channel(image: NdarrayOrTensor, name: str) -> NDArray[np.float32]:
    values = _numpy(image)
    if min(values.shape[1:]) < 8:
        raise ValueError(
            f"RigidRegistration: {name} has size {values.shape[1:]}; each axis needs 8 samples or more; give a larger image."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"RigidRegistration: {name} holds NaN or infinite values; repair the file.")
    channel = values.mean(0, dtype=np.float32)
    if not np.ptp(channel):
        raise ValueError(
            f"RigidRegistration: {name} is constant, {channel.flat[0]:g}; give an image that shows something."
        )
    return channel


def _numpy(image: NdarrayOrTensor) -> NDArray[Any]:
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


def _facts(result: RegistrationResult) -> dict[str, Any]:
    dims = result.transform.GetDimension()
    world = np.eye(dims + 1)
    world[:dims, dims] = result.transform.TransformPoint((0.0,) * dims)
    world[:dims, :dims] = np.reshape(result.transform.GetMatrix(), (dims, dims))
    if dims == 3:
        lps = np.diag([-1.0, -1.0, 1.0, 1.0])
        world = lps @ world @ lps
    facts = {key: getattr(result, key) for key in ("nmi", "nmi_before", "kept", "warning")}
    return {"transform": world, **facts}


def _file_name(case: str) -> str:
    name = re.sub(r"[^\w.+-]+", "_", case)
    return name if name == case else f"{name}_{zlib.crc32(case.encode()):08x}"


def _write(transform: "sitk.Transform", path: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    from ..data.atomic import atomic_path

    with atomic_path(path) as temporary:
        sitk.WriteTransform(transform, os.fspath(temporary))
