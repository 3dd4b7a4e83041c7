"""Features that only one modality has."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["unique_channel_loss"]


def unique_channel_loss(
    features_fused: Tensor, features_source: Tensor, channels: Sequence[int] | Tensor | None = None
) -> Tensor:
    r"""Absolute error of the unique channels: :math:`\frac1K \sum_k \mathrm{mean}\, |E_k(S) - E_k(F)|`.

    Args:
        features_fused: E(F) (B, C, H, W).
        features_source: E(S) (B, C, H, W).
        channels: K indices of the unique channels; None takes all C.

    Returns:
        Scalar >= 0, in float32 (or float64).

    Raises:
        ValueError: when the shapes differ, or there is no channel or one that does not exist.

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021), deep-level constraint. The authors' code takes
        squares for some of the channels; the paper's form is L1 for all.
    """
    if features_fused.ndim != 4 or features_fused.shape != features_source.shape:
        raise ValueError(
            f"unique_channel_loss: features have shapes {tuple(features_fused.shape)} and"
            f" {tuple(features_source.shape)}, expected (B, C, H, W) twice."
        )
    dtype = torch.promote_types(torch.promote_types(features_fused.dtype, features_source.dtype), torch.float32)
    difference = (features_fused.to(dtype) - features_source.to(dtype)).abs()
    if channels is None:
        return difference.mean()
    index = torch.as_tensor(channels, device=difference.device)
    count = difference.shape[1]
    if index.ndim != 1 or not len(index) or int(index.min()) < 0 or int(index.max()) >= count:
        raise ValueError(
            f"unique_channel_loss: channels are {index.tolist()}, expected indices in 0..{count - 1}; take them from the"
            " same network as the features."
        )
    return difference[:, index].mean()
