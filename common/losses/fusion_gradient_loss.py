"""Edges of a fused image against the strongest edges of its sources."""

from torch import Tensor, nn

from .fusion_inputs import fusion_inputs

__all__ = ["FusionGradientLoss", "fusion_gradient_loss", "sobel_slopes"]

OPERATORS = ("sobel", "finite_difference")


def fusion_gradient_loss(fused: Tensor, sources: Tensor, operator: str = "sobel") -> Tensor:
    r"""Absolute error of the gradient magnitude to the pixelwise maximum over sources, without a border (VALID).

    .. math::
        \mathrm{sobel}: \mathrm{mean}\,\big|\,|\nabla F| - \max_i |\nabla S_i|\,\big|,
        \quad |\nabla I| = |I * s_x| + |I * s_y|
    .. math::
        \mathrm{finite\ difference}: \sum_{d \in \{x, y\}}
        \mathrm{mean}\,\big|\,|\partial_d F| - \max_i |\partial_d S_i|\,\big|

    Args:
        fused: F (B, 1, H, W), in [0, 1].
        sources: S (B, N, H, W), in [0, 1].
        operator: ``"sobel"`` (H, W >= 3) or ``"finite_difference"`` (differences of neighbours; H, W >= 2).

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: for an unknown operator, images too small for it, or shapes that do not fit.

    Reference:
        Ma et al., SwinFusion, IEEE/CAA JAS 9(7):1200-1217 (2022), texture loss. Their code pads with zeros, which makes
        an edge of every bright border; here the border has no gradient of its own.
    """
    if operator not in OPERATORS:
        raise ValueError(f"fusion_gradient_loss: operator is {operator!r}, choose one of {list(OPERATORS)}.")
    fused, sources = fusion_inputs("fusion_gradient_loss", fused, sources)
    smallest = 3 if operator == "sobel" else 2
    if min(fused.shape[-2:]) < smallest:
        raise ValueError(
            f"fusion_gradient_loss: images are {fused.shape[-2]} x {fused.shape[-1]}, {operator} needs at least"
            f" {smallest} pixels a side; give larger patches."
        )
    gradients = _sobel if operator == "sobel" else _finite_differences
    terms = [
        (own - strongest.amax(dim=1, keepdim=True)).abs().mean()
        for own, strongest in zip(gradients(fused), gradients(sources), strict=True)
    ]
    return sum(terms[1:], terms[0])


def _sobel(image: Tensor) -> list[Tensor]:
    """One magnitude (B, C, H - 2, W - 2)."""
    across, down = sobel_slopes(image)
    return [across.abs() + down.abs()]


def sobel_slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical slope (B, C, H - 2, W - 2); kernels [1 2 1] x [-1 0 1].

    With slices, so that autocast has no say.
    """
    smooth_y = image[..., :-2, :] + 2 * image[..., 1:-1, :] + image[..., 2:, :]
    smooth_x = image[..., :-2] + 2 * image[..., 1:-1] + image[..., 2:]
    return smooth_y[..., 2:] - smooth_y[..., :-2], smooth_x[..., 2:, :] - smooth_x[..., :-2, :]


def _finite_differences(image: Tensor) -> list[Tensor]:
    """Magnitudes of the horizontal (B, C, H, W - 1) and the vertical (B, C, H - 1, W) difference."""
    return [image.diff(dim=-1).abs(), image.diff(dim=-2).abs()]


class FusionGradientLoss(nn.Module):
    """:func:`fusion_gradient_loss` with a stored operator.

    Args:
        operator: ``"sobel"`` or ``"finite_difference"``.
    """

    def __init__(self, operator: str = "sobel") -> None:
        super().__init__()
        self.operator = operator

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """Loss of fused (B, 1, H, W) for sources (B, N, H, W)."""
        return fusion_gradient_loss(fused, sources, self.operator)
