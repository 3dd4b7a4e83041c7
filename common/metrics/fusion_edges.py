"""Fusion metrics on edges kept and edges made up: Qabf and Nabf."""

import math

import torch
from torch import Tensor

from .fusion_checks import check_pair
from .fusion_filters import sobel

__all__ = ["edge_artifacts", "edge_preservation"]


def edge_preservation(fused: Tensor, sources: Tensor) -> Tensor:
    r"""Qabf, :math:`\sum_k \sum Q^{S_k F} g_{S_k} / \sum_k \sum g_{S_k}`. Up.

    :math:`Q = Q_g Q_\alpha`, sigmoids of the relative Sobel strength ``min(g_S, g_F) / max(g_S, g_F)`` and of the
    agreement of orientation :math:`1 - |\alpha_S - \alpha_F| 2 / \pi`: gains 0.9994 and 0.9879, slopes 15 and 22,
    midpoints 0.5 and 0.8; zeros outside the image. As in VIFB and CDDFuse the relative strength is :math:`g_F` where
    both are equal. N sources: sums over all.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,) in [0, 0.976]; NaN where no source has an edge (all of them 0).

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Xydeas and Petrovic, Electronics Letters 36(4):308-309 (2000).
    """
    fused, sources = check_pair("edge_preservation", fused, sources)
    strength_f, angle_f = _edges(fused)
    strength_s, angle_s = _edges(sources)
    relative = torch.minimum(strength_s, strength_f) / torch.maximum(strength_s, strength_f)
    relative = torch.where(strength_s == strength_f, strength_f, relative)
    agreement = 1 - (angle_s - angle_f).abs() * 2 / math.pi
    quality = 0.9994 * torch.sigmoid(15 * (relative - 0.5)) * 0.9879 * torch.sigmoid(22 * (agreement - 0.8))
    return (quality * strength_s).sum((1, 2, 3)) / strength_s.sum((1, 2, 3))


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Strength and orientation in [-pi / 2, pi / 2], pi / 2 where the image is flat along the rows."""
    x, y = sobel(image, "constant")
    return torch.hypot(x, y), torch.where(x == 0, math.pi / 2, torch.atan(-y / x))  # y points up


def edge_artifacts(fused: Tensor, sources: Tensor) -> Tensor:
    r"""Nabf, :math:`\sum_k \sum [g_F > \max_j g_{S_j}] (1 - Q^{S_k F}) w_{S_k} / \sum_k \sum w_{S_k}`. Down.

    Edges that no source has; where the sources are flat, such an edge weighs next to nothing. Strengths are Sobel / 8 with a mirrored border, :math:`w = g^{1.5}`, and 0.001 where
    :math:`g < 2`; :math:`Q = \sqrt{Q_g Q_\alpha}` with gains 0.9999 and 0.9995, slopes 19 and 22, midpoints 0.5. This
    is the form of Shreyamsha Kumar; Petrovic's own counts :math:`2 - Q^{AF} - Q^{BF}` with both weights. N sources:
    sums over all.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255].
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,) in [0, 1]; 0 where the fused image has no edge stronger than the sources'.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Shreyamsha Kumar, Signal, Image and Video Processing 7:1125-1143 (2013), after Petrovic and Xydeas (2005).
    """
    fused, sources = check_pair("edge_artifacts", fused, sources)
    strength_f, angle_f = _signed_edges(fused)
    strength_s, angle_s = _signed_edges(sources)
    larger = torch.maximum(strength_s, strength_f)
    relative = torch.minimum(strength_s, strength_f) / torch.where(larger > 0, larger, 1)
    agreement = ((angle_s - angle_f).abs() - math.pi / 2).abs() * 2 / math.pi
    quality = (0.9999 * torch.sigmoid(19 * (relative - 0.5)) * 0.9995 * torch.sigmoid(22 * (agreement - 0.5))).sqrt()
    weight = torch.where(strength_s >= 2, strength_s**1.5, 0.001)
    made_up = (strength_f > strength_s).all(1, keepdim=True)
    return (made_up * (1 - quality) * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def _signed_edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Strength and orientation of the edge in [-pi / 2, pi / 2], 0 where the image is flat."""
    x, y = (part / 8 for part in sobel(image, "reflect"))
    return torch.hypot(x, y), torch.where((x == 0) & (y == 0), 0, torch.atan(x / y))
