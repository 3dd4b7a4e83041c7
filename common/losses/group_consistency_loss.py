"""Group-level consistency loss of BrainGNN."""

import torch
from torch import Tensor

__all__ = ["group_consistency_loss"]

NORMALISE = ("none", "pairs", "pairs_nodes")


def group_consistency_loss(scores: Tensor, labels: Tensor, normalise: str = "pairs_nodes") -> Tensor:
    r"""Make the graphs of one class keep the same regions.

    .. math::
        \sum_c \sum_{m,n \in I_c} \|\tilde s_m - \tilde s_n\|^2 = 2 \sum_c \mathrm{Tr}(S_c^T L_c S_c)
        = 2 \sum_c M_c \sum_{m \in I_c} \|\tilde s_m - \bar s_c\|^2

    The last form costs O(M N); the Laplacian L_c is never built.

    Args:
        scores: (M, N) standardised scores of the FIRST pooling layer in the order of the regions, NaN where a region
            is missing (pairs with it do not count).
        labels: (M,) class of every graph.
        normalise: ``"none"``: the equation as it is, which grows with M^2 N; ``"pairs"``: each class divided by its
            M_c^2 pairs; ``"pairs_nodes"``: by N as well, so that the weight of the loss means the same for any batch
            and atlas (2 for unrelated scores).

    Returns:
        Scalar, >= 0; a class with fewer than two graphs adds 0.

    Raises:
        ValueError: for an unknown ``normalise`` or shapes that do not fit.

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), Eq. (9). The authors' code compares scores in the order of
        their rank, so not region by region.
    """
    if normalise not in NORMALISE:
        raise ValueError(f"group_consistency_loss: normalise is {normalise!r}, choose one of {list(NORMALISE)}.")
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"group_consistency_loss: scores have shape {tuple(scores.shape)} and labels {tuple(labels.shape)}; expected"
            " (M, N) and (M,)."
        )
    present = scores.isfinite()
    values = scores.masked_fill(~present, 0)
    total = scores.new_zeros(())
    for label in labels.unique():
        member = (labels == label)[:, None] & present
        count = member.sum(0)  # (N,) graphs of the class that have the region
        mean = (values * member).sum(0) / count.clamp(min=1)
        deviation = ((values - mean).square() * member).sum(0)
        term = 2 * (count * deviation).sum()  # Eq. (9)
        pairs = (labels == label).sum() ** 2
        divisor = {"none": torch.ones_like(pairs), "pairs": pairs, "pairs_nodes": pairs * scores.shape[1]}[normalise]
        total = total + term / divisor
    return total
