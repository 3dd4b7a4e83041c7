"""Class weights for an imbalanced training section."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight

__all__ = ["inverse_frequency"]


def inverse_frequency(labels: Sequence[int], num_classes: int) -> torch.Tensor:
    """Weights N / (C * N_c), float32 (C,): every class has the same total weight.

    Args:
        labels: class indices of the training section (of no other: that would leak).
        num_classes: C.

    Raises:
        ValueError: when a class has no case, or a label is outside 0..C-1.
    """
    present = set(labels)
    unknown, absent = present - set(range(num_classes)), set(range(num_classes)) - present
    if unknown:
        raise ValueError(
            f"inverse_frequency: labels {sorted(unknown)} are outside 0..{num_classes - 1}; label every training case and"
            " set num_classes to the number of classes."
        )
    if absent:
        raise ValueError(
            f"inverse_frequency: the training section has no case of class {sorted(absent)}; add cases or lower num_classes."
        )
    weights = compute_class_weight("balanced", classes=np.arange(num_classes), y=list(labels))
    return torch.as_tensor(weights, dtype=torch.float32)
