"""Drug tower that reads the distances of the atoms in one conformer."""

import math

import torch
from torch import Tensor, nn

from .common.layers import Readout

__all__ = ["DistanceTower", "Interaction", "ShiftedSoftplus", "radial_basis"]


class ShiftedSoftplus(nn.Module):
    r"""Softplus that is 0 at 0: :math:`\ln(1 + e^x) - \ln 2`."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return nn.functional.softplus(x) - math.log(2.0)


def radial_basis(distances: Tensor, cutoff: float, number: int) -> Tensor:
    r"""Gaussians :math:`\exp(-(d - \mu_k)^2 / 2 \Delta^2)` at centres from 0 to ``cutoff``, spaced by Delta.

    Distances (E,) in angstrom -> (E, ``number``).
    """
    centres = torch.linspace(0.0, cutoff, number, dtype=distances.dtype, device=distances.device)
    return torch.exp(-0.5 * ((distances[:, None] - centres) * ((number - 1) / cutoff)).square())


class Interaction(nn.Module):
    r"""Continuous-filter convolution, and the layers behind it, added to the atoms.

    .. math::
        x'_v = x_v + V\,\mathrm{ssp}\Big(U \sum_{u \ne v} (P x_u) \odot W(d_{uv})\,
            \tfrac{1}{2}(\cos(\pi d_{uv} / c) + 1)\Big)

    The filter W is an MLP of the radial basis of the distance; c is the cutoff.

    Args:
        channels: F.
        cutoff: c in angstrom.
        num_gaussians: of the radial basis.

    Shapes:
        ``x`` (n, F); ``first``, ``second`` (E,) long, every pair of atoms once; ``distances`` (E,) -> (n, F).

    Reference:
        Schuett et al., SchNet, NeurIPS 2017, arXiv:1706.08566, Eq. (2), with the cosine cutoff of PyTorch Geometric.
    """

    def __init__(self, channels: int, cutoff: float, num_gaussians: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.num_gaussians = num_gaussians
        self.filter = nn.Sequential(
            nn.Linear(num_gaussians, channels), ShiftedSoftplus(), nn.Linear(channels, channels)
        )
        self.project = nn.Linear(channels, channels, bias=False)
        self.network = nn.Sequential(nn.Linear(channels, channels), ShiftedSoftplus(), nn.Linear(channels, channels))

    def forward(self, x: Tensor, first: Tensor, second: Tensor, distances: Tensor) -> Tensor:
        """See the class."""
        fade = 0.5 * ((distances * (math.pi / self.cutoff)).cos() + 1)
        weight = self.filter(radial_basis(distances, self.cutoff, self.num_gaussians)) * fade[:, None]
        h = self.project(x)
        total = torch.zeros_like(h).index_add(0, first, h.index_select(0, second) * weight)  # Eq. (2)
        total = total.index_add(0, second, h.index_select(0, first) * weight)
        return x + self.network(total)


class DistanceTower(nn.Module):
    """SchNet on the atom features of a drug, read out after every layer.

    The result depends on distances alone: turning, shifting or mirroring the conformer does not change it, so this
    tower CANNOT tell enantiomers apart beyond what the atom features (R, S) say. Pairs farther apart than ``cutoff``,
    pairs with the same atom twice, and a distance of 0 (not known) do not interact.

    Args:
        in_channels: F, features of an atom; a row of zeros is no atom.
        hidden_channels: width of the layers.
        num_layers: L, at least 1.
        out_channels: O.
        dropout: before and behind the last linear layer, in [0, 1).
        cutoff: in angstrom.
        num_gaussians: of the radial basis.

    Shapes:
        ``drug`` (B, N, F + 2 N): features, bond codes (not read), distances in angstrom (symmetric); ``vector`` (B, L),
        which is not read -> (B, O). Memory grows with the pairs within the cutoff, not with N^2 channels.

    Raises:
        ValueError: for no layer.

    Reference:
        Schuett et al., NeurIPS 2017, arXiv:1706.08566, which embeds the element in place of the features and sums the
        energies of the atoms in place of the readout.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int,
        dropout: float,
        cutoff: float = 5.0,
        num_gaussians: int = 25,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"DistanceTower: num_layers is {num_layers}, it must be 1 or more.")
        self.in_channels = in_channels
        self.cutoff = cutoff
        self.embed = nn.Linear(in_channels, hidden_channels)
        self.layers = nn.ModuleList(Interaction(hidden_channels, cutoff, num_gaussians) for _ in range(num_layers))
        self.readout = Readout()
        width = 2 * num_layers * hidden_channels
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, out_channels), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, drug: Tensor, vector: Tensor) -> Tensor:
        """See the class."""
        atoms = drug.shape[1]
        x = drug[:, :, : self.in_channels]
        distances = drug[:, :, self.in_channels + atoms : self.in_channels + 2 * atoms]
        present = (x != 0).any(2)
        near = (distances > 0) & (distances < self.cutoff) & present[:, :, None] & present[:, None, :]
        pairs = near.triu(1).nonzero()  # (E, 3), each pair once
        first, second = pairs[:, 0] * atoms + pairs[:, 1], pairs[:, 0] * atoms + pairs[:, 2]
        known = distances.flatten().index_select(0, first * atoms + pairs[:, 2])
        h = self.embed(x).flatten(0, 1)
        pooled = []
        for layer in self.layers:
            h = layer(h, first, second, known)
            pooled.append(self.readout(h.view(drug.shape[0], atoms, -1), present))
        return self.head(torch.cat(pooled, 1))
