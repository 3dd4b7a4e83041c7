"""Cell tower on a fixed graph of genes."""

import torch
from torch import Tensor, nn

from .common.layers import GCNConv, gcn_norm
from .omics_mlp import OmicsMLP

__all__ = ["GeneTower"]


class GeneTower(nn.Module):
    r"""Graph convolutions over genes, beside the perceptron of the components.

    .. math::
        h^0_g = x_g u_g + v_g, \qquad h^{l+1} = h^l + \mathrm{relu}(\mathrm{LN}(\hat A h^l W^l)), \qquad
        c = W [\mathrm{mean}_g h^L, \max_g h^L] + b + \mathrm{MLP}(z)

    Every gene g has learnt vectors u and v, without which the readout could not tell genes apart. The graph is the same
    for all cells. It is part of the state dict; before :meth:`set_graph` each gene hears itself alone.

    Args:
        num_components: first features of a cell, z.
        num_genes: M, last features of a cell, x.
        hidden_channels: width of the perceptron.
        out_channels: O.
        dropout: probability in the perceptron and behind the readout.
        gene_channels: width of a gene.
        num_layers: graph convolutions.

    Shapes:
        ``features`` (B, num_components + M) -> (B, O).

    Raises:
        ValueError: without genes.

    Reference:
        Kipf and Welling, ICLR 2017, arXiv:1609.02907, Eq. (2). A graph of genes for drug response: Zhu et al., TGSA,
        Bioinformatics 38:461-468 (2022), which uses attention and coarsens the graph.
    """

    propagation: Tensor

    def __init__(
        self,
        num_components: int,
        num_genes: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        gene_channels: int = 16,
        num_layers: int = 2,
    ) -> None:
        super().__init__()
        if num_genes < 1:
            raise ValueError(
                f"GeneTower: num_genes is {num_genes}, a graph of genes needs 1 or more; set num_genes of OmicsFeatures."
            )
        self.parts = [num_components, num_genes]
        self.register_buffer("propagation", torch.eye(num_genes))
        self.gene_weight = nn.Parameter(torch.empty(num_genes, gene_channels))
        self.gene_bias = nn.Parameter(torch.empty(num_genes, gene_channels))
        self.layers = nn.ModuleList([GCNConv(gene_channels, gene_channels) for _ in range(num_layers)])
        self.norms = nn.ModuleList([nn.LayerNorm(gene_channels) for _ in range(num_layers)])
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * gene_channels, out_channels))
        self.components = OmicsMLP(num_components, hidden_channels, out_channels, dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors of the genes with variance 1 / channels."""
        for parameter in (self.gene_weight, self.gene_bias):
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)

    def set_graph(self, adjacency: Tensor) -> None:
        """Take the graph of the genes.

        Args:
            adjacency: (M, M), dense, symmetric, weights >= 0; self loops are added.

        Raises:
            ValueError: for another shape, negative or infinite weights, or a matrix that is not symmetric.
        """
        if adjacency.shape != self.propagation.shape:
            raise ValueError(
                f"GeneTower: the graph has shape {list(adjacency.shape)}, expected {list(self.propagation.shape)}: one "
                "row and one column per gene of the features."
            )
        if not (adjacency.isfinite().all() and (adjacency >= 0).all() and torch.equal(adjacency, adjacency.T)):
            raise ValueError(
                "GeneTower: the graph must be symmetric with finite weights >= 0; make it by coexpression_graph or "
                "interaction_graph."
            )
        self.propagation.copy_(gcn_norm(adjacency))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        components, genes = features.split(self.parts, dim=1)
        h = genes.unsqueeze(-1) * self.gene_weight + self.gene_bias  # (B, M, H)
        for layer, norm in zip(self.layers, self.norms):  # noqa: B905 -- TorchScript knows no strict
            h = h + norm(layer(h, self.propagation, False)).relu()  # Eq. (2)
        return self.out(torch.cat([h.mean(1), h.amax(1)], dim=1)) + self.components(components)
