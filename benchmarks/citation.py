"""Two-layer GCN on a citation graph with a fixed split, as Kipf and Welling train it: the oracle for `GCNConv`.

Run from the repository root: ``python -m benchmarks.citation --npz FILE [--backend native|pyg|mlp] [--seeds 10]``.
The file holds features ``x_data, x_indices, x_indptr, x_shape`` (CSR), labels ``y`` (N,), undirected ``edges`` (2, E) and
node numbers ``train, val, test``. The last line reads ``mean XX.XX sd Y.YY``: test accuracy in %, sample deviation over
seeds. The epoch is the one with the highest validation accuracy, of equal ones that with the lowest validation loss.

Reference: Kipf and Welling, ICLR 2017, arXiv:1609.02907, section 5 (81.5 % on Cora, mean of 100 runs).
"""

import argparse
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from sklearn.preprocessing import normalize
from torch import Tensor, nn
from torch.nn import functional

from common.layers import GCNConv, gcn_norm

ARRAYS = ("x_data", "x_indices", "x_indptr", "x_shape", "y", "edges", "train", "val", "test")
BACKENDS = ("native", "pyg", "mlp")
HIDDEN, DROPOUT, LEARNING_RATE, WEIGHT_DECAY, EPOCHS = 16, 0.5, 0.01, 5e-4, 200

Layer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Citation:
    """A graph with features, labels and a split of its nodes."""

    x: Tensor  # sparse CSR (N, F), rows of sum 1
    y: Tensor  # (N,)
    adjacency: Tensor  # sparse CSR (N, N), symmetric, 0 and 1, no self loops
    train: Tensor
    val: Tensor
    test: Tensor


@dataclass(frozen=True)
class Score:
    """Accuracies in % of one seed."""

    epoch: int
    val: float
    test: float
    last: float  # test accuracy after the last epoch


