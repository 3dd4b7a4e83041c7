"""Visual information fidelity of the fused image."""

import torch
from torch import Tensor

from .fusion_checks import check_pair
from .fusion_filters import gaussian_taps, separable_filter

__all__ = ["visual_information_fidelity"]

EPSILON = 1e-10
NOISE_VARIANCE = 2.0


def visual_information_fidelity(fused: Tensor, sources: Tensor) -> Tensor:
    r"""VIF in the pixel domain (vifp), summed over sources. Up.

    For a source S, with gain :math:`g = \sigma_{SF} / \sigma_S^2` and rest :math:`\sigma_V^2 = \sigma_F^2 - g \sigma_{SF}`
    in windows at 4 scales: :math:`\sum \log(1 + g^2 \sigma_S^2 / (\sigma_V^2 + 2)) / \sum \log(1 + \sigma_S^2 / 2)`.
    Windows are Gaussians of 17, 9, 5 and 3 pixels, sigma a fifth of that, which also blur before every halving.

    What CDDFuse reports as VIF and many others as VIFF. The metric of Han et al. (2013), with the same name, is not
    this one. N sources: the sum over all.

    Args:
        fused: (B, 1, H, W), gray levels in [0, 255], sides >= 41.
        sources: (B, N, H, W), N >= 2, likewise.

    Returns:
        (B,), >= 0; N for equal images, more where the contrast is raised. A constant source counts as 1.

    Raises:
        ValueError: bad shape or values, see :func:`check_pair`.

    Reference:
        Sheikh and Bovik, IEEE Transactions on Image Processing 15(2):430-444 (2006), Eq. (17); their pixel version.
    """
    fused, sources = check_pair("visual_information_fidelity", fused, sources, 41)
    kept = torch.zeros(sources.shape[:2], dtype=torch.float64, device=fused.device)
    full = kept.clone()
    for scale, size in enumerate((17, 9, 5, 3)):
        taps = gaussian_taps(size, size / 5)
        if scale:
            fused, sources = (separable_filter(image, taps, taps)[..., ::2, ::2] for image in (fused, sources))
        variance_s, gain, rest = _channel(fused, sources, taps)
        kept += torch.log1p(gain.square() * variance_s / (rest + NOISE_VARIANCE)).sum((2, 3))  # numerator of Eq. (17)
        full += torch.log1p(variance_s / NOISE_VARIANCE).sum((2, 3))
    return torch.where(full > 0, kept / full, 1.0).sum(1)


def _channel(fused: Tensor, sources: Tensor, taps: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Local variance of the sources, gain and variance of what the gain does not explain (B, N, H', W')."""
    mean_f, mean_s, square_f, square_s, product = (
        separable_filter(image, taps, taps) for image in (fused, sources, fused**2, sources**2, fused * sources)
    )
    variance_f = (square_f - mean_f.square()).clamp(min=0)
    variance_s = (square_s - mean_s.square()).clamp(min=0)
    covariance = product - mean_f * mean_s
    gain = covariance / (variance_s + EPSILON)
    rest = variance_f - gain * covariance
    flat_s, flat_f, inverse = variance_s < EPSILON, variance_f < EPSILON, gain < 0
    rest = torch.where(flat_s | inverse, variance_f, rest).masked_fill(flat_f, 0).clamp(min=EPSILON)
    gain = gain.masked_fill(flat_s | flat_f | inverse, 0)
    return variance_s.masked_fill(flat_s, 0), gain, rest
