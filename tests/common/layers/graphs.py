"""Random graphs in float64."""

import torch
from torch import Tensor


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
