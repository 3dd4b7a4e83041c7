"""Unit loss of BrainGNN."""

from torch import Tensor

__all__ = ["unit_loss"]


def unit_loss(norms: Tensor) -> Tensor:
    r"""Keep the projection vectors of the pooling layers at unit length: :math:`\sum_l (\|w^{(l)}\|_2 - 1)^2`.

    Args:
        norms: (..., L) lengths of the vectors of the L pooling layers; leading dimensions are averaged.

    Returns:
        Scalar, >= 0.

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), Eq. (6).
    """
    return (norms - 1).square().sum(-1).mean()  # Eq. (6)
