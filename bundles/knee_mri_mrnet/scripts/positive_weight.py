"""Weight of the positive exams in the loss."""

from collections.abc import Sequence

import torch

__all__ = ["positive_weight"]


def positive_weight(labels: Sequence[int]) -> torch.Tensor:
    """``pos_weight`` of ``BCEWithLogitsLoss``: negatives / positives, so that both classes weigh the same; (1,).

    A weight of the output unit, as in the tutorial, multiplies both classes alike and balances nothing.

    Args:
        labels: 0 or 1 of the training section (of no other: that would leak).

    Raises:
        ValueError: a label is neither 0 nor 1, or one of them is absent.
    """
    if unknown := sorted(set(labels) - {0, 1}):
        raise ValueError(f"positive_weight: label {unknown[0]} is neither 0 nor 1; label every training exam.")
    positive = sum(labels)
    if positive in (0, len(labels)):
        raise ValueError(
            f"positive_weight: {positive} of {len(labels)} training exams are positive; add exams of the other kind."
        )
    return torch.tensor([(len(labels) - positive) / positive], dtype=torch.float32)
