"""Gray levels of a fused image against its sources."""

from torch import Tensor, nn

from .fusion_inputs import fusion_inputs, source_weights_or_mean

__all__ = ["FusionIntensityLoss", "fusion_intensity_loss"]

MODES = ("mse", "max")


def fusion_intensity_loss(fused: Tensor, sources: Tensor, mode: str = "mse", weights: Tensor | None = None) -> Tensor:
    r"""Weighted squared error to every source, or absolute error to the brightest one.

    .. math::
        \mathrm{mse}: \frac1B \sum_b \sum_i w_{b,i} \, \mathrm{mean}\,(S_i - F)^2
        \qquad \mathrm{max}: \mathrm{mean}\, |F - \max_i S_i|

    Args:
        fused: F (B, 1, H, W), in [0, 1].
        sources: S (B, N, H, W), in [0, 1].
        mode: ``"mse"`` or ``"max"``.
        weights: (B, N) for ``"mse"``; None is 1 / N each.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: for an unknown mode, weights with ``"max"``, or shapes that do not fit.

    Reference:
        mse: Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021); max: Ma et al., SwinFusion, IEEE/CAA JAS
        9(7):1200-1217 (2022), intensity loss.
    """
    if mode not in MODES:
        raise ValueError(f"fusion_intensity_loss: mode is {mode!r}, choose one of {list(MODES)}.")
    fused, sources = fusion_inputs("fusion_intensity_loss", fused, sources)
    if mode == "max":
        if weights is not None:
            raise ValueError("fusion_intensity_loss: weights go with mode 'mse' only; leave them out for 'max'.")
        return (fused - sources.amax(dim=1, keepdim=True)).abs().mean()
    weights = source_weights_or_mean("fusion_intensity_loss", weights, sources)
    return (weights * (sources - fused).square().mean(dim=(-2, -1))).sum(1).mean()


class FusionIntensityLoss(nn.Module):
    """:func:`fusion_intensity_loss` with a stored mode and equal weights.

    Args:
        mode: ``"mse"`` or ``"max"``.
    """

    def __init__(self, mode: str = "mse") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """Loss of fused (B, 1, H, W) for sources (B, N, H, W)."""
        return fusion_intensity_loss(fused, sources, self.mode)
