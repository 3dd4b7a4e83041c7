"""Rigid registration of one image to another, of the same or of another modality."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from numpy.typing import NDArray

from .rigid_transform import apply_rigid_transform, check_axes, plain_array

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

    from .registration_geometry import Rigid

__all__ = ["RegistrationResult", "RigidRegistration"]

BACKENDS = ("simpleitk", "elastix")
DISTINCT = 4.0  # steps of the fixed grid between poses that are not the same


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

    What is no body (head holder, markers) is left out. At the coarsest of three resolutions (shrink 4, 2, 1; sigma 2, 1,
    0) a grid of poses around equal centres of mass is searched; the best ``candidates`` are refined by Mattes' mutual
    information and regular-step gradient descent, and normalised mutual information at one scale decides between them,
    and against leaving the image in place. A pose of nearly the same similarity elsewhere (``margin``) warns. Same inputs,
    same result (SimpleITK descends on one thread).

    World space is the affine of a ``MetaTensor`` (RAS mm; the transform is in LPS mm as ITK has it), or without one
    pixels in the order of the axes; grids and sizes may differ. Of several channels their mean is registered.

    Args:
        backend: ``simpleitk``; or ``elastix`` (``pip install itk-elastix==0.25.4``), which refines the same starts.
        max_degrees: largest rotation that is searched; in 3-D around one axis.
        candidates: how many poses of the search are refined.
        min_nmi: normalised mutual information below which a warning is logged; noise on a head has 1.06, registered CT on
            MRI 1.2 and more.
        margin: a refined pose that differs by more than 4 steps of the fixed grid at one of its corners, and whose
            normalised mutual information is lower by less than this, makes the result ambiguous: a warning is logged.
        seed: of the places where large images are sampled.

    Raises:
        ValueError: a setting out of range.

    Reference:
        Mattes et al. (2003), IEEE TMI 22(1), 120-128.
    """

    def __init__(
        self,
        backend: str = "simpleitk",
        max_degrees: float = 30,
        candidates: int = 3,
        min_nmi: float = 1.08,
        margin: float = 0.005,
        seed: int = 1,
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"RigidRegistration: backend is {backend!r}; it must be one of {BACKENDS}; choose one.")
        if not 0 <= max_degrees <= 180 or candidates < 1 or seed < 1:
            raise ValueError(
                f"RigidRegistration: max_degrees is {max_degrees}, candidates {candidates}, seed {seed}; give 0 to 180 "
                "degrees, and numbers from 1 on."
            )
        self.backend = backend
        self.max_degrees = max_degrees
        self.candidates = candidates
        self.min_nmi = min_nmi
        self.margin = margin
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
        from .registration_geometry import as_image, distance, rigid

        check_axes(fixed, moving, names)
        images = [
            itk.without_thin_parts(as_image(one, _metric_channel(one, name)))
            for one, name in zip((fixed, moving), names, strict=True)
        ]
        dims = images[0].GetDimension()
        poses = [rigid(np.eye(dims), np.zeros(dims)), *self._candidates(images[0], images[1], names)]
        measure = itk.similarity(images[0], images[1])
        scores = [measure(pose) for pose in poses]
        best = int(np.argmax(scores))
        rival = max(
            (
                score
                for pose, score in zip(poses, scores, strict=True)
                if distance(pose, poses[best], images[0]) > DISTINCT
            ),
            default=1.0,
        )
        warning = self._warning(scores[best], rival, best == 0, names)
        if warning:
            self.logger.warning(warning)
        moved = apply_rigid_transform(poses[best], moving, fixed)
        return RegistrationResult(moved, poses[best], scores[best], scores[0], best == 0, warning)

    def _candidates(self, fixed: "sitk.Image", moving: "sitk.Image", names: tuple[str, str]) -> list["Rigid"]:
        from . import registration_simpleitk as itk

        if self.backend == "elastix":
            from .registration_elastix import refine_elastix, require_elastix

            require_elastix()
        levels = itk.pyramid(fixed, moving)
        found, reason = [], "no pose"
        for start in itk.coarse_starts(levels, self.max_degrees, self.candidates):
            try:
                if self.backend == "elastix":
                    found.append(refine_elastix(fixed, moving, start, self.seed))
                else:
                    found.append(itk.refine(levels, start, self.seed))
            except RuntimeError as error:  # this pose lost the overlap; another may not
                reason = str(error).strip().splitlines()[-1]
        if not found:
            raise ValueError(
                f"RigidRegistration: {names[1]} cannot be laid over {names[0]} ({reason}); check that both show the same "
                "part."
            )
        return found

    def _warning(self, nmi: float, rival: float, kept: bool, names: tuple[str, str]) -> str:
        what = f"{names[1]} on {names[0]}: normalised mutual information {nmi:.3f}"
        if nmi < self.min_nmi:
            return f"{what} is below {self.min_nmi:g}; the registration is poor, check the pictures."
        if nmi - rival < self.margin:
            return f"{what}, and another pose has {rival:.3f}; the registration is ambiguous, check the pictures."
        return f"{what} without a motion, and no motion gave more; it stays in place." if kept else ""


def _metric_channel(image: NdarrayOrTensor, name: str) -> NDArray[np.float32]:
    values = plain_array(image)
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
