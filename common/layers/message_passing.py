"""Message passing over a list of edges."""

import torch
from torch import Tensor, nn

__all__ = ["MessagePassing"]

AGGREGATIONS = ("sum", "mean", "max")


class MessagePassing(nn.Module):
    r"""Send a message along every edge, aggregate once what arrives at a node, update the node.

    .. math::
        m_{uv} = M(h_v, h_u, e_{uv}), \qquad a_v = \mathrm{AGG}_{u \in N(v)}\, m_{uv}, \qquad h'_v = U(h_v, a_v)

    M and U are networks with one hidden layer. A message belongs to an edge u -> v, and only the aggregation adds
    messages up; a node without incoming edges has :math:`a_v = 0`.

    Args:
        in_channels: F, features of a node.
        out_channels: O.
        edge_channels: D, features of an edge.
        hidden_channels: C, hidden layer of both networks and length of a message.
        aggregation: ``"sum"``, ``"mean"`` or ``"max"``.

    Shapes:
        ``x`` (N, F), ``edge_index`` (2, E) of torch.long [source u; target v], ``edge_attr`` (E, D), or None where D = 0
        -> (N, O).

    Raises:
        ValueError: for an unknown ``aggregation`` or shapes that do not fit.

    Reference:
        Gilmer et al., Neural message passing for quantum chemistry, ICML 2017, arXiv:1704.01212, Eq. (1) and (2), which
        have the sum only.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_channels: int = 0,
        hidden_channels: int = 32,
        aggregation: str = "sum",
    ) -> None:
        super().__init__()
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"MessagePassing: aggregation is {aggregation!r}, choose one of {list(AGGREGATIONS)}.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.edge_channels = edge_channels
        self.hidden_channels = hidden_channels
        self.aggregation = aggregation
        self.message = nn.Sequential(
            nn.Linear(2 * in_channels + edge_channels, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, hidden_channels),
        )
        self.update = nn.Sequential(
            nn.Linear(in_channels + hidden_channels, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, out_channels),
        )

    def messages(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Message m_uv of every edge, (E, C)."""
        parts = [x.index_select(0, edge_index[1]), x.index_select(0, edge_index[0])]
        if edge_attr is not None:
            parts.append(edge_attr)
        return self.message(torch.cat(parts, dim=1))  # Eq. (1), inside the sum

    def aggregate(self, messages: Tensor, target: Tensor, num_nodes: int) -> Tensor:
        """Sum, mean or maximum over the edges into each node: (E, C), (E,) -> (N, C); 0 where none arrives."""
        empty = messages.new_zeros(num_nodes, messages.shape[1])
        if self.aggregation == "max":
            place = target[:, None].expand_as(messages)
            return empty.scatter_reduce(0, place, messages, "amax", include_self=False)
        total = empty.index_add(0, target, messages)  # Eq. (1)
        if self.aggregation == "sum":
            return total
        count = total.new_zeros(num_nodes).index_add(0, target, total.new_ones(target.shape[0]))
        return total / count.clamp(min=1)[:, None]

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """See the class."""
        self._check(x, edge_index, edge_attr)
        aggregated = self.aggregate(self.messages(x, edge_index, edge_attr), edge_index[1], x.shape[0])
        return self.update(torch.cat([x, aggregated], dim=1))  # Eq. (2)

    def _check(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> None:
        if x.dim() != 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"MessagePassing: x has shape {list(x.shape)}, expected (N, {self.in_channels}); join several graphs to"
                " one by shifting the node numbers."
            )
        if edge_index.dim() != 2 or edge_index.shape[0] != 2 or edge_index.dtype != torch.long:
            raise ValueError(
                f"MessagePassing: edge_index has shape {list(edge_index.shape)} and type {edge_index.dtype}, expected"
                " torch.long (2, E), sources above targets."
            )
        width = 0 if edge_attr is None else edge_attr.shape[-1]
        if width != self.edge_channels or (edge_attr is not None and edge_attr.shape[:-1] != edge_index.shape[1:]):
            given = "None" if edge_attr is None else f"of shape {list(edge_attr.shape)}"
            raise ValueError(
                f"MessagePassing: edge_attr is {given}, expected ({edge_index.shape[1]}, {self.edge_channels}), one row"
                " per edge, or None where edge_channels is 0."
            )

    def extra_repr(self) -> str:
        """Settings in the order of the arguments."""
        return (
            f"{self.in_channels}, {self.out_channels}, edge_channels={self.edge_channels},"
            f" hidden_channels={self.hidden_channels}, aggregation={self.aggregation!r}"
        )
