"""Fusion metrics on histograms: entropy, mutual information and cross entropy."""

from typing import Literal

import torch
from torch import Tensor

from .fusion_checks import check_pair

__all__ = ["entropy", "histogram_cross_entropy", "mutual_information", "normalized_mutual_information"]

NATS_PER_BIT = 0.6931471805599453


def entropy(fused: Tensor, sources: Tensor) -> Tensor:
    r"""EN of the fused image, :math:`-\sum_l p_l \log_2 p_l`, over 256 gray levels, in bits. Up.

    Noise and a background that is not black raise it: never the only evidence. VIFB's Entropy is the same.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], rounded here.
        sources: (B, N, H, W), N >= 2; not used.

    Returns:
        (B,) in [0, 8]; 0 for a constant image.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Roberts, van Aardt and Ahmed, Journal of Applied Remote Sensing 2(1):023522 (2008).
    """
    fused, _ = check_pair("entropy", fused, sources)
    return _entropy(_histogram(fused))[:, 0] / NATS_PER_BIT


def mutual_information(fused: Tensor, sources: Tensor, unit: Literal["nats", "bits"] = "nats") -> Tensor:
    r"""MI, :math:`\sum_k I(S_k; F)` with :math:`I(A; F) = H(A) + H(F) - H(A, F)`, over 256 gray levels. Up.

    N sources: the sum over all. VIFB's Mutinf and the code of CDDFuse are in nats; others use bits (x 1.4427).

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], rounded here.
        sources: (B, N, H, W), N >= 2, likewise.
        unit: ``"nats"`` or ``"bits"``.

    Returns:
        (B,), >= 0; 0 for a constant fused image.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown unit.

    Reference:
        Qu, Zhang and Yan, Electronics Letters 38(7):313-315 (2002).
    """
    fused, sources = check_pair("mutual_information", fused, sources)
    if unit not in ("nats", "bits"):
        raise ValueError(f'mutual_information: unit is {unit!r}, expected "nats" or "bits".')
    of_fused, of_sources, joint = _entropies(fused, sources)
    total = (of_fused + of_sources - joint).clamp(min=0).sum(1)
    return total if unit == "nats" else total / NATS_PER_BIT


def normalized_mutual_information(fused: Tensor, sources: Tensor) -> Tensor:
    r"""NMI of Hossny, :math:`2 \sum_k I(S_k; F) / (H(S_k) + H(F))`. Up.

    N sources: the sum over all. Not scikit-learn's or scikit-image's normalized mutual information of two images.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], rounded here.
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,) in [0, N]; NaN where a source and the fused image are both constant (0 / 0).

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Hossny, Nahavandi and Creighton, Electronics Letters 44(18):1066-1067 (2008), the corrected MI.
    """
    fused, sources = check_pair("normalized_mutual_information", fused, sources)
    of_fused, of_sources, joint = _entropies(fused, sources)
    information = (of_fused + of_sources - joint).clamp(min=0)
    return 2 * (information / (of_fused + of_sources)).sum(1)


def histogram_cross_entropy(fused: Tensor, sources: Tensor) -> Tensor:
    r"""CE, mean over sources of :math:`\sum_l p^{S}_l \log_2 (p^{S}_l / p^{F}_l)` in bits. Down.

    Levels that either image lacks are left out, so that it may be negative. N sources: the mean over all.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], rounded here.
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,).

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Bulanon, Burks and Alchanatis, Biosystems Engineering 103(1):12-22 (2009), as VIFB codes it.
    """
    fused, sources = check_pair("histogram_cross_entropy", fused, sources)
    p, q = _histogram(sources), _histogram(fused)
    both = (p > 0) & (q > 0)
    terms = torch.where(both, p * torch.log2(torch.where(both, p, 1) / torch.where(both, q, 1)), 0)
    return terms.sum(-1).mean(1)


def _entropies(fused: Tensor, sources: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """H(F) (B, 1), H(S_k) (B, N) and H(S_k, F) (B, N) in nats."""
    joint = _frequencies(fused.round().long() + 256 * sources.round().long(), 256**2)  # (B, N, 65536)
    table = joint.unflatten(-1, (256, 256))
    return _entropy(table[:, :1].sum(-2)), _entropy(table.sum(-1)), _entropy(joint)


def _histogram(image: Tensor) -> Tensor:
    return _frequencies(image.round().long(), 256)


def _frequencies(index: Tensor, bins: int) -> Tensor:
    """Relative frequency (B, C, bins) of the whole numbers of an image (B, C, H, W)."""
    batch, channels = index.shape[:2]
    flat = index.flatten(2)
    offset = bins * torch.arange(batch * channels, device=index.device).reshape(batch, channels, 1)
    counts = torch.bincount((flat + offset).flatten(), minlength=bins * batch * channels)
    return counts.reshape(batch, channels, bins).double() / flat.shape[-1]


def _entropy(frequencies: Tensor) -> Tensor:
    return torch.special.entr(frequencies).sum(-1)
