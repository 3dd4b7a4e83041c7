"""CPU time of a training step of the graph layers by edge density: dense, sparse CSR, and torch_geometric.

Run from the repository root: ``python benchmarks/graph_layers.py [--nodes 700] [--repeats 15] [--write FILE.md]``.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch_geometric.nn as pyg
from timing import cpu_ms
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common.layers.cheb_conv import ChebConv  # noqa: E402
from common.layers.gat_conv import GATConv  # noqa: E402
from common.layers.gcn_conv import GCNConv, gcn_norm  # noqa: E402
from common.layers.gin_conv import GINConv  # noqa: E402

Forward = Callable[[Tensor], Tensor]
CHANNELS = 64
DENSITIES = (0.002, 0.005, 0.01, 0.015, 0.03, 0.05, 0.1, 1.0)
DEGREE, HEADS = 3, 4
VERSIONS = ("dense", "sparse CSR", "PyG")


def make_graph(nodes: int, density: float) -> tuple[Tensor, Tensor, Tensor]:
    """Symmetric weights (N, N) in (0, 1) on ``density`` of all pairs, and their edge_index and weights."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(nodes, nodes, generator=generator) + 1e-3
    upper = (weights * (torch.rand(nodes, nodes, generator=generator) < density)).triu(1)
    adjacency = upper + upper.T
    target, source = adjacency.nonzero(as_tuple=True)
    return adjacency, torch.stack([source, target]), adjacency[target, source]


def gcn(adjacency: Tensor, index: Tensor, weight: Tensor, normalize: bool) -> dict[str, tuple[nn.Module, Forward]]:
    """GCNConv; without ``normalize`` the graph is normalised once, before the clock starts."""
    own, twin = GCNConv(CHANNELS, CHANNELS), pyg.GCNConv(CHANNELS, CHANNELS, cached=not normalize)
    twin.load_state_dict({"lin.weight": own.weight.T, "bias": own.bias})
    dense, sparse = adjacency, adjacency.to_sparse_csr()
    if not normalize:
        dense, sparse = gcn_norm(dense), gcn_norm(sparse)
    return {
        "dense": (own, lambda x: own(x, dense, normalize)),
        "sparse CSR": (own, lambda x: own(x, sparse, normalize)),
        "PyG": (twin, lambda x: twin(x, index, weight)),
    }


def cheb(adjacency: Tensor, index: Tensor, weight: Tensor) -> dict[str, tuple[nn.Module, Forward]]:
    """ChebConv; all normalise in every step, since PyG has no other way."""
    own, twin = ChebConv(CHANNELS, CHANNELS, DEGREE), pyg.ChebConv(CHANNELS, CHANNELS, DEGREE + 1)
    state = {f"lins.{k}.weight": own.weight[k].T for k in range(DEGREE + 1)}
    twin.load_state_dict(state | {"bias": own.bias})
    sparse = adjacency.to_sparse_csr()
    return {
        "dense": (own, lambda x: own(x, adjacency)),
        "sparse CSR": (own, lambda x: own(x, sparse)),
        "PyG": (twin, lambda x: twin(x, index, weight)),
    }


