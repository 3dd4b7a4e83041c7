"""Intensity, edges and structure of a fused image, without any learned feature."""

from collections.abc import Sequence

from torch import Tensor, nn

from .fusion_gradient_loss import fusion_gradient_loss
from .fusion_intensity_loss import fusion_intensity_loss
from .fusion_ssim_loss import fusion_ssim_loss

__all__ = ["SurfaceLoss"]


class SurfaceLoss(nn.Module):
    r"""Keep the brightest pixel, the strongest edge and the structure of all sources.

    .. math:: L = 20\, L_{int} + 100\, L_{grad} + 50\, \textstyle\sum_i w_i \big(1 - \mathrm{SSIM}(S_i, F)\big)

    Args:
        intensity: weight of the L1 to the pixelwise maximum.
        gradient: weight of the L1 of the gradients to their pixelwise maximum.
        ssim: weight of the structural term.
        operator: of the gradient, ``"sobel"`` or ``"finite_difference"``.
        source_weights: :math:`w_i` before they are divided by their sum, one per source, >= 0 and not all 0; None is
            :math:`1 / N` each. They decide which source is seen where the sources disagree: the first two terms only
            know the brighter pixel and the stronger edge.

    Shapes:
        fused (B, 1, H, W), sources (B, N, H, W), both in [0, 1] -> scalar. ``terms`` holds the unweighted terms of the
        last batch by name.

    Raises:
        ValueError: for ``source_weights`` that are negative or all 0, or, when it is called, not one per source.

    Reference:
        Ma et al., SwinFusion, IEEE/CAA JAS 9(7):1200-1217 (2022); the weights are those of their medical models, where
        the sources count alike.
    """

    def __init__(
        self,
        intensity: float = 20.0,
        gradient: float = 100.0,
        ssim: float = 50.0,
        operator: str = "sobel",
        source_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if source_weights is not None and not (min(source_weights, default=-1) >= 0 < sum(source_weights)):
            raise ValueError(
                f"SurfaceLoss: source_weights is {list(source_weights)}; give one number >= 0 per source, not all 0, or"
                " None for equal weights."
            )
        self.weights = {"intensity": intensity, "gradient": gradient, "ssim": ssim}
        self.operator = operator
        self.source_weights = None if source_weights is None else tuple(source_weights)
        self.terms: dict[str, Tensor] = {}

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """See the class."""
        terms = {
            "intensity": fusion_intensity_loss(fused, sources, "max"),
            "gradient": fusion_gradient_loss(fused, sources, self.operator),
            "ssim": fusion_ssim_loss(fused, sources, self._shares(sources)),
        }
        self.terms = {name: term.detach() for name, term in terms.items()}
        weighted = [weight * terms[name] for name, weight in self.weights.items()]
        return weighted[0] + weighted[1] + weighted[2]

    def _shares(self, sources: Tensor) -> Tensor | None:
        """Weights of the sources that sum to 1, (B, N)."""
        if self.source_weights is None:
            return None
        if len(self.source_weights) != sources.shape[1]:
            raise ValueError(
                f"SurfaceLoss: source_weights is {list(self.source_weights)} for {sources.shape[1]} sources; give one"
                " weight per source."
            )
        weights = sources.new_tensor(self.source_weights)
        return (weights / weights.sum()).expand(len(sources), -1)
