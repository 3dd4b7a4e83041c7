"""The training objective of BrainGNN."""

import math

import torch
from torch import Tensor, nn

from .common.losses import group_consistency_loss, topk_pool_loss, unit_loss

__all__ = ["BrainGNNLoss"]


class BrainGNNLoss(nn.Module):
    r"""Cross entropy and the three regularisers of the pooling layers.

    .. math:: L = L_{ce} + \lambda_0 \sum_l L_{unit}^{(l)} + \lambda_1 \sum_l L_{TPK}^{(l)} + \lambda_2 L_{GLC}

    Given logits alone (validation) it is the cross entropy. The objectives of the members of an ensemble are added up:
    each is trained as if it were alone, with the same learning rate for any number of members.

    Args:
        num_regions: N.
        num_classes: C.
        ratio: of the pooling layers.
        unit: weight of the unit loss; the paper's is 1.
        topk: weight of the top-k pooling loss; the paper's is 0.1.
        consistency: weight of the group-level consistency loss; the paper's is 0.1.
        normalise: scale of the consistency loss (:func:`~.common.losses.group_consistency_loss`).
        label_smoothing: of the cross entropy in training.

    Shapes:
        output (B, C) or (B, M (C + 2 N + 2)) as :class:`~.network.BrainGNNEnsemble` hands out, label (B,) -> scalar.
        ``terms`` holds the unweighted terms of the last training batch by name, averaged over members.

    Raises:
        ValueError: when the width of the output is neither.

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), Eq. (10).
    """

    def __init__(
        self,
        num_regions: int,
        num_classes: int,
        ratio: float = 0.5,
        unit: float = 1.0,
        topk: float = 0.1,
        consistency: float = 0.1,
        normalise: str = "pairs_nodes",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_regions = num_regions
        self.num_classes = num_classes
        self.kept = math.ceil(ratio * num_regions)
        self.kept_later = math.ceil(ratio * self.kept)
        self.weights = {"cross_entropy": 1.0, "unit": unit, "topk": topk, "consistency": consistency}
        self.normalise = normalise
        self.label_smoothing = label_smoothing
        self.terms: dict[str, float] = {}

    def forward(self, output: Tensor, label: Tensor) -> Tensor:
        """See the class."""
        if output.shape[1] == self.num_classes:
            return nn.functional.cross_entropy(output, label)
        members = [self._member(part, label) for part in self.split(output)]
        terms = {name: torch.stack([member[name] for member in members]).mean() for name in self.weights}
        self.terms = {name: float(term.detach()) for name, term in terms.items()}
        weighted = torch.stack([weight * terms[name] for name, weight in self.weights.items() if weight])  # Eq. (10)
        return len(members) * weighted.sum()

    def split(self, output: Tensor) -> list[Tensor]:
        """Outputs of the members, each (B, C + 2 N + 2)."""
        width = self.num_classes + 2 * self.num_regions + 2
        if output.shape[1] % width:
            raise ValueError(
                f"BrainGNNLoss: output has {output.shape[1]} columns, expected {self.num_classes} or a multiple of"
                f" {width}; num_classes and num_regions must be those of the network."
            )
        return list(output.split(width, dim=1))

    def logits(self, output: Tensor) -> Tensor:
        """Logits (C,) of one case from what the network handed out for it, with or without scores."""
        if len(output) == self.num_classes:
            return output
        parts = [part[0, : self.num_classes].softmax(0) for part in self.split(output[None])]
        return torch.stack(parts).mean(0).log()

    def _member(self, output: Tensor, label: Tensor) -> dict[str, Tensor]:
        sizes = [self.num_classes, self.num_regions, self.num_regions, 2]
        logits, first, second, norms = output.split(sizes, dim=1)
        return {
            "cross_entropy": nn.functional.cross_entropy(logits, label, label_smoothing=self.label_smoothing),
            "unit": unit_loss(norms),
            "topk": topk_pool_loss(first, self.kept) + topk_pool_loss(second, self.kept_later),
            "consistency": group_consistency_loss(first, label, self.normalise),
        }
