"""Readout of a graph."""

import torch
from torch import Tensor, nn

__all__ = ["Readout"]


class Readout(nn.Module):
    """Mean and maximum of the node features of each graph: (B, n, F) -> (B, 2 F).

    Rows outside ``present`` (B, n) do not count; a graph without any present region gives zeros.

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), Eq. (5): ``mean || max`` (the authors' code has the
        other order).
    """

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """See the class."""
        if present is None:
            return torch.cat([x.mean(1), x.amax(1)], dim=1)  # Eq. (5)
        weight = present[:, :, None].to(x.dtype)
        count = weight.sum(1)
        mean = (x * weight).sum(1) / count.clamp(min=1)
        largest = x.masked_fill(~present[:, :, None], -torch.inf).amax(1)
        return torch.cat([mean, largest.masked_fill(count == 0, 0)], dim=1)
