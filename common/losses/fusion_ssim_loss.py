"""Structural similarity of a fused image to its sources."""

import torch
from torch import Tensor, nn

from .fusion_inputs import fusion_inputs, source_weights_or_mean

__all__ = ["FusionSSIMLoss", "fusion_ssim_loss", "gaussian_mean", "ssim_index"]


def ssim_index(x: Tensor, y: Tensor, window: int = 11, sigma: float = 1.5, data_range: float = 1.0) -> Tensor:
    r"""Mean structural similarity of every channel, with a Gaussian window and no border (VALID).

    .. math::
        \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},
        \qquad C_1 = (0.01 L)^2,\; C_2 = (0.03 L)^2

    Computed in float32 (or float64) whatever autocast says: in half precision the difference of two means of squares
    can be a negative variance.

    Args:
        x: (B, C, H, W), or (B, 1, H, W) to compare with each channel of ``y``.
        y: (B, C, H, W).
        window: side of the window, in pixels.
        sigma: of the Gaussian, in pixels.
        data_range: L, largest minus smallest possible value.

    Returns:
        (B, C), at most 1.

    Raises:
        ValueError: when the images are smaller than the window.

    Reference:
        Wang et al., IEEE TIP 13(4):600-612 (2004), Eq. (13) with the window of section III-C.
    """
    height, width = y.shape[-2:]
    if min(height, width) < window:
        raise ValueError(
            f"ssim_index: images are {height} x {width}, smaller than the window of {window}; give larger patches or a"
            " smaller window."
        )
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    x, y = x.to(dtype), y.to(dtype)
    with torch.autocast(y.device.type, enabled=False):
        parts = torch.cat([x, y, x * x, y * y, x * y], dim=1)
        sizes = [x.shape[1], y.shape[1], x.shape[1], y.shape[1], y.shape[1]]
        mu_x, mu_y, xx, yy, xy = gaussian_mean(parts, window, sigma).split(sizes, dim=1)
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
        structure = (2 * (xy - mu_x * mu_y) + c2) / (xx - mu_x**2 + yy - mu_y**2 + c2)
        return (luminance * structure).mean(dim=(-2, -1))  # Eq. (13)


def gaussian_mean(image: Tensor, window: int, sigma: float) -> Tensor:
    """Weighted mean under the window, VALID: (B, C, H, W) -> (B, C, H - window + 1, W - window + 1)."""
    distance = torch.arange(window, dtype=image.dtype, device=image.device) - (window - 1) / 2
    kernel = torch.exp(-(distance**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    flat = image.flatten(0, 1)[:, None]  # (B C, 1, H, W)
    flat = nn.functional.conv2d(flat, kernel.view(1, 1, -1, 1))
    flat = nn.functional.conv2d(flat, kernel.view(1, 1, 1, -1))
    return flat.view(*image.shape[:2], *flat.shape[2:])


def fusion_ssim_loss(
    fused: Tensor,
    sources: Tensor,
    weights: Tensor | None = None,
    window: int = 11,
    sigma: float = 1.5,
    data_range: float = 1.0,
) -> Tensor:
    r"""Mean over the batch of :math:`\sum_i w_i (1 - \mathrm{SSIM}(S_i, F))`.

    Args:
        fused: F (B, 1, H, W), in [0, 1].
        sources: S (B, N, H, W), in [0, 1].
        weights: (B, N); None is 1 / N each.
        window: side of the Gaussian window, in pixels.
        sigma: of the Gaussian, in pixels.
        data_range: largest minus smallest possible value.

    Returns:
        Scalar, 0 when all sources equal the fused image.

    Raises:
        ValueError: for shapes that do not fit, or images smaller than the window.

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021), surface-level constraint.
    """
    fused, sources = fusion_inputs("fusion_ssim_loss", fused, sources)
    weights = source_weights_or_mean("fusion_ssim_loss", weights, sources)
    return (weights * (1 - ssim_index(fused, sources, window, sigma, data_range))).sum(1).mean()


class FusionSSIMLoss(nn.Module):
    """:func:`fusion_ssim_loss` with stored settings and equal weights.

    Args:
        window: side of the Gaussian window, in pixels.
        sigma: of the Gaussian, in pixels.
        data_range: largest minus smallest possible value.
    """

    def __init__(self, window: int = 11, sigma: float = 1.5, data_range: float = 1.0) -> None:
        super().__init__()
        self.window = window
        self.sigma = sigma
        self.data_range = data_range

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """Loss of fused (B, 1, H, W) for sources (B, N, H, W)."""
        return fusion_ssim_loss(fused, sources, None, self.window, self.sigma, self.data_range)
