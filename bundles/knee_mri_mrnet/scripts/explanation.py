"""Which slice and which place made an MRNet say yes, and how often such a place lies in the true finding."""

from typing import NamedTuple

import numpy as np
import torch
from monai.networks.utils import eval_mode
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter
from torch import Tensor
from torch.nn.functional import interpolate

from .network import MRNet

__all__ = [
    "SliceMaps",
    "feature_maps",
    "inside_body",
    "peak",
    "pointing_chance",
    "pointing_hit",
    "slice_maps",
    "upsample_maps",
]


class SliceMaps(NamedTuple):
    """Evidence of one exam: ``maps`` (S, h, w) in logits, the ``logit``, ``slice_scores`` (S,), index of the winner."""

    maps: Tensor
    logit: float
    slice_scores: Tensor
    winner: int


def feature_maps(network: MRNet, image: Tensor) -> Tensor:
    """Feature maps (S', F, h, w) of the S' slices of an exam (1, S, H, W) that are not empty; they keep no graph.

    Members of a stack that share a backbone share this result, see :func:`slice_maps`.

    Raises:
        ValueError: there is not exactly one exam, or all its slices are empty.
    """
    if image.ndim != 4 or len(image) != 1 or not image.any():
        raise ValueError(
            f"feature_maps: image has shape {tuple(image.shape)} and {int((image != 0).sum())} pixels that are not 0;"
            " give one exam (1, S, H, W) with a slice that is not empty."
        )
    with eval_mode(network):
        return network.backbone(image[0, image[0].flatten(1).any(dim=1), None])


def slice_maps(network: MRNet, image: Tensor, features: Tensor | None = None) -> SliceMaps:
    r"""Class activation map of every slice: gradient times activation of the feature map, summed over features.

    .. math:: M_s(x, y) = \sum_f \frac{\partial z}{\partial A_{sf}(x, y)} A_{sf}(x, y)

    With global average pooling, max over slices and a linear head this is exact: the maximum passes the gradient of
    feature f to the slice that won it, so that the maps of all slices sum to the logit z minus the bias (the class
    activation map of Zhou et al., each feature drawn in the slice where it won). With an mlp head or attention the sum
    is not the logit: then it is HiResCAM, which after global average pooling is Grad-CAM up to the factor h w, as the
    gradient is the same at every place. No ReLU is applied: negative places speak against the finding.

    Args:
        network: MRNet of one plane and task; used in evaluation mode.
        image: one exam (1, S, H, W) in [0, 1]; empty slices get maps of 0 and do not win.
        features: its :func:`feature_maps`, when they are known already.

    Returns:
        Maps, logit, score of each slice (sum of its map) and the slice with the largest score.

    Raises:
        ValueError: as in :func:`feature_maps`.

    Reference:
        Zhou et al., CVPR 2016, Eq. (2) (CAM); Selvaraju et al., ICCV 2017, Eq. (1)-(2) (Grad-CAM); Draelos and Carin,
        arXiv:2011.08891, 2020 (HiResCAM).
    """
    activation = (feature_maps(network, image) if features is None else features).detach().requires_grad_()
    occupied = image[0].flatten(1).any(dim=1)
    with eval_mode(network), torch.enable_grad():
        pooled = activation.mean(dim=(2, 3))
        vectors = pooled.new_zeros(len(occupied), pooled.shape[1]).index_put((occupied,), pooled)
        logit = network.head(vectors[None])
        (gradient,) = torch.autograd.grad(logit.sum(), activation)
    maps = activation.new_zeros(len(occupied), *activation.shape[2:])
    maps[occupied] = (gradient * activation).sum(dim=1).detach()
    scores = maps.sum(dim=(1, 2))
    winner = int(scores.masked_fill(~occupied, float("-inf")).argmax())
    return SliceMaps(maps, float(logit.detach()), scores, winner)


def upsample_maps(maps: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Maps (S, h, w) to (S, H, W), bilinear: every value lies over the middle of its cell."""
    return interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0].cpu().numpy()


def peak(maps: np.ndarray) -> tuple[int, int, int]:
    """Slice, row and column of the largest value of maps (S, H, W); the middle one of several equal ones.

    Bilinear maps are flat towards the rim of the image, where their first pixel would be a corner.
    """
    places = np.argwhere(maps == maps.max())
    places = places[places[:, 0] == places[0, 0]]
    middle = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(middle[0]), int(middle[1]), int(middle[2])


def pointing_hit(maps: np.ndarray, mask: np.ndarray, tolerance_px: float = 15, slice_tolerance: int = 1) -> bool:
    """Pointing game: does the largest value of all slices lie in the finding or near it?

    Args:
        maps: (S, H, W), or (H, W) for one slice; see :func:`upsample_maps`.
        mask: the finding, of the same shape.
        tolerance_px: allowed distance in the slice.
        slice_tolerance: allowed distance in slices.

    Raises:
        ValueError: the shapes differ, or the mask is empty.

    Reference:
        Zhang et al., Top-down neural attention by excitation backprop, IJCV 2018, section 4.1; there for one image.
    """
    if maps.shape != mask.shape:
        raise ValueError(
            f"pointing_hit: maps have shape {maps.shape} and the mask {mask.shape}; upsample the maps to the mask."
        )
    target = _target(mask, tolerance_px, slice_tolerance)
    return bool(target[peak(maps.reshape(target.shape))])


def pointing_chance(
    mask: np.ndarray, tolerance_px: float = 15, inside: np.ndarray | None = None, slice_tolerance: int = 1
) -> float:
    """Share of the positions that would hit: what pointing at random reaches.

    Args:
        mask: as in :func:`pointing_hit`.
        tolerance_px: as in :func:`pointing_hit`.
        inside: positions that count, of the same shape (see :func:`inside_body`); None is all.
        slice_tolerance: as in :func:`pointing_hit`.

    Raises:
        ValueError: no position is inside, or the mask is empty.
    """
    target = _target(mask, tolerance_px, slice_tolerance)
    positions = np.ones(target.shape, dtype=bool) if inside is None else inside.reshape(target.shape)
    if not positions.any():
        raise ValueError("pointing_chance: inside is empty; pass the positions that the map may point at.")
    return float(target[positions].mean())


def inside_body(plane: np.ndarray) -> np.ndarray:
    """Body of a plane (S, H, W) without the air around it: above half of the mean, smoothed and filled."""
    bright = gaussian_filter(np.asarray(plane, dtype=np.float32), sigma=(0, 2, 2)) > np.mean(plane) / 2
    return np.stack([binary_fill_holes(one) for one in bright])


def _target(mask: np.ndarray, tolerance_px: float, slice_tolerance: int) -> np.ndarray:
    """Positions (S, H, W) that count as a hit."""
    finding = np.asarray(mask, dtype=bool)
    finding = finding[None] if finding.ndim == 2 else finding
    if not finding.any():
        raise ValueError("pointing game: the mask is empty; play it on exams with the finding only.")
    near = np.zeros_like(finding)
    for k in np.flatnonzero(finding.any(axis=(1, 2))):
        low, high = max(k - slice_tolerance, 0), k + slice_tolerance + 1
        near[low:high] |= distance_transform_edt(~finding[k]) <= tolerance_px
    return near
