"""Register entries of an item to another, and keep the transform."""

import os
import re
import zlib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ensure_tuple

from .rigid_registration import RegistrationResult, RigidRegistration
from .rigid_transform import apply_rigid_transform

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

__all__ = ["RigidRegistrationd"]


class RigidRegistrationd(MapTransform):
    """Register entries of an item to another with :class:`~.RigidRegistration`, before the sources are joined.

    Use it on colours as they were read: after :class:`~.RGBToYCbCrd` the chroma would be 0, not gray, outside the grid.
    An item without the fixed or the moving key passes. Each registered key leaves ``registration_<key>``: ``transform``
    (its matrix in the world space of the affines, RAS), ``nmi``, ``nmi_before``, ``kept``, ``warning``.

    Args:
        fixed_key: entry that stays.
        moving_keys: entries that move, (C, H, W[, D]), each by itself.
        companions: for a moving key further images that move with it, (C, H, W[, D]), linear.
        label_keys: the same for label maps, nearest neighbour.
        transform_dir: folder for ``<id>_<key>.tfm`` (an id that is no file name becomes one, with a checksum), which 3D
            Slicer, SimpleITK and :func:`~.apply_rigid_transform` read; None writes none.
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
