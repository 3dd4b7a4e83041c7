"""Graph isomorphism convolution that sees the kind of every bond."""

import torch
from torch import Tensor, nn

__all__ = ["GINEConv"]


class GINEConv(nn.Module):
    r"""Add the neighbours, each with an embedding of its bond, to an atom, then apply a network.

    .. math::
        h'_v = \mathrm{MLP}\Big(h_v + \sum_u \mathrm{relu}(h_u + e_{c(u, v)})\Big)

    ``GINConv`` of :mod:`common.layers` takes a bond as a weight; here a double bond is another message, not a larger one.

    Args:
        network: the MLP, acts on the last axis, F -> O.
        in_channels: F, features of an atom.
        num_codes: bond codes 1 .. T; 0 is no bond.

    Shapes:
        ``forward``: ``x`` (B, N, F), ``codes`` (B, N, N) float, row v holding the bonds into atom v -> (B, N, O).
        ``forward_packed``: ``x`` (n, F), ``source``, ``target`` and ``code`` (E,) long -> (n, O), the same numbers.

    Reference:
        Hu et al., Strategies for pre-training graph neural networks, ICLR 2020, arXiv:1905.12265, who add e outside the
        relu; the relu of the sum is that of ``GINEConv`` of PyTorch Geometric, and its eps is 0 here.
    """

    def __init__(self, network: nn.Module, in_channels: int, num_codes: int) -> None:
        super().__init__()
        self.network = network
        self.num_codes = num_codes
        self.bond = nn.Parameter(torch.empty(num_codes, in_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the embeddings from N(0, 0.1^2): at the start all bonds are nearly alike."""
        nn.init.normal_(self.bond, std=0.1)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """See the class."""
        total = x
        for number in range(self.num_codes):
            edges = (codes == number + 1).to(x.dtype)
            total = total + edges @ (x + self.bond[number]).relu()
        return self.network(total)

    def forward_packed(self, x: Tensor, source: Tensor, target: Tensor, code: Tensor) -> Tensor:
        """Molecules side by side, as a list of bonds u -> v."""
        messages = (x.index_select(0, source) + self.bond.index_select(0, code - 1)).relu()
        return self.network(x.index_add(0, target, messages))

    def extra_repr(self) -> str:
        """Settings beside the network."""
        return f"in_channels={self.bond.shape[1]}, num_codes={self.num_codes}"
