"""Training for what fused images are judged by: edges, visual information and complementary contrast."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .fusion_gradient_loss import sobel_slopes
from .fusion_inputs import fusion_inputs
from .fusion_intensity_loss import fusion_intensity_loss
from .fusion_ssim_loss import fusion_ssim_loss, gaussian_mean

__all__ = [
    "FusionQualityLoss",
    "difference_correlation",
    "edge_preservation",
    "fusion_quality_loss",
    "visual_information",
]

STRENGTH = (0.9994, -15.0, 0.5)
ORIENTATION = (0.9879, -22.0, 0.8)
NEURAL_NOISE = 2.0 / 255**2
TINY = 1e-10
FLOOR = 1.0  # of information in a batch, far below what one edge has


def edge_preservation(fused: Tensor, sources: Tensor) -> Tensor:
    r"""Share of the sources' edges that the fused image keeps: a smooth :math:`Q^{AB/F}`.

    As the metric :func:`~..metrics.qabf`, with three differences that make it trainable: gradients of length zero get
    a derivative, a batch is one image (flat patches weigh little), and the angle is that between two gradients
    modulo pi, without the jump of the arctangent.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        sources: (B, N, H, W) in [0, 1].

    Returns:
        Scalar in [0, 1]; higher is better.

    Reference:
        Xydeas and Petrovic, Electronics Letters 36(4):308-309 (2000), Eq. (1)-(8).
    """
    (fused_x, fused_y), (source_x, source_y) = _sobel(fused), _sobel(sources)
    fused_length, source_length = _length(fused_x, fused_y), _length(source_x, source_y)
    strength = torch.minimum(fused_length, source_length) / torch.maximum(fused_length, source_length)  # Eq. (3)
    cross = (fused_x * source_y - fused_y * source_x).abs()
    inner = (fused_x * source_x + fused_y * source_y).abs()
    orientation = 1 - torch.atan2(cross + TINY, inner + TINY) * 2 / math.pi  # Eq. (4)
    kept = _sigmoid(strength, *STRENGTH) * _sigmoid(orientation, *ORIENTATION)  # Eq. (5)-(7)
    return (kept * source_length).sum() / source_length.sum()  # Eq. (8)


def visual_information(fused: Tensor, sources: Tensor) -> Tensor:
    """Visual information fidelity in the pixel domain, geometric mean over sources.

    The terms are those of the metric :func:`~..metrics.visual_information_fidelity`, with a batch as one image. The
    metric is their sum, which is largest when one source is copied and the other given up; the geometric mean is not.
    Sides of at least 41 pixels are needed for four scales.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        sources: (B, N, H, W) in [0, 1].

    Returns:
        Scalar >= 0; 1 when the fused image carries all information of each source.

    Raises:
        ValueError: when a side is too short.

    Reference:
        Sheikh and Bovik, IEEE Transactions on Image Processing 15(2):430-444 (2006), in the pixel domain.
    """
    if min(fused.shape[-2:]) < 41:
        raise ValueError(
            f"visual_information: images of {tuple(fused.shape[-2:])} are too small for four scales; give 41 pixels or more."
        )
    fused = fused.expand_as(sources)
    carried, contained = sources.new_zeros(2, sources.shape[1])
    for size in (17, 9, 5, 3):
        if size < 17:
            fused, sources = _blur(fused, size)[..., ::2, ::2], _blur(sources, size)[..., ::2, ::2]
        fused_mean, source_mean = _blur(fused, size), _blur(sources, size)
        fused_var = (_blur(fused * fused, size) - fused_mean**2).clamp_min(0)
        source_var = (_blur(sources * sources, size) - source_mean**2).clamp_min(0)
        gain = (_blur(fused * sources, size) - fused_mean * source_mean) / (source_var + TINY)
        gain = gain.clamp_min(0) * (source_var > TINY)
        noise = (fused_var - gain * gain * source_var).clamp_min(0)
        carried = carried + (1 + gain * gain * source_var / (noise + NEURAL_NOISE)).log().sum((0, 2, 3))
        contained = contained + (1 + source_var / NEURAL_NOISE).log().sum((0, 2, 3))
    fidelity = (carried + FLOOR) / (contained + FLOOR)
    return fidelity.log().mean().exp()


def difference_correlation(fused: Tensor, sources: Tensor) -> Tensor:
    """Sum of the correlations of differences (SCD), mean over the batch and the sources.

    What the fused image has beyond the mean of the other sources should look like the source.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        sources: (B, N, H, W) in [0, 1], N >= 2.

    Returns:
        Scalar in [-1, 1]; higher is better.

    Reference:
        Aslantas and Bendes, AEU 69(12):1890-1896 (2015), for two sources.
    """
    others = (sources.sum(1, keepdim=True) - sources) / (sources.shape[1] - 1)
    difference = (fused - others).flatten(2)
    images = sources.flatten(2)
    difference = difference - difference.mean(2, keepdim=True)
    images = images - images.mean(2, keepdim=True)
    scale = difference.square().sum(2).add(TINY).sqrt() * images.square().sum(2).add(TINY).sqrt()
    return ((difference * images).sum(2) / scale).mean()


def fusion_quality_loss(
    fused: Tensor,
    sources: Tensor,
    edge_weight: float = 2.0,
    information_weight: float = 4.0,
    correlation_weight: float = 1.5,
    ssim_weight: float = 3.0,
    intensity_weight: float = 2.0,
) -> Tensor:
    """Weighted sum of one minus edge preservation, visual information, correlation of differences and SSIM, and L1.

    Args:
        fused: (B, 1, H, W) in [0, 1]; H, W >= 41.
        sources: (B, N, H, W) in [0, 1]; where all are 0 the fused image is taken as 0, as at inference.
        edge_weight: of :func:`edge_preservation`.
        information_weight: of :func:`visual_information`.
        correlation_weight: of :func:`difference_correlation`.
        ssim_weight: of :func:`~.fusion_ssim_loss`, which is one minus the mean SSIM already.
        intensity_weight: of the L1 distance to the pixelwise maximum, :func:`~.fusion_intensity_loss`.

    Returns:
        Scalar.

    Raises:
        ValueError: for shapes that do not fit, or images smaller than 41 pixels.
    """
    fused, sources = fusion_inputs("fusion_quality_loss", fused, sources)
    with torch.autocast(fused.device.type, enabled=False):
        fused = fused * (sources > 0).any(1, keepdim=True)
        return (
            edge_weight * (1 - edge_preservation(fused, sources))
            + information_weight * (1 - visual_information(fused, sources))
            + correlation_weight * (1 - difference_correlation(fused, sources))
            + ssim_weight * fusion_ssim_loss(fused, sources)
            + intensity_weight * fusion_intensity_loss(fused, sources, "max")
        )


class FusionQualityLoss(nn.Module):
    """Module of :func:`fusion_quality_loss`; same arguments.

    Four figures of the field's tables are trained for directly, so judge a network trained with it also by figures
    that it was not trained for (MI, FMI, Qcb, Qcv, Nabf).
    """

    def __init__(
        self,
        edge_weight: float = 2.0,
        information_weight: float = 4.0,
        correlation_weight: float = 1.5,
        ssim_weight: float = 3.0,
        intensity_weight: float = 2.0,
    ) -> None:
        super().__init__()
        self.edge_weight = edge_weight
        self.information_weight = information_weight
        self.correlation_weight = correlation_weight
        self.ssim_weight = ssim_weight
        self.intensity_weight = intensity_weight

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """Loss of ``fused`` (B, 1, H, W) for ``sources`` (B, N, H, W)."""
        return fusion_quality_loss(
            fused,
            sources,
            self.edge_weight,
            self.information_weight,
            self.correlation_weight,
            self.ssim_weight,
            self.intensity_weight,
        )


def _sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical slope of each channel (B, C, H, W)."""
    return sobel_slopes(F.pad(image, (1, 1, 1, 1), mode="replicate"))


def _length(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y + 1e-8).sqrt()


def _sigmoid(value: Tensor, top: float, slope: float, middle: float) -> Tensor:
    return top / (1 + torch.exp(slope * (value - middle)))


def _blur(image: Tensor, size: int) -> Tensor:
    return gaussian_mean(image, size, size / 5)
