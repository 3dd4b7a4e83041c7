"""Logistic regression over the planes' logits, for every set of planes that an exam may have."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from .common.metrics import youden_threshold
from .names import PLANES, TASKS

__all__ = ["Stacker", "fit_stacker"]


class Stacker(nn.Module):
    r"""One logit per task from the logits of the planes that are there.

    .. math:: z_t = b_t(A) + \sum_{p \in A} w_{tp}(A) l_{pt}

    A is the set of present planes. The tensors ``weight`` (8, 3 tasks, 3 planes), ``bias`` (8, 3) and ``threshold``
    (8, 3), on the probability, are indexed by the sum of :math:`2^k` over the present planes ``PLANES[k]``. A new
    stacker is the mean of the present planes' logits with threshold 0.5; :func:`fit_stacker` gives a fitted one.

    Shapes:
        logits (B, 3 planes, 3 tasks), present (B, 3 planes) bool -> stacked logits (B, 3); without planes they are 0.
    """

    weight: Tensor
    bias: Tensor
    threshold: Tensor

    def __init__(self) -> None:
        super().__init__()
        subsets = torch.tensor([[pattern >> k & 1 for k in range(3)] for pattern in range(8)], dtype=torch.float32)
        mean = subsets / subsets.sum(1, keepdim=True).clamp(min=1)
        self.register_buffer("weight", mean[:, None].repeat(1, 3, 1))
        self.register_buffer("bias", torch.zeros(8, 3))
        self.register_buffer("threshold", torch.full((8, 3), 0.5))

    def pattern(self, present: Tensor) -> Tensor:
        """Index (B,) of the set of present planes (B, 3)."""
        return present[:, 0].long() + 2 * present[:, 1].long() + 4 * present[:, 2].long()

    def forward(self, logits: Tensor, present: Tensor) -> Tensor:
        """Stacked logits (B, 3) of the members' logits (B, 3 planes, 3 tasks)."""
        pattern = self.pattern(present)
        known = torch.where(present.unsqueeze(2), logits, 0.0).transpose(1, 2)  # (B, tasks, planes)
        return (self.weight[pattern] * known).sum(dim=2) + self.bias[pattern]

    def thresholds(self, present: Tensor) -> Tensor:
        """Probability (B, 3) from which on a task is called positive."""
        return self.threshold[self.pattern(present)]

    def mean_logits(self, logits: Tensor, present: Tensor) -> Tensor:
        """Mean of the present planes' logits (B, 3), the stack without learning; 0 without planes."""
        total = torch.where(present.unsqueeze(2), logits, 0.0).sum(dim=1)
        return total / present.sum(dim=1, keepdim=True).clamp(min=1)


def fit_stacker(logits: Tensor, labels: Tensor, present: Tensor | None = None, inverse_penalty: float = 1.0) -> Stacker:
    """Fit a logistic regression per task and set of planes, and the thresholds.

    The exams that have all planes of a set teach that set, so no regression sees a plane's logit beside a gap. The L2
    penalty acts on standardised logits; the tensors hold the coefficients of the logits as they come. Thresholds
    maximise sensitivity + specificity on the same exams.

    Args:
        logits: out-of-fold logits (N, 3 planes, 3 tasks): of networks that did not see the exam, else the stacker
            trusts the one that overfits most.
        labels: (N, 3 tasks), 0 or 1; -1 is unlabelled and left out.
        present: (N, 3 planes) bool; None: all.
        inverse_penalty: C of scikit-learn, > 0; larger is less L2.

    Raises:
        ValueError: shapes disagree, a logit that counts is not finite, a label is not -1, 0 or 1, or a task has one
            class only among the exams of a set of planes.

    Reference:
        Wolpert, Stacked generalization, Neural Networks 5:241-259 (1992).
    """
    present = torch.ones(logits.shape[:2], dtype=torch.bool) if present is None else present.bool()
    _check(logits, labels, present)
    stacker = Stacker()
    for pattern in range(1, 8):
        planes = [k for k in range(3) if pattern >> k & 1]
        for task in range(3):
            rows = present[:, planes].all(dim=1) & (labels[:, task] >= 0)
            scores, truth = logits[rows][:, planes, task].double().numpy(), labels[rows, task].long().numpy()
            weight, bias, threshold = _regression(scores, truth, planes, task, inverse_penalty)
            stacker.weight[pattern, task, planes] = torch.as_tensor(weight, dtype=torch.float32)
            stacker.bias[pattern, task], stacker.threshold[pattern, task] = bias, threshold
    return stacker


def _regression(
    scores: np.ndarray, truth: np.ndarray, planes: Sequence[int], task: int, inverse_penalty: float
) -> tuple[np.ndarray, float, float]:
    """Coefficients (P,) of the logits (N, P), intercept, and threshold on the probability."""
    if len(np.unique(truth)) != 2:
        names = [PLANES[k] for k in planes]
        raise ValueError(
            f"fit_stacker: task {TASKS[task]} has {int((truth == 1).sum())} positive and {int((truth == 0).sum())}"
            f" negative among the exams with planes {names}, which must both be there; use more exams."
        )
    mean, deviation = scores.mean(0), scores.std(0)
    deviation[deviation == 0] = 1
    fit = LogisticRegression(C=inverse_penalty, max_iter=1000).fit((scores - mean) / deviation, truth)
    weight = fit.coef_[0] / deviation
    bias = float(fit.intercept_[0] - weight @ mean)
    probabilities = 1 / (1 + np.exp(-(scores @ weight + bias)))
    return weight, bias, youden_threshold(probabilities, truth)


def _check(logits: Tensor, labels: Tensor, present: Tensor) -> None:
    """Raise a ValueError when the tables do not belong together."""
    count = len(logits)
    for name, value, shape in (
        ("logits", logits, (count, 3, 3)),
        ("labels", labels, (count, 3)),
        ("present", present, (count, 3)),
    ):
        if tuple(value.shape) != shape:
            raise ValueError(f"fit_stacker: {name} has shape {tuple(value.shape)}, expected {shape}; one row per exam.")
    unknown = sorted(set(labels.flatten().tolist()) - {-1, 0, 1})
    if unknown:
        raise ValueError(f"fit_stacker: labels hold {unknown[0]}, which must be 0, 1 or -1 (unlabelled); recode them.")
    if not logits[present].isfinite().all():
        raise ValueError(
            "fit_stacker: logits of a present plane are not finite, which they must be; train that member again."
        )
