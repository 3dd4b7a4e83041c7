"""Squared error over the measured pairs of a grid of cells and drugs."""

import torch
from torch import Tensor, nn

from .pair_layout import SCALE
from .response_network import ResponseNetwork

__all__ = ["GridLoss"]


class GridLoss(nn.Module):
    r"""Mean over measured pairs of :math:`((\hat y - y) / s_d)^2`, with the scale of each drug of the library.

    Drugs to which all cells respond alike have a small scale, so they count as much as the others; in ln units they
    would hardly be heard.

    Args:
        network: with a library, whose scales are used.

    Shapes:
        ``pred`` and ``target`` (M, D); NaN in ``target`` is an unmeasured pair, NaN in ``pred`` one that the network does
        not answer in this step -> a number, 0 without any pair.
    """

    def __init__(self, network: ResponseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """See the class."""
        counted = torch.isfinite(target) & ~torch.isnan(pred.detach())
        error = torch.where(counted, (pred - target) / self.network.lead[:, SCALE], 0)
        return error.square().sum() / counted.sum().clamp_min(1)
