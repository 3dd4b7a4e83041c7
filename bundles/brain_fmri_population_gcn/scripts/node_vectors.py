"""The nodes of a fitted network as a data set, for the baselines on the same features."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from .network import PopulationGCN

__all__ = ["NodeVectors"]


class NodeVectors(Dataset):
    """Vector and label of every training subject, as the network was trained on them.

    Args:
        network: with loaded weights when the first item is read.
        cases: the training cases, in the order in which the network was fitted on them.

    Raises:
        ValueError: on reading, when the network has fewer nodes than there are cases.
    """

    def __init__(self, network: PopulationGCN, cases: Sequence[dict[str, Any]]) -> None:
        self.network = network
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        nodes = self.network.population.nodes
        if len(nodes) < len(self.cases):
            raise ValueError(
                f"NodeVectors: the weights have {len(nodes)} nodes and the training section {len(self.cases)} cases; "
                "evaluate with the data that the network was trained on."
            )
        return {"image": nodes[index].cpu(), "label": self.cases[index]["label"], "id": self.cases[index]["id"]}