def load(path: Path) -> Citation:
    """Read the file; rows of features are divided by their sum, edges made symmetric, doubles and self loops dropped."""
    arrays = read(path)
    n, y = int(arrays["x_shape"][0]), arrays["y"]
    parts = {part: arrays[part] for part in ("train", "val", "test")}
    for name, nodes in (*parts.items(), ("edges", arrays["edges"])):
        if nodes.size and (nodes.min() < 0 or nodes.max() >= n):
            wrong = nodes.min() if nodes.min() < 0 else nodes.max()
            raise ValueError(f"citation: {name} in {path} names node {wrong}, nodes run from 0 to {n - 1}.")
    for name, nodes in parts.items():
        if not nodes.size:
            raise ValueError(f"citation: {name} in {path} names no node, every part of the split needs one.")
    if len(y) != n or arrays["edges"].ndim != 2 or len(arrays["edges"]) != 2:
        shapes = f"y of shape {list(y.shape)} and edges of shape {list(arrays['edges'].shape)}"
        raise ValueError(f"citation: {path} has {shapes} for {n} nodes, expected ({n},) and (2, E).")
    x = csr_array((arrays["x_data"], arrays["x_indices"], arrays["x_indptr"]), shape=tuple(arrays["x_shape"]))
    graph = coo_array((np.ones(arrays["edges"].shape[1]), arrays["edges"].astype(int)), shape=(n, n))
    graph = ((graph + graph.T) > 0).astype(np.float32)
    graph.setdiag(0)
    graph.eliminate_zeros()
    split = {part: torch.from_numpy(nodes.astype(int)) for part, nodes in parts.items()}
    return Citation(to_torch(normalize(x, norm="l1")), torch.from_numpy(y.astype(int)), to_torch(graph), **split)


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the file."""
    if not path.is_file():
        raise FileNotFoundError(f"citation: {path} is no file, --npz takes one with the arrays {', '.join(ARRAYS)}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"citation: {path} is not an npz file, write it by numpy.savez.")
    with np.load(path) as file:
        missing = [name for name in ARRAYS if name not in file]
        if missing:
            raise ValueError(f"citation: {path} lacks {', '.join(missing)}; it must hold {', '.join(ARRAYS)}.")
        return {name: file[name] for name in ARRAYS}


def to_torch(matrix: csr_array) -> Tensor:
    """Sparse CSR tensor in float32."""
    matrix.sum_duplicates()
    rows, columns = (torch.from_numpy(part.astype(int)) for part in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(matrix.data.astype(np.float32))
    return torch.sparse_csr_tensor(rows, columns, values, matrix.shape, check_invariants=False)


def make_layers(backend: str, graph: Citation) -> tuple[list[nn.Module], list[Layer]]:
    """Modules with the weights of the two layers, and the same as functions of the features alone."""
    widths = (graph.x.shape[1], HIDDEN, int(graph.y.max()) + 1)
    pairs = list(zip(widths, widths[1:], strict=False))
    if backend == "mlp":
        linear = [nn.Linear(*pair) for pair in pairs]
        return [*linear], [*linear]
    if backend == "pyg":
        from torch_geometric.nn import GCNConv as PyGGCNConv

        twins = [PyGGCNConv(*pair, cached=True) for pair in pairs]  # normalises once
        edge_index = graph.adjacency.to_sparse_coo().indices()
        return [*twins], [partial(layer, edge_index=edge_index) for layer in twins]
    own, adjacency = [GCNConv(*pair) for pair in pairs], gcn_norm(graph.adjacency)
    return [*own], [partial(layer, adjacency=adjacency, normalize=False) for layer in own]


def forward(layers: list[Layer], x: Tensor, training: bool) -> Tensor:
    """Logits (N, C). Every backend multiplies the sparse features, of which the stored values are dropped out."""
    values = functional.dropout(x.values(), DROPOUT, training)
    x = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
    hidden = functional.dropout(layers[0](x).relu(), DROPOUT, training)
    return layers[1](hidden)


def train(graph: Citation, backend: str, seed: int, epochs: int = EPOCHS) -> Score:
    """Train one network; the test nodes are only looked at, they choose nothing."""
    torch.manual_seed(seed)
    modules, layers = make_layers(backend, graph)
    decays = zip(modules, (WEIGHT_DECAY, 0.0), strict=True)
    groups = [{"params": module.parameters(), "weight_decay": decay} for module, decay in decays]
    optimizer = torch.optim.Adam(groups, lr=LEARNING_RATE)
    best, rank = Score(0, 0.0, 0.0, 0.0), (-1.0, 0.0)
    test = 0.0
    for epoch in range(1, epochs + 1):
        optimizer.zero_grad()
        logits = forward(layers, graph.x, training=True)
        functional.cross_entropy(logits[graph.train], graph.y[graph.train]).backward()
        optimizer.step()
        with torch.no_grad():
            logits = forward(layers, graph.x, training=False)
        val, test = accuracy(logits, graph, graph.val), accuracy(logits, graph, graph.test)
        loss = functional.cross_entropy(logits[graph.val], graph.y[graph.val]).item()
        if (val, -loss) > rank:
            best, rank = Score(epoch, val, test, 0.0), (val, -loss)
    return Score(best.epoch, best.val, best.test, test)


def accuracy(logits: Tensor, graph: Citation, nodes: Tensor) -> float:
    """Share of the nodes that are right, in %."""
    return 100 * (logits[nodes].argmax(1) == graph.y[nodes]).double().mean().item()


def summary(values: list[float]) -> str:
    """Mean and sample deviation."""
    return f"mean {mean(values):.2f} sd {stdev(values) if len(values) > 1 else 0:.2f}"


def main(path: Path, backend: str, seeds: int, epochs: int) -> None:
    """Print the accuracies of every seed and their mean."""
    graph = load(path)
    (n, features), edges = graph.x.shape, graph.adjacency.values().numel() // 2
    split = f"{len(graph.train)} train, {len(graph.val)} val, {len(graph.test)} test"
    print(f"{path.name}: {n} nodes ({split}), {edges} edges, {features} features, {int(graph.y.max()) + 1} classes")
    print(f"backend {backend}, {epochs} epochs; test accuracy at the best validation epoch, and at the last epoch")
    scores = []
    for seed in range(seeds):
        scores.append(train(graph, backend, seed, epochs))
        found = scores[-1]
        line = f"seed {seed}: test {found.test:.2f} at epoch {found.epoch} (val {found.val:.2f}), last {found.last:.2f}"
        print(line, flush=True)
    print(f"last epoch: {summary([found.last for found in scores])}")
    print(summary([found.test for found in scores]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.citation", description=__doc__.splitlines()[0])
    parser.add_argument("--npz", type=Path, required=True, help="graph with its split")
    parser.add_argument("--backend", choices=BACKENDS, default="native", help="mlp: the same without a graph")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    if options.seeds < 1 or options.epochs < 1:
        parser.error("--seeds and --epochs must be at least 1.")
    try:
        main(options.npz, options.backend, options.seeds, options.epochs)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
