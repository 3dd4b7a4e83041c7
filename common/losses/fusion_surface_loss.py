"""Intensity, edges and structure of a fused image, without any learned feature."""

from torch import Tensor, nn

from .fusion_gradient_loss import fusion_gradient_loss
from .fusion_intensity_loss import fusion_intensity_loss
from .fusion_ssim_loss import fusion_ssim_loss

__all__ = ["SurfaceLoss"]


class SurfaceLoss(nn.Module):
    r"""Keep the brightest pixel, the strongest edge and the structure of all sources.

    .. math:: L = 20\, L_{int} + 100\, L_{grad} + 50\, \big(1 - \tfrac1N \textstyle\sum_i \mathrm{SSIM}(S_i, F)\big)

    Args:
        intensity: weight of the L1 to the pixelwise maximum.
        gradient: weight of the L1 of the gradients to their pixelwise maximum.
        ssim: weight of the structural term.
        operator: of the gradient, ``"sobel"`` or ``"finite_difference"``.

    Shapes:
        fused (B, 1, H, W), sources (B, N, H, W), both in [0, 1] -> scalar. ``terms`` holds the unweighted terms of the
        last batch by name.

    Reference:
        Ma et al., SwinFusion, IEEE/CAA JAS 9(7):1200-1217 (2022); the weights are those of their medical models.
    """

    def __init__(
        self, intensity: float = 20.0, gradient: float = 100.0, ssim: float = 50.0, operator: str = "sobel"
    ) -> None:
        super().__init__()
        self.weights = {"intensity": intensity, "gradient": gradient, "ssim": ssim}
        self.operator = operator
        self.terms: dict[str, Tensor] = {}

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """See the class."""
        terms = {
            "intensity": fusion_intensity_loss(fused, sources, "max"),
            "gradient": fusion_gradient_loss(fused, sources, self.operator),
            "ssim": fusion_ssim_loss(fused, sources),
        }
        self.terms = {name: term.detach() for name, term in terms.items()}
        weighted = [weight * terms[name] for name, weight in self.weights.items()]
        return weighted[0] + weighted[1] + weighted[2]
