"""The training objective of SDNet."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .fusion_inputs import fusion_inputs

__all__ = ["SDNetLoss", "adaptive_gradient_loss", "strongest_source"]

CENTRE, SIDE, CORNER = 0.1478, 0.1183, 0.0947  # weights of the low-pass filter


def strongest_source(sources: Tensor) -> Tensor:
    r"""Which source has the largest :math:`|\Delta (g * S_i)|` at each pixel; of equal ones the first.

    g is a 3 x 3 Gaussian, :math:`\Delta` the Laplacian of the four neighbours; the border pixel is repeated outwards.

    Args:
        sources: S (B, N, H, W).

    Returns:
        Index of the source, (B, 1, H, W), int64.

    Reference:
        Zhang and Ma, SDNet, IJCV 129:2761-2785 (2021), the adaptive decision block. Their code pads with zeros, which
        makes an edge of every border; here a flat border has none.
    """
    return _laplacian(_low_pass(sources)).abs().argmax(dim=1, keepdim=True)


def adaptive_gradient_loss(fused: Tensor, sources: Tensor) -> Tensor:
    r"""Squared error of the Laplacian to that of the strongest source at each pixel.

    .. math:: \mathrm{mean}\,(\Delta F - \Delta S_m)^2, \qquad m = \arg\max_i |\Delta (g * S_i)|

    Args:
        fused: F (B, 1, H, W).
        sources: S (B, N, H, W), in the range of ``fused``.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: for shapes that do not fit.

    Reference:
        Zhang and Ma, SDNet, IJCV 129:2761-2785 (2021), gradient loss; :func:`strongest_source` is the decision.
    """
    fused, sources = fusion_inputs("adaptive_gradient_loss", fused, sources)
    wanted = _laplacian(sources).gather(1, strongest_source(sources))
    return (_laplacian(fused) - wanted).square().mean()


class SDNetLoss(nn.Module):
    r"""Gray levels of all sources, edges of the strongest one, and sources that can be found in the fused image.

    .. math::
        L = \sum_i a_i\, \mathrm{mean}\,(F - S_i)^2 + 10\, \mathrm{mean}\,(\Delta F - \Delta S_m)^2
        + \sum_i \mathrm{mean}\,(\hat S_i - S_i)^2

    with the decoded sources :math:`\hat S_i` and m of :func:`strongest_source`. Images are mapped from [0, 1] to the
    authors' [-1, 1] first, so that the loss is theirs in size. Computed in float32 (or float64) under autocast.

    Args:
        intensity: :math:`a_i`, one per source; the authors' are for (functional, structural).
        gradient: weight of the edges.
        decomposition: weight of the decoded sources.

    Shapes:
        output (B, 1 + N, H, W), the fused image and the decoded sources, sources (B, N, H, W), both in [0, 1] ->
        scalar. ``terms`` holds the terms of the last batch by name, before ``gradient`` and ``decomposition`` weight
        them; ``intensity`` has the weights of the sources.

    Raises:
        ValueError: when the decoded sources are missing, another shape does not fit, or ``intensity`` has another
            number of weights than there are sources.

    Reference:
        Zhang and Ma, SDNet, IJCV 129:2761-2785 (2021); weights of the authors' code for medical images.
    """

    def __init__(
        self, intensity: Sequence[float] = (1.0, 0.5), gradient: float = 10.0, decomposition: float = 1.0
    ) -> None:
        super().__init__()
        self.intensity = tuple(intensity)
        self.weights = {"intensity": 1.0, "gradient": gradient, "decomposition": decomposition}
        self.terms: dict[str, Tensor] = {}

    def forward(self, output: Tensor, sources: Tensor) -> Tensor:
        """See the class."""
        self._check(output, sources)
        fused, sources = fusion_inputs("SDNetLoss", output[:, :1], sources)
        decoded = output[:, 1:].to(fused.dtype)
        fused, decoded, sources = (2 * image - 1 for image in (fused, decoded, sources))
        weights = sources.new_tensor(self.intensity)
        terms = {
            "intensity": (weights * _squared_error(fused, sources)).sum(),
            "gradient": adaptive_gradient_loss(fused, sources),
            "decomposition": _squared_error(decoded, sources).sum(),
        }
        self.terms = {name: term.detach() for name, term in terms.items()}
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    def _check(self, output: Tensor, sources: Tensor) -> None:
        if output.ndim == sources.ndim == 4 and output.shape[1] == 1:
            raise ValueError(
                f"SDNetLoss: output has shape {tuple(output.shape)}, the fused image alone; call the network with"
                " with_sources=True to get the decoded sources too."
            )
        if output.ndim != 4 or output.shape[1] != sources.shape[1] + 1:
            raise ValueError(
                f"SDNetLoss: output has shape {tuple(output.shape)} and sources {tuple(sources.shape)}; expected"
                " (B, 1 + N, H, W) and (B, N, H, W)."
            )
        if len(self.intensity) != sources.shape[1]:
            raise ValueError(
                f"SDNetLoss: intensity is {self.intensity} for {sources.shape[1]} sources; give one weight per source."
            )


def _squared_error(image: Tensor, sources: Tensor) -> Tensor:
    """Mean squared error to each source, (N,)."""
    return (image - sources).square().mean(dim=(0, 2, 3))


def _laplacian(image: Tensor) -> Tensor:
    """Four neighbours minus four times the pixel, (B, C, H, W) -> the same shape; slices, so autocast has no say."""
    image, sides, _ = _neighbours(image)
    return sides - 4 * image


def _low_pass(image: Tensor) -> Tensor:
    """Gaussian mean of 3 x 3 pixels, (B, C, H, W) -> the same shape."""
    image, sides, corners = _neighbours(image)
    return CENTRE * image + SIDE * sides + CORNER * corners


def _neighbours(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The image, the sum of the four neighbours at its sides, the sum of those at its corners."""
    padded = nn.functional.pad(image, (1, 1, 1, 1), "replicate")
    across = padded[..., :-2] + padded[..., 2:]  # (B, C, H + 2, W)
    down = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return image, across[..., 1:-1, :] + down, across[..., :-2, :] + across[..., 2:, :]
