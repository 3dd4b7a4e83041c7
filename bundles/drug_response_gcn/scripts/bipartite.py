"""Drug response on the graph of drugs and cells, whose edges are the measured responses."""

import warnings

import torch
from torch import Tensor, nn

__all__ = ["BipartiteResponse"]

_TO_CELL = ("drug", "measured_in", "cell")
_TO_DRUG = ("cell", "measured_with", "drug")


class BipartiteResponse(nn.Module):
    r"""Pass messages along the measured responses, then predict every pair of a cell and a drug.

    .. math::
        h'_c = h_c + \mathrm{ReLU}\Big(\mathrm{LN}\Big(W_1 h_c
        + W_2 |N(c)|^{-1/2} \sum_{d \in N(c)} w_{cd} h_d\Big)\Big), \qquad
        \hat r_{cd} = \frac{u_c^\top v_d}{\sqrt{H}} + a_c + b_d

    and likewise for drugs, with weights of their own. :math:`w` is the standardised residual of the response, signed, so
    a sum over its root keeps its size whatever the number of edges. (u, a) and (v, b) are linear in the last h and in
    the node's own features. A node without edges (a new cell, a new drug) hears nothing and is predicted from its
    features. The layers are ``GraphConv`` of PyTorch Geometric in a ``HeteroConv``.

    The graph must hold no edge that is to be predicted. Training removes the edges that it supervises from the
    messages of the step (:func:`~.bipartite_graph.hide_edges`), or the network learns to copy them.

    Args:
        num_drug_features: Fd.
        num_cell_features: K.
        hidden_channels: H.
        num_layers: rounds of messages, 1 or more.
        dropout: of hidden features, in [0, 1).

    Shapes:
        ``drug_features`` (D, Fd), ``cell_features`` (C, K), ``edge_index`` (2, E) as [drug; cell], ``edge_weight``
        (E,) -> (C, D), standardised residuals.

    Raises:
        ValueError: for fewer than one layer, and for features, indices or weights that do not fit.

    Reference:
        Liu et al., GraphCDR, Briefings in Bioinformatics 23:bbab457 (2022), for a graph of responses; that one
        classifies and has no weights. Morris et al., AAAI 2019, arXiv:1810.02244, for the convolution without the root.
    """

    def __init__(
        self,
        num_drug_features: int,
        num_cell_features: int,
        hidden_channels: int = 64,
        num_layers: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        from torch_geometric.nn import GraphConv, HeteroConv  # takes two seconds

        if num_layers < 1:
            raise ValueError(f"BipartiteResponse: num_layers is {num_layers}, it must be 1 or more.")
        self.sizes = {"drug": num_drug_features, "cell": num_cell_features}
        self.scale = hidden_channels**-0.5
        self.enter = nn.ModuleDict({kind: nn.Linear(size, hidden_channels) for kind, size in self.sizes.items()})
        self.convs, self.norms = nn.ModuleList(), nn.ModuleDict()
        for number in range(num_layers):
            ways = {way: GraphConv(hidden_channels, hidden_channels, aggr="add") for way in (_TO_CELL, _TO_DRUG)}
            self.convs.append(HeteroConv(ways))
            self.norms.update({f"{kind}_{number}": nn.LayerNorm(hidden_channels) for kind in self.sizes})
        self.dropout = nn.Dropout(dropout)
        self.leave = nn.ModuleDict({kind: nn.Linear(hidden_channels, hidden_channels + 1) for kind in self.sizes})
        self.skip = nn.ModuleDict(
            {kind: nn.Linear(size, hidden_channels + 1, bias=False) for kind, size in self.sizes.items()}
        )

    def forward(self, drug_features: Tensor, cell_features: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """See the class."""
        features = {"drug": drug_features, "cell": cell_features}
        self._check(features, edge_index, edge_weight)
        drug, cell = edge_index
        edges = {
            _TO_CELL: _messages(cell, drug, edge_weight, (len(cell_features), len(drug_features))),
            _TO_DRUG: _messages(drug, cell, edge_weight, (len(drug_features), len(cell_features))),
        }
        nodes = {kind: self.dropout(self.enter[kind](x).relu()) for kind, x in features.items()}
        for number, conv in enumerate(self.convs):
            heard = {kind: self.norms[f"{kind}_{number}"](h).relu() for kind, h in conv(nodes, edges).items()}
            nodes = {kind: h + self.dropout(heard[kind]) for kind, h in nodes.items()}
        ends = {kind: self.leave[kind](h) + self.skip[kind](features[kind]) for kind, h in nodes.items()}
        products = ends["cell"][:, :-1] @ ends["drug"][:, :-1].T
        return self.scale * products + ends["cell"][:, -1:] + ends["drug"][:, -1]

    def _check(self, features: dict[str, Tensor], edge_index: Tensor, edge_weight: Tensor) -> None:
        for kind, x in features.items():
            if x.ndim != 2 or x.shape[1] != self.sizes[kind]:
                raise ValueError(
                    f"BipartiteResponse: {kind}_features has shape {list(x.shape)}, expected one row of"
                    f" {self.sizes[kind]} features per {kind}."
                )
        if edge_index.ndim != 2 or len(edge_index) != 2 or edge_weight.shape != edge_index.shape[1:]:
            raise ValueError(
                f"BipartiteResponse: edge_index has shape {list(edge_index.shape)} and edge_weight"
                f" {list(edge_weight.shape)}, expected (2, E) and (E,)."
            )
        for kind, ends in zip(("drug", "cell"), edge_index, strict=True):
            if ends.numel() and not 0 <= int(ends.min()) <= int(ends.max()) < len(features[kind]):
                raise ValueError(
                    f"BipartiteResponse: edge_index names {kind}s {int(ends.min())} to {int(ends.max())}, there are"
                    f" {len(features[kind])}; its first row holds drugs, its second cells."
                )
        if not edge_weight.isfinite().all():
            raise ValueError("BipartiteResponse: edge_weight has values that are not finite; leave those pairs out.")


def _messages(target: Tensor, source: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Sparse CSR matrix (targets, sources) of the edge weights, each divided by the root of its target's edges."""
    degree = torch.bincount(target, minlength=size[0]).to(weight.dtype)
    weight = weight * degree[target].rsqrt()  # a target has an edge, so its degree is not 0
    # torch warns where check_invariants is left open
    coo = torch.sparse_coo_tensor(torch.stack([target, source]), weight, size, check_invariants=False).coalesce()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")  # "in beta state", once a process
        return coo.to_sparse_csr()
