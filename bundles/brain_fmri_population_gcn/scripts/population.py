"""The population: subjects that are nodes, and the edges between them and to new subjects."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from .phenotype import PHENOTYPE, RULES, UNKNOWN, edge_tolerance, phenotype_edges

__all__ = ["Population", "pack", "unpack"]

_LEAD = len(PHENOTYPE)
_ROUNDING = 1e-3  # of features, which have unit variance


def pack(x: Tensor, adjacency: Tensor) -> Tensor:
    """Features (N, F) and adjacency (N, N) of a graph as one image (1, 1, N, F + N)."""
    return torch.cat([x, adjacency], dim=1)[None, None]


def unpack(image: Tensor, num_features: int) -> tuple[Tensor, Tensor]:
    """Features (B, N, F) and adjacency (B, N, N) of images (B, 1, N, F + N)."""
    return image[:, 0, :, :num_features], image[:, 0, :, num_features:]


class Population(nn.Module):
    r"""Nodes with their edges, stored with the weights so that a new subject can attach to them.

    .. math::
        a_{ij} = s_{ij} \sum_{h} \gamma(h_i, h_j), \qquad s_{ij} = \exp(-\rho_{ij}^2 / 2 \bar\rho^2)

    with the correlation distance :math:`\rho` of the features, its mean over the training subjects, and the agreement
    :math:`\gamma` of the phenotype (:func:`~.phenotype.phenotype_edges`). No self loops.

    A subject is a vector (3 + F,): site, sex, age, features. That is all that is stored of a node, and of site, sex and
    age only what connects.

    Args:
        num_features: F.
        capacity: nodes there is room for; unused ones are zeros, so that weights of all cohorts have the same shapes.
        edges: phenotype entries that connect, with their tolerances; empty: everybody is connected; None: nobody.
        combine: ``sum`` or ``product`` of the agreements.
        permuted: connect each node as another one drawn at random would be: the control that keeps every property of
            the graph but who is whose neighbour.
        seed: of the permutation.

    Raises:
        ValueError: unknown entries or ``combine``.

    Reference:
        Parisot et al., Medical Image Analysis 48:117-130 (2018), Eq. (2), (3). There the mean distance, and with it
        every edge, also depends on the test subjects.
    """

    __jit_ignored_attributes__ = ["nodes"]  # scripting reads every property, and this one raises before the fit

    stored: Tensor
    count: Tensor
    width: Tensor
    tolerance: Tensor
    rule: Tensor

    def __init__(
        self,
        num_features: int,
        capacity: int,
        edges: Mapping[str, float] | None,
        combine: Literal["sum", "product"] = "sum",
        permuted: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if combine not in RULES:
            raise ValueError(f"Population: combine is {combine!r}, choose sum or product.")
        self.num_features = num_features
        self.capacity = capacity
        self.permuted = permuted
        self.seed = seed
        self.register_buffer("stored", torch.zeros(capacity, _LEAD + num_features))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("width", torch.ones(()))
        # how the graph is made stands in the weights, so that a graph is never made in another way than in training
        self.register_buffer("tolerance", edge_tolerance(edges or {}))
        self.register_buffer("rule", torch.tensor(0 if edges is None else 1 + RULES.index(combine)))

    def fit(self, vectors: Tensor) -> None:
        """Set the mean distance of training subjects, and take them as nodes.

        Args:
            vectors: (T, 3 + F).
        """
        direction = _direction(vectors)
        pairs = len(vectors) * (len(vectors) - 1)
        # sum over pairs of 1 - u_i u_j, without the matrix of pairs
        total = len(vectors) ** 2 - direction.sum(0).square().sum()
        self.width.copy_(total / max(pairs, 1))
        self.set_nodes(vectors)

    def set_nodes(self, vectors: Tensor) -> None:
        """Take subjects (N, 3 + F) as nodes.

        Raises:
            ValueError: more of them than there is room for.
        """
        if len(vectors) > self.capacity:
            raise ValueError(f"Population: {len(vectors)} nodes, and capacity is {self.capacity}; raise capacity.")
        self.stored.zero_()
        self.stored[: len(vectors)] = self._needed(vectors.to(self.stored.device))
        self.count.fill_(len(vectors))

    @property
    def nodes(self) -> Tensor:
        """Vectors (N, 3 + F) of the nodes.

        Raises:
            ValueError: there are none.
        """
        if not int(self.count):
            raise ValueError("Population: it has no nodes; load weights or fit it on training subjects first.")
        return self.stored[: int(self.count)]

    def index_of(self, vectors: Tensor) -> Tensor:
        """Index (M,) of the nodes that equal these vectors up to rounding, which differs between devices and batches.

        Raises:
            ValueError: one is no node.
        """
        vectors = self._needed(vectors)
        place = {node.tobytes(): number for number, node in enumerate(self.nodes.cpu().numpy())}
        found = torch.tensor([place.get(vector.tobytes(), -1) for vector in vectors.cpu().numpy()])
        found = found.to(vectors.device)
        for part in (found < 0).nonzero().flatten().split(1000):
            gap, nearest = torch.cdist(vectors[part], self.nodes.to(vectors.device), p=torch.inf).min(1)
            if not (gap <= _ROUNDING).all():
                raise ValueError(
                    "Population: a subject is no node of the graph; a transductive model knows only the subjects of its "
                    "datalist, train with mode inductive to predict others."
                )
            found[part] = nearest
        return found

    def distance(self, targets: Tensor, sources: Tensor) -> Tensor:
        """Correlation distance (M, N) of the features, 0 .. 2; the last, the score, holds the label and has no part."""
        return (1 - _direction(targets) @ _direction(sources).T).clamp(min=0)

    def weights(self, targets: Tensor, sources: Tensor) -> Tensor:
        """Weights (M, N) of the edges from ``sources`` (N, 3 + F) into ``targets`` (M, 3 + F), self loops included."""
        rule = int(self.rule)
        if rule == 0:
            return targets.new_zeros(len(targets), len(sources))
        phenotype = phenotype_edges(targets[:, :_LEAD], sources[:, :_LEAD], self.tolerance, RULES[rule - 1])
        similarity = torch.exp(-self.distance(targets, sources).square() / (2 * self.width.square()))  # Eq. (2)
        return phenotype * similarity

    def _needed(self, vectors: Tensor) -> Tensor:
        """Vectors without the phenotype that connects nobody: it is not stored, nor shipped with the weights."""
        needed = vectors.clone()
        needed[:, :_LEAD][:, (self.tolerance < 0).to(vectors.device)] = UNKNOWN
        return needed

    def heard(self) -> Tensor:
        """Nodes (N, 3 + F) as the edges see them: in order, or permuted."""
        if not self.permuted:
            return self.nodes
        order = torch.randperm(int(self.count), generator=torch.Generator().manual_seed(self.seed))
        return self.nodes[order.to(self.nodes.device)]

    def graph(self) -> tuple[Tensor, Tensor]:
        """Features (N, F) and adjacency (N, N) of the nodes."""
        heard = self.heard()
        return self.nodes[:, _LEAD:], self.weights(heard, heard).fill_diagonal_(0)

    def attached(self, vectors: Tensor, graph: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Graph of the nodes and, behind them, new subjects (M, 3 + F), which hear the nodes and are not heard.

        So each prediction is that of the subject alone: others of the batch change nothing, and the nodes stay.

        Args:
            vectors: new subjects.
            graph: what :meth:`graph` gave, where it is at hand.

        Returns:
            Features (N + M, F), adjacency (N + M, N + M).
        """
        x, adjacency = graph or self.graph()
        size = len(x) + len(vectors)
        grown = adjacency.new_zeros(size, size)
        grown[: len(x), : len(x)] = adjacency
        grown[len(x) :, : len(x)] = self.weights(vectors, self.heard())
        return torch.cat([x, vectors[:, _LEAD:]]), grown


def _direction(vectors: Tensor) -> Tensor:
    """Centred features of unit norm (N, F - 1): their products are correlations."""
    features = vectors[:, _LEAD:-1]
    return nn.functional.normalize(features - features.mean(1, keepdim=True), dim=1)
