"""From subjects to the graph around them, and back to their logits."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from monai.inferers import Inferer
from torch import Tensor

from .neighbour_graph import attach_subjects, neighbour_graph
from .network import PopulationGCN
from .population import pack
from .sampled_graph import sampled_logits

__all__ = ["PopulationInferer"]


class PopulationInferer(Inferer):
    """Put subjects into the population's graph, run the network, and return their logits.

    ``inductive``: a new subject attaches to the nodes, which are training subjects; it hears them and they do not hear
    it, so every prediction is the same whoever else is predicted. ``transductive``: all subjects of all sections are
    nodes, so features of test subjects (never labels) take part in training. In training either looks its subjects up
    among the nodes.

    Args:
        population: the network whose features and nodes are used; not wrapped by DistributedDataParallel.
        mode: ``inductive`` or ``transductive``.
        training: the subjects are nodes also in mode inductive.
        dense_limit: largest graph, new subjects included, that is packed into one dense image; beyond it each node
            keeps ``neighbours`` edges and the graph is sparse.
        neighbours: k of the sparse graph.
        num_neighbors: in training on a sparse graph, edges sampled per layer with PyG's NeighborLoader; None: all.

    Raises:
        ValueError: for an unknown mode.
    """

    def __init__(
        self,
        population: PopulationGCN,
        mode: Literal["inductive", "transductive"] = "inductive",
        training: bool = False,
        dense_limit: int = 2000,
        neighbours: int = 10,
        num_neighbors: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("inductive", "transductive"):
            raise ValueError(f"PopulationInferer: mode is {mode!r}, choose inductive or transductive.")
        self.population = population
        self.among_nodes = training or mode == "transductive"
        self.dense_limit = dense_limit
        self.neighbours = neighbours
        self.num_neighbors = num_neighbors
        self._graph: tuple[Tensor, Tensor] | None = None  # of the nodes; they stay as they are while it is in use

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Logits (M, C) of subject vectors ``inputs`` (M, 3 + F)."""
        if self.among_nodes:
            index = self.population.population.index_of(inputs)
            return self._on_nodes(network, index)
        return self._attached(network, inputs)

    @property
    def _count(self) -> int:
        return int(self.population.population.count)

    def _nodes_graph(self, dense: bool) -> tuple[Tensor, Tensor]:
        if self._graph is None or (self._graph[1].layout == torch.strided) != dense:
            nodes = self.population.population
            self._graph = nodes.graph() if dense else neighbour_graph(nodes, self.neighbours)
        return self._graph

    def _on_nodes(self, network: Any, index: Tensor) -> Tensor:
        dense = self._count <= self.dense_limit
        x, adjacency = self._nodes_graph(dense)
        if dense:
            return network(pack(x, adjacency))[0].T[index]
        if network is not self.population:
            raise ValueError(
                f"PopulationInferer: {self._count} nodes exceed dense_limit {self.dense_limit}, and sparse graphs train"
                " in one process only; run without multi_gpu_train.json or raise dense_limit."
            )
        if self.num_neighbors:
            return sampled_logits(network, x, network.propagation(adjacency), index, self.num_neighbors)
        return network.convolve(x, adjacency)[index]

    def _attached(self, network: Any, inputs: Tensor) -> Tensor:
        nodes = self.population.population
        if self._count + len(inputs) <= self.dense_limit:
            return network(pack(*nodes.attached(inputs, self._nodes_graph(True))))[0].T[self._count :]
        x, adjacency = attach_subjects(self._nodes_graph(False), nodes, inputs, self.neighbours)
        return self.population.convolve(x, adjacency)[self._count :]
