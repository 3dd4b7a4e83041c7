"""Graph convolutional network on a population."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .common.layers import gcn_norm, rayleigh_quotient, scaled_laplacian
from .graph_layers import make_layer
from .population import Population, unpack
from .subject_features import SubjectFeatures

__all__ = ["PopulationGCN"]


class PopulationGCN(nn.Module):
    r"""Classify the nodes of a graph of subjects.

    .. math::
        H_0 = X, \qquad H_{l+1} = \mathrm{relu}(\mathrm{conv}_l(\mathrm{dropout}(H_l), A)),
        \qquad \mathrm{logits} = \mathrm{conv}_L(\mathrm{dropout}(H_L), A)

    The fitted features and the nodes are buffers, so that one file of weights predicts a new subject
    (:class:`~.population_inferer.PopulationInferer`).

    Args:
        num_regions: N of the connectivity, for :class:`~.subject_features.SubjectFeatures`.
        num_features: F, features of a node.
        num_classes: C.
        hidden_channels: width of each hidden layer; its length is the depth.
        layer: ``gcn``, ``cheb``, ``gat``, ``gin`` or ``message_passing``.
        degree: of the Chebyshev polynomial.
        dropout: before every layer, in [0, 1).
        backend: ``native``, or ``pyg`` for the layers of PyTorch Geometric.
        method: how features are fitted, ``components`` or ``selection``.
        tangent: fit them to edges in the tangent space too.
        capacity: most nodes of a population.
        edges: phenotype that connects, with tolerances; empty: everybody; None: nobody.
        combine: ``sum`` or ``product`` of the agreements.
        permuted: the control graph of :class:`~.population.Population`.

    Shapes:
        ``image`` (B, 1, N, F + N): features and adjacency (row i: edges into i) of a graph -> logits (B, C, N).

    Raises:
        ValueError: for an image of another shape.

    Reference:
        Kipf and Welling, ICLR 2017; Defferrard et al., NeurIPS 2016; Parisot et al., Medical Image Analysis 48 (2018).
    """

    training_vectors: dict[str, Tensor]  # by id, of the subjects of the last fit; never saved

    def __init__(
        self,
        num_regions: int,
        num_features: int,
        num_classes: int = 2,
        hidden_channels: Sequence[int] = (16,),
        layer: str = "cheb",
        degree: int = 3,
        dropout: float = 0.3,
        backend: str = "native",
        method: Literal["components", "selection"] = "components",
        tangent: bool = True,
        capacity: int = 2000,
        edges: Mapping[str, float] | None = None,
        combine: Literal["sum", "product"] = "sum",
        permuted: bool = False,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.features = SubjectFeatures(num_regions, num_features, method, tangent)
        self.population = Population(num_features, capacity, edges, combine, permuted)
        widths = [num_features, *hidden_channels, num_classes]
        self.layers = nn.ModuleList(
            make_layer(layer, backend, one, other, degree) for one, other in zip(widths, widths[1:], strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        self.normalisation = layer if backend == "native" else ""
        self.training_vectors = {}

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        if image.shape[1] != 1 or image.shape[3] != self.num_features + image.shape[2]:
            raise ValueError(
                f"PopulationGCN: image has shape {list(image.shape)}, expected (B, 1, N, {self.num_features} + N):"
                " features and adjacency of N nodes."
            )
        x, adjacency = unpack(image, self.num_features)
        return self.convolve(x, adjacency).transpose(1, 2)

    def convolve(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Logits (..., N, C) of features (B, N, F) on a dense graph, or (N, F) on a sparse CSR one."""
        return self.hidden(x, adjacency)[-1]

    def hidden(self, x: Tensor, adjacency: Tensor) -> list[Tensor]:
        """Features, output of every hidden layer, and logits."""
        return self.propagate(x, self.propagation(adjacency))

    def propagate(self, x: Tensor, matrix: Tensor) -> list[Tensor]:
        """States of :meth:`hidden` with what :meth:`propagation` gave."""
        states = [x]
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(self.dropout(x), matrix)
            if number < last:
                x = x.relu()
            states.append(x)
        return states

    def propagation(self, adjacency: Tensor) -> Tensor:
        """What the layers multiply by, computed once for all of them."""
        if self.normalisation == "gcn":
            return gcn_norm(adjacency)
        if self.normalisation == "cheb":
            return scaled_laplacian(adjacency)
        return adjacency

    def energies(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Dirichlet energy of every hidden state over its squared norm, (layers + 1,): 0 when all nodes are alike.

        Args:
            x: (1, N, F).
            adjacency: (1, N, N), symmetric.
        """
        return torch.stack([rayleigh_quotient(state, adjacency).mean() for state in self.hidden(x, adjacency)])
