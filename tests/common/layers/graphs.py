"""Random graphs."""

import pytest
import torch
from torch import Tensor
from torch_geometric.utils import dense_to_sparse

N, F, O = 9, 5, 3  # noqa: E741
TOLERANCES = [pytest.param(torch.float64, 1e-10, id="float64"), pytest.param(torch.float32, 1e-5, id="float32")]
KINDS = ["undirected", "directed", "self_loops", "some_self_loops", "isolated", "attached", "complete", "empty"]


def graphs(batch: int = 4, regions: int = 7, features: int = 5, density: float = 0.4) -> tuple[Tensor, Tensor]:
    """Features (B, N, F) and a symmetric adjacency (B, N, N) with weights in (0, 1) and a zero diagonal."""
    x = torch.randn(batch, regions, features, dtype=torch.float64)
    weights = torch.rand(batch, regions, regions, dtype=torch.float64)
    upper = (weights * (torch.rand_like(weights) < density)).triu(1)
    return x, upper + upper.transpose(1, 2)


def remove(x: Tensor, adjacency: Tensor, graph: int, region: int) -> Tensor:
    """Make a region missing in place; return ``present`` (B, N)."""
    x[graph, region] = 0
    adjacency[graph, region] = 0
    adjacency[graph, :, region] = 0
    return (x != 0).any(2)


def draw(module: torch.nn.Module) -> torch.nn.Module:
    """The module in float64 with every parameter drawn from N(0, 1), so that no term is small."""
    module.double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def make_graph(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Features (N, F) and weights (N, N) in (0, 1); node 0 alone if isolated, a receiver only if attached."""
    x, adjacency = graphs(1, N, F, density={"complete": 1.0, "empty": 0.0}.get(kind, 0.4))
    x, adjacency = x[0], adjacency[0]
    if kind in ("directed", "attached"):
        weights = torch.rand(N, N, dtype=adjacency.dtype)
        adjacency = (weights * (weights > 0.6)).fill_diagonal_(0)
    if kind.endswith("self_loops"):
        adjacency.diagonal()[:: 2 if kind.startswith("some") else 1] = 0.1 + torch.rand(1, dtype=adjacency.dtype)
    if kind in ("isolated", "attached"):
        adjacency[:, 0] = 0
        adjacency[0] = float(kind == "attached") * torch.rand(N, dtype=adjacency.dtype)
        adjacency[0, 0] = 0
    return x.to(dtype), adjacency.to(dtype)


def edge_list(adjacency: Tensor) -> tuple[Tensor, Tensor]:
    """PyG's [source; target] and weights; dense_to_sparse names the row first, which is our target."""
    index, weight = dense_to_sparse(adjacency)
    return index.flip(0), weight
