"""How much each source counts in the loss of EMFusion."""

import torch
from torch import Tensor

__all__ = ["abundance_saliency_weights", "gray_level_entropy"]

BRIGHT = 0.85
LEVELS = 256


def gray_level_entropy(images: Tensor) -> Tensor:
    """Entropy of the 256 gray levels of every image, in bits.

    Args:
        images: (B, N, H, W) in [0, 1]; values outside count as 0 or 1.

    Returns:
        (B, N), in 0..8.
    """
    levels = (images.clamp(0, 1) * (LEVELS - 1)).round().long().flatten(0, 1).flatten(1)  # (B N, H W)
    offset = torch.arange(len(levels), device=levels.device)[:, None] * LEVELS  # a histogram of its own per image
    counts = torch.bincount((levels + offset).flatten(), minlength=len(levels) * LEVELS).view(-1, LEVELS)
    share = counts.to(images.dtype) / levels.shape[1]
    return -torch.xlogy(share, share).sum(1).view(images.shape[:2]) / torch.log(share.new_tensor(2.0))


@torch.no_grad()
def abundance_saliency_weights(sources: Tensor, c: float = 0.5) -> Tensor:
    r"""Weights of the sources from their information and their brightness.

    .. math::
        w = \mathrm{softmax}(s / c), \quad s_i = \mathrm{EN}(S_i) + 3 \, \mathrm{sal}(S_i),
        \quad \mathrm{sal}(x) = \frac{1}{HW} \sum x \, [x > 0.85]

    Args:
        sources: (B, N, H, W), in [0, 1].
        c: temperature, > 0; the smaller, the more the best source takes all.

    Returns:
        (B, N), each row sums to 1; no gradient.

    Raises:
        ValueError: when ``c`` is not positive or ``sources`` is not (B, N, H, W).

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021). The authors' code adds the histograms of a batch up
        and wraps gray level 255 to 0; here each image has its own 256 bins.
    """
    if c <= 0:
        raise ValueError(f"abundance_saliency_weights: c is {c}, it must be > 0; the paper's is 0.5.")
    if sources.ndim != 4:
        raise ValueError(
            f"abundance_saliency_weights: sources have shape {tuple(sources.shape)}, expected (B, N, H, W)."
        )
    sources = sources.to(torch.promote_types(sources.dtype, torch.float32))
    saliency = (sources * (sources > BRIGHT)).mean(dim=(-2, -1))
    return torch.softmax((gray_level_entropy(sources) + 3 * saliency) / c, dim=1)
