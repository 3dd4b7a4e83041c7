"""Feature mutual information of the fused image."""

from typing import Literal

import torch
from torch import Tensor

from .fusion_checks import check_pair
from .fusion_filters import central_gradient

__all__ = ["feature_mutual_information"]

CHUNK = 16384  # windows at a time: nine numbers of each stay in the cache


def feature_mutual_information(
    fused: Tensor, sources: Tensor, feature: Literal["pixel", "gradient"] = "pixel"
) -> Tensor:
    r"""FMI, mean over sources and 3 x 3 windows of :math:`2 I(S_k; F) / (H(S_k) + H(F))`. Up.

    A window, stretched to [0, 1] and divided by its sum, is a distribution over its nine places (column by column).
    With r, Pearson's correlation of both distributions, the joint one is :math:`\phi M + (1 - \phi) p_S p_F`: M is the
    coupling of largest covariance (of least where r < 0), and phi is :math:`r \sigma_S \sigma_F / \mathrm{cov}_M`, the
    standard deviations being those of the place. As in the authors' code phi may leave [0, 1]; terms are then
    :math:`-p \log |p|`. Equal windows count as 1. N sources: the mean over all.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], sides >= 3.
        sources: (B, N, H, W), N >= 2, likewise.
        feature: ``"pixel"``, the image, or ``"gradient"``, its central difference along the rows as in the authors' code.

    Returns:
        (B,), 1 for equal images.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`, or an unknown feature.

    Reference:
        Haghighat and Razian, Fast-FMI, AICT 2014; Haghighat et al., Computers and Electrical Engineering 37:744 (2011).
    """
    fused, sources = check_pair("feature_mutual_information", fused, sources, 3)
    if feature not in ("pixel", "gradient"):
        raise ValueError(f'feature_mutual_information: feature is {feature!r}, expected "pixel" or "gradient".')
    if feature == "gradient":
        fused, sources = central_gradient(fused)[0], central_gradient(sources)[0]
    first = _windows(sources)  # (9, B, N, P)
    second = _windows(fused).expand_as(first)
    differs = (first != second).any(0)
    values = torch.ones(differs.shape, dtype=torch.float64, device=fused.device)
    parts = zip(first[:, differs].split(CHUNK, 1), second[:, differs].split(CHUNK, 1), strict=True)
    computed = [_normalized_information(*(_distribution(window) for window in pair)) for pair in parts]
    values[differs] = torch.cat([values.new_empty(0), *computed])
    return values.mean((1, 2))


def _windows(image: Tensor) -> Tensor:
    """Values (9, B, C, P) of the P windows of 3 x 3, columns first."""
    height, width = image.shape[-2] - 2, image.shape[-1] - 2
    shifted = [image[..., i : i + height, j : j + width].flatten(2) for j in range(3) for i in range(3)]
    return torch.stack(shifted)


def _distribution(window: Tensor) -> Tensor:
    low, high = torch.aminmax(window, dim=0)
    weight = torch.where(high > low, window - low, 1)
    return weight / weight.sum(0)


def _normalized_information(p: Tensor, q: Tensor) -> Tensor:
    """2 I / (H + H) of pairs of distributions (9, M)."""
    centred_p, centred_q = p - 1 / 9, q - 1 / 9
    product = (centred_p * centred_q).sum(0)
    spread = (centred_p.square().sum(0) * centred_q.square().sum(0)).sqrt()
    correlation = torch.where(spread > 1e-12, product / spread, 0)
    q = torch.where(correlation < 0, q.flip(0), q)  # the least covariance is the largest after reversal
    sum_p, sum_q = p.cumsum(0), q.cumsum(0)
    covariance = sum(torch.minimum(row, sum_q).sum(0) for row in sum_p) - sum_p.sum(0) * sum_q.sum(0)
    deviation = (_place_variance(p) * _place_variance(q)).sqrt()
    phi = torch.where(deviation > 1e-12, correlation.abs() * deviation / covariance, 0)
    separate = torch.special.entr(p).sum(0) + torch.special.entr(q).sum(0)
    information = separate - _joint_entropy(p, q, sum_p, sum_q, phi)
    return torch.where(separate > 1e-12, 2 * information / separate, 0)


def _place_variance(p: Tensor) -> Tensor:
    place = torch.arange(9, dtype=p.dtype, device=p.device)[:, None]
    return ((place.square() * p).sum(0) - (place * p).sum(0).square()).clamp(min=0)


def _joint_entropy(p: Tensor, q: Tensor, sum_p: Tensor, sum_q: Tensor, phi: Tensor) -> Tensor:
    """Entropy (M,) of the mixture; the coupling has mass where the steps of both sums overlap."""
    zero = torch.zeros_like(phi)[None]
    before_p, before_q = torch.cat([zero, sum_p[:-1]]), torch.cat([zero, sum_q[:-1]])
    entropy = torch.zeros_like(phi)
    for i in range(9):
        overlap = (torch.minimum(sum_p[i], sum_q) - torch.maximum(before_p[i], before_q)).clamp(min=0)  # (9, M)
        joint = phi * overlap + (1 - phi) * p[i] * q
        entropy -= torch.special.xlogy(joint, joint.abs()).sum(0)
    return entropy