def gat(adjacency: Tensor, index: Tensor, _: Tensor) -> dict[str, tuple[nn.Module, Forward]]:
    """GATConv with 4 heads of 16."""
    own, twin = (kind(CHANNELS, CHANNELS // HEADS, heads=HEADS) for kind in (GATConv, pyg.GATConv))
    state = {"lin.weight": own.weight.T, "att_src": own.source[None], "att_dst": own.target[None], "bias": own.bias}
    twin.load_state_dict(state)
    sparse = adjacency.to_sparse_csr()
    return {
        "dense": (own, lambda x: own(x, adjacency)),
        "sparse CSR": (own, lambda x: own(x, sparse)),
        "PyG": (twin, lambda x: twin(x, index)),
    }


def gin(adjacency: Tensor, index: Tensor, _: Tensor) -> dict[str, tuple[nn.Module, Forward]]:
    """GINConv with one linear layer, on edges of weight 1."""
    twin = pyg.GINConv(nn.Linear(CHANNELS, CHANNELS))  # draws the network anew, so it comes first
    own = GINConv(twin.nn)
    dense = (adjacency != 0).float()
    sparse = dense.to_sparse_csr()
    return {
        "dense": (own, lambda x: own(x, dense)),
        "sparse CSR": (own, lambda x: own(x, sparse)),
        "PyG": (twin, lambda x: twin(x, index)),
    }


def measure(versions: dict[str, tuple[nn.Module, Forward]], nodes: int, repeats: int) -> dict[str, float]:
    """CPU ms of a step of each version, after a look that all give the same output."""
    x = torch.randn(nodes, CHANNELS, generator=torch.Generator().manual_seed(0), requires_grad=True)
    outputs = [forward(x).detach() for _, forward in versions.values()]
    assert all((out - outputs[0]).abs().max() <= 1e-4 * outputs[0].abs().max() for out in outputs)

    def step(module: nn.Module, forward: Forward) -> Callable[[], None]:
        def run() -> None:
            module.zero_grad()
            x.grad = None
            forward(x).square().mean().backward()

        return run

    return cpu_ms({name: step(*version) for name, version in versions.items()}, repeats)


def row(label: str, density: float, ms: dict[str, float]) -> str:
    """Line of the table."""
    others = " | ".join(f"{ms[name] / ms['dense']:.2f}" for name in VERSIONS[1:])
    return f"| {label} | {density:.1%} | {ms['dense']:.2f} | {others} | {min(ms, key=lambda name: ms[name])} |"


def sentence(label: str, found: dict[float, dict[str, float]]) -> str:
    """From which density on dense is ahead of each other version."""
    parts = []
    for name in VERSIONS[1:]:
        behind = [density for density in DENSITIES if found[density]["dense"] >= found[density][name]]
        ahead = [density for density in DENSITIES if density > max(behind, default=0.0)]
        start = f"from {ahead[0]:.1%} on" if ahead else "nowhere"
        last = f" (the last at which it is not: {max(behind):.1%})" if behind else ""
        parts.append(f"{name} {start}{last}")
    return f"{label}: dense is faster than " + ", than ".join(parts) + "."


def survey(nodes: int, repeats: int) -> tuple[list[str], list[str]]:
    """Lines of the table, and sentences on GCNConv."""
    lines, sentences = [], []
    for label, normalize in (("GCN, normalised once", False), ("GCN, normalised in the step", True)):
        found = {}
        for density in DENSITIES:
            found[density] = measure(gcn(*make_graph(nodes, density), normalize), nodes, repeats)
            lines.append(row(label, density, found[density]))
        sentences.append(sentence(label, found))
    for label, make in ((f"Chebyshev degree {DEGREE}", cheb), (f"GAT, {HEADS} heads", gat), ("GIN", gin)):
        for density in (0.015, 0.1):
            lines.append(row(label, density, measure(make(*make_graph(nodes, density)), nodes, repeats)))
    return lines, sentences


def main(options: argparse.Namespace) -> None:
    """Print the table, and write it where asked."""
    lines, sentences = survey(options.nodes, options.repeats)
    text = (
        f"forward and backward pass of one layer, {options.nodes} nodes, {CHANNELS} -> {CHANNELS} features, symmetric"
        f" graph, float32, one thread, median CPU time of {options.repeats} in turns, torch {torch.__version__}."
        " Density: edges among all ordered pairs. A ratio below 1 beats dense."
    )
    report = ["# Speed of the graph layers", "", f"`python benchmarks/graph_layers.py`: {text}", ""]
    report += [
        "| layer | density | dense, CPU ms | sparse CSR / dense | PyG / dense | fastest |",
        "|---|---|---|---|---|---|",
    ]
    report += [*lines, "", *(f"- {part}" for part in sentences)]
    print("\n".join(report))
    if options.write:
        Path(options.write).write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=700)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--write", help="file for the tables")
    main(parser.parse_args())
