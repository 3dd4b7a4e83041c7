"""One fused case: its figures, its colours, and the slice of it that is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.fusion_results import MODEL
from ..metrics.fusion import fusion_metrics
from ..metrics.fusion_baselines import FUSION_BASELINES
from ..metrics.fusion_ssim import structural_similarity
from ..transforms.fusion_output import fused_output
from ..transforms.ycbcr import rgb_to_ycbcr, ycbcr_to_rgb

__all__ = ["case_head", "case_picture", "case_rows", "source_captions", "rgb_levels"]

CHUNK = 16  # slices at a time


def case_head(case: Mapping[str, Any], method: str = MODEL) -> dict[str, Any]:
    """First columns of the row of one method."""
    return {name: case[name] for name in ("id", "group", "section")} | {"method": method}


def case_rows(
    case: Mapping[str, Any],
    fused: Tensor,
    output_range: str,
    metrics: Sequence[str] | None = None,
    baselines: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Figures of the model and of each baseline for one case, see :func:`~..data.write_fusion_results`.

    Args:
        case: item with ``image`` (N, H, W) or (N, H, W, D) in [0, 1] and, of a colour source, ``chroma`` (2, H, W).
        fused: image of the model (1, H, W) or (1, H, W, D), background rule and output range applied.
        output_range: ``clip`` or ``minmax``, applied to the baselines.
        metrics: names in :data:`~..metrics.FUSION_METRICS`; None is all and ``ssim_cddfuse`` (7 x 7 uniform window, data
            range 2, the form of many published tables); one for which the image is too small is then NaN.
        baselines: names in :data:`~..metrics.FUSION_BASELINES`; None is all.

    Returns:
        Rows with ``values``; of a volume the means over the slices that are not empty (NaN without one).
    """
    sources = torch.as_tensor(case["image"]).as_subclass(Tensor).to(fused.device, torch.float32)
    images = {MODEL: fused.as_subclass(Tensor).float()}
    for name in FUSION_BASELINES if baselines is None else baselines:
        joined = FUSION_BASELINES[name](_slices(sources))  # (S, 1, H, W)
        whole = joined[0] if sources.ndim == 3 else joined.movedim(0, -1)
        images[name] = fused_output(whole, sources, output_range)
    rows = []
    for method, image in images.items():
        values = _figures(image, sources, metrics)
        if image.ndim == 3 and case.get("chroma") is not None:
            values["chroma_error"] = _chroma_error(image, torch.as_tensor(case["chroma"]).as_subclass(Tensor))
        rows.append(case_head(case, method) | {"values": values, "error": ""})
    return rows


def rgb_levels(gray: Tensor, chroma: Tensor) -> Tensor:
    """Colour image (3, H, W) in levels 0..255 of a gray one (1, H, W) and Cb, Cr (2, H, W), all in [0, 1]."""
    return (255 * ycbcr_to_rgb(gray, chroma.to(gray))).round().clamp(0, 255)


def case_picture(case: Mapping[str, Any], fused: Tensor) -> dict[str, Any]:
    """What a figure shows of a case: rows from top to bottom, of a volume the slice where the sources overlap most.

    Returns:
        ``sources`` (N, H, W), ``fused`` (H, W) and ``chroma`` (2, H, W) or None, arrays in [0, 1].
    """
    sources, image = _array(case["image"]), _array(fused)
    stack = [sources, image] if case.get("chroma") is None else [sources, image, _array(case["chroma"])]
    if sources.ndim == 4:
        overlap = (sources > 0).all(axis=0).sum(axis=(0, 1))
        best = int(overlap.argmax()) if overlap.any() else sources.shape[-1] // 2
        # the first axis of a volume in RAS runs to the right, the second to the front
        stack = [np.rot90(part[..., best], axes=(1, 2)) for part in stack]
    return {"sources": stack[0], "fused": stack[1][0], "chroma": stack[2] if len(stack) == 3 else None}


def source_captions(names: Sequence[str] | None, number: int) -> list[str]:
    """Captions of the sources: ``names`` where there is one for each, else ``source 1``, ``source 2``, ..."""
    return list(names) if names and len(names) == number else [f"source {k + 1}" for k in range(number)]


def _array(image: Any) -> np.ndarray:
    return torch.as_tensor(image).as_subclass(Tensor).detach().cpu().float().numpy()


def _slices(image: Tensor) -> Tensor:
    """Batch (S, C, H, W) of the slices of (C, H, W) or (C, H, W, D)."""
    return image[None] if image.ndim == 3 else image.movedim(-1, 0)


def _figures(fused: Tensor, sources: Tensor, metrics: Sequence[str] | None) -> dict[str, float]:
    """Metrics in gray levels."""
    first, second = ((255 * _slices(image)).round().clamp(0, 255) for image in (fused, sources))
    filled = second.amax(dim=(1, 2, 3)) > 0
    if not filled.any():
        return {}
    parts = []
    for a, b in zip(first[filled].split(CHUNK), second[filled].split(CHUNK), strict=True):
        parts.append(fusion_metrics(a, b, metrics))
        if metrics is None and min(a.shape[2:]) >= 11:
            parts[-1]["ssim_cddfuse"] = structural_similarity(a, b, "uniform", data_range=2.0)
    return {name: float(torch.cat([part[name] for part in parts]).nanmean()) for name in parts[0]}


def _chroma_error(fused: Tensor, chroma: Tensor) -> float:
    """Mean absolute difference of Cb and Cr between the colour image as it is written and the source, in gray levels.

    It is not 0: a bright pixel of a dark colour leaves the RGB cube, and levels are whole numbers.
    """
    written = rgb_to_ycbcr(rgb_levels(fused, chroma) / 255)[1]
    return float(255 * (written - chroma.to(written)).abs().mean())
