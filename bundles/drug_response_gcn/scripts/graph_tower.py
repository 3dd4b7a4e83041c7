"""Drug tower that reads the molecule graph."""

import torch
from torch import Tensor, nn

from .common.layers import GATConv, GCNConv, GINConv, Readout
from .common.layers.gcn_conv import csr_edges
from .gine_conv import GINEConv

__all__ = ["GRAPH_ENCODERS", "AtomAttention", "GraphTower"]

GRAPH_ENCODERS = ("gine", "gin", "gcn", "gat", "gat_transformer")
_HEADS = 4


class AtomAttention(nn.Module):
    r"""Attention among all atoms of a molecule, bonded or not, with the usual two residuals.

    .. math::
        h' = h + \mathrm{softmax}(Q K^T / \sqrt{d})\, V W, \qquad h'' = h' + \mathrm{MLP}(\mathrm{LN}(h'))

    Q, K and V are linear in LN(h). nn.TransformerEncoderLayer gives NaN for a molecule without atoms.

    Args:
        channels: F, a multiple of 4 heads.
        dropout: on what both residuals add.

    Shapes:
        ``x`` (B, N, F), ``present`` (B, N) bool -> (B, N, F). Absent atoms are not heard.

    Reference:
        Vaswani et al., Attention is all you need, NeurIPS 2017, arXiv:1706.03762, Eq. (1), normalised first.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.heads = _HEADS
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)
        self.network = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """See the class."""
        parts = self.project(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, K, N, d)
        scores = parts[0] @ parts[1].mT / parts.shape[-1] ** 0.5
        scores = scores.masked_fill(~present[:, None, None, :], -1e9)  # finite, so that no molecule gives NaN
        heard = (scores.softmax(-1) @ parts[2]).transpose(1, 2).flatten(2)  # Eq. (1)
        x = x + self.dropout(self.join(heard))
        return x + self.dropout(self.network(x))


class GraphTower(nn.Module):
    r"""Convolve the molecule graph, read every layer out, and describe the drug.

    .. math::
        h_0 = W x, \qquad h_{l+1} = h_l + \mathrm{relu}(\mathrm{LN}(\mathrm{conv}_l(h_l))), \qquad
        z = \mathrm{relu}(V\, \mathrm{LN}([\mathrm{mean}\,h_1 \| \max h_1 \| \ldots \| \max h_L]))

    Mean and maximum are over the atoms, so their order does not matter; LayerNorm, unlike BatchNorm, keeps the other
    drugs of a batch out. ``gine`` (default of the bundle) has the kind of the bond in the message
    (:class:`~.gine_conv.GINEConv`); ``gin``, ``gcn`` and ``gat`` see only that there is one; ``gat_transformer`` lets
    all atoms of a molecule hear each other after the last layer.

    Args:
        encoder: one of ``GRAPH_ENCODERS``.
        in_channels: F, features of an atom; a row of zeros is no atom.
        num_codes: T, bond codes 1 .. T.
        hidden_channels: h, a multiple of 4 for ``gat`` and ``gat_transformer``.
        num_layers: L, convolutions.
        out_channels: O.
        dropout: before and behind the last linear layer, in [0, 1).

    Shapes:
        ``forward``: ``drug`` (B, N, F + N or more), ``vector`` (B, L), which is not read -> (B, O).
        ``forward_packed``: what :func:`~.packed_library.pack_library` gives, ``x`` (n, F), ``bonds`` (n, n) sparse CSR,
        ``molecule`` (n,), ``number`` of molecules D, ``vector`` (D, L) -> (D, O), the same numbers without padding.

    Raises:
        ValueError: for an unknown ``encoder``, no layer, or a ``hidden_channels`` that the heads do not divide.

    Reference:
        Nguyen et al., Graph convolutional networks for drug response prediction, IEEE/ACM TCBB 19:146 (2022), has GCN,
        GAT and GIN; GraTransDRP (Chu et al., IEEE/ACM TCBB 2022) the transformer. Residuals and readout differ.
    """

    def __init__(
        self,
        encoder: str,
        in_channels: int,
        num_codes: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        _check(encoder, hidden_channels, num_layers)
        self.encoder = encoder
        self.in_channels = in_channels
        self.embed = nn.Linear(in_channels, hidden_channels)
        self.convs = nn.ModuleList(_conv(encoder, hidden_channels, num_codes) for _ in range(num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_channels) for _ in range(num_layers))
        self.attention = AtomAttention(hidden_channels, dropout) if encoder == "gat_transformer" else None
        self.readout = Readout()
        width = 2 * num_layers * hidden_channels
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, out_channels), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, drug: Tensor, vector: Tensor) -> Tensor:
        """See the class."""
        x = drug[:, :, : self.in_channels]
        present = (x != 0).any(2)
        bonds = drug[:, :, self.in_channels : self.in_channels + drug.shape[1]]
        if self.encoder != "gine":
            bonds = (bonds != 0).to(x.dtype)
        h = self.embed(x)
        states = []
        for conv, norm in zip(self.convs, self.norms):  # noqa: B905
            h = h + norm(conv(h, bonds)).relu()
            states.append(h)
        if self.attention is not None:
            states[-1] = self.attention(h, present)
        return self.head(torch.cat([self.readout(state, present) for state in states], 1))

    def forward_packed(self, x: Tensor, bonds: Tensor, molecule: Tensor, number: int, vector: Tensor) -> Tensor:
        """See the class."""
        atoms = molecule.bincount(minlength=number)
        edges = _edges(bonds, x.dtype, self.encoder == "gine")
        h = self.embed(x)
        states = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            heard = conv.forward_packed(h, *edges) if isinstance(conv, GINEConv) else conv(h, edges[0])
            h = h + norm(heard).relu()
            states.append(h)
        if self.attention is not None:
            states[-1] = _attend_packed(self.attention, h, molecule, atoms)
        return self.head(torch.cat([_readout_packed(state, molecule, atoms) for state in states], 1))


def _edges(bonds: Tensor, dtype: torch.dtype, listed: bool) -> tuple[Tensor, ...]:
    """Source, target and code of every bond, or else the bonds as a matrix of weights 1."""
    if listed:
        target, source, code = csr_edges(bonds)
        return source, target, code.long()
    ones = torch.ones_like(bonds.values(), dtype=dtype)
    return (
        torch.sparse_csr_tensor(bonds.crow_indices(), bonds.col_indices(), ones, bonds.shape, check_invariants=False),
    )


def _attend_packed(attention: nn.Module, h: Tensor, molecule: Tensor, atoms: Tensor) -> Tensor:
    """Attention within every molecule, padded to the largest: (n, h) -> (n, h)."""
    place = torch.arange(len(h), device=h.device) - (atoms.cumsum(0) - atoms)[molecule]
    padded = h.new_zeros(len(atoms), int(atoms.max()), h.shape[1]).index_put((molecule, place), h)
    present = torch.arange(padded.shape[1], device=h.device) < atoms[:, None]
    return attention(padded, present)[molecule, place]


def _readout_packed(h: Tensor, molecule: Tensor, atoms: Tensor) -> Tensor:
    """Mean and maximum over the rows of every molecule: (n, h) -> (D, 2 h), zeros for one without atoms."""
    total = h.new_zeros(len(atoms), h.shape[1]).index_add(0, molecule, h)
    largest = torch.segment_reduce(h, "max", lengths=atoms, axis=0).masked_fill(atoms[:, None] == 0, 0)
    return torch.cat([total / atoms.clamp(min=1)[:, None], largest], 1)


def _check(encoder: str, hidden_channels: int, num_layers: int) -> None:
    if encoder not in GRAPH_ENCODERS:
        raise ValueError(f"GraphTower: encoder is {encoder!r}, choose one of {list(GRAPH_ENCODERS)}.")
    if num_layers < 1:
        raise ValueError(f"GraphTower: num_layers is {num_layers}, it must be 1 or more.")
    if encoder.startswith("gat") and hidden_channels % _HEADS:
        raise ValueError(
            f"GraphTower: hidden_channels is {hidden_channels}, {encoder} needs a multiple of its {_HEADS} heads."
        )


def _conv(encoder: str, channels: int, num_codes: int) -> nn.Module:
    if encoder == "gine":
        return GINEConv(_mlp(channels), channels, num_codes)
    if encoder == "gin":
        return GINConv(_mlp(channels))
    if encoder == "gcn":
        return GCNConv(channels, channels)
    return GATConv(channels, channels // _HEADS, _HEADS)


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU(), nn.Linear(channels, channels)
    )
