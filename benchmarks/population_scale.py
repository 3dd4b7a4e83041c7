"""Time and memory of a population graph by its size: kNN edges on the sparse path, all edges on the dense path.

Peaks need Linux. Run from the repository root: ``python benchmarks/population_scale.py [--sizes 1000 10000 100000] [--write FILE.md]``.
"""

import argparse
import ctypes
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundles/brain_fmri_population_gcn")]
from scripts.neighbour_graph import attach_subjects, neighbour_graph  # noqa: E402
from scripts.network import PopulationGCN  # noqa: E402

FEATURES, SITES, NEIGHBOURS, STEPS = 61, 20, 10, 3
EDGES = {"site": 0, "sex": 0, "age": 2}
WORKS = ("graph", "gcn", "cheb", "attach")
Cost = tuple[float, float, float]  # CPU s, wall s, peak MiB
Graph = tuple[Tensor, Tensor]
warnings.filterwarnings("ignore", message="Sparse CSR")


def subjects(count: int, seed: int) -> Tensor:
    """Vectors (count, 3 + F): 20 sites, 2 sexes, ages 6 to 60, normal features."""
    generator = torch.Generator().manual_seed(seed)
    site, sex = (torch.randint(kinds, (count, 1), generator=generator).float() for kinds in (SITES, 2))
    age = 6 + 54 * torch.rand(count, 1, generator=generator)
    return torch.cat([site, sex, age, torch.randn(count, FEATURES, generator=generator)], dim=1)


def make_network(size: int, layer: str) -> PopulationGCN:
    """Two layers on ``size`` nodes; the mean distance is that of the first 1000."""
    torch.manual_seed(0)
    network = PopulationGCN(4, FEATURES, layer=layer, capacity=size, edges=EDGES)
    network.population.fit(subjects(size, 0))
    network.population.set_nodes(subjects(size, 0))
    return network


def make_work(work: str, path: str, size: int, file: Path) -> tuple[Callable[[], object], int]:
    """What is to be measured, with everything it needs made before, and how often."""
    network = make_network(size, work if work in ("gcn", "cheb") else "gcn")
    population, new = network.population, subjects(1, 1)
    if work == "graph":
        make = population.graph if path == "dense" else lambda: neighbour_graph(population, NEIGHBOURS)
        return lambda: torch.save(make(), file), 1
    graph: Graph = torch.load(file)
    if work == "attach" and path == "dense":
        return lambda: population.attached(new), STEPS  # computes the graph of the nodes again
    if work == "attach":
        return lambda: attach_subjects(graph, population, new, NEIGHBOURS), STEPS
    label = torch.arange(size) % 2

    def step() -> None:
        network.zero_grad()
        cross_entropy(network.convolve(*graph), label).backward()

    return step, STEPS


def measure(case: tuple[str, str, int, Path]) -> Cost:
    """Body of a process of its own: cost of one call; where there are several, one more before them is not timed."""
    work, times = make_work(*case)
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed, but not handed back, would hide what follows
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts at what is in use now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if times > 1:
        work()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return cpu / times, wall / times, peak / 1024


def costs(path: str, size: int) -> tuple[int, dict[str, Cost]]:
    """Number of edges of a graph, and the cost of each work on it."""
    context = multiprocessing.get_context("fork")  # imports cost more than most of the works
    with tempfile.TemporaryDirectory() as folder, context.Pool(1, maxtasksperchild=1) as pool:
        file = Path(folder) / "graph.pt"
        found = {work: pool.apply(measure, ((work, path, size, file),)) for work in WORKS}
        adjacency = torch.load(file)[1]
    return int((adjacency if path == "dense" else adjacency.values()).count_nonzero()), found


def row(path: str, size: int) -> str:
    """Line of the table."""
    edges, found = costs(path, size)
    cells = [f"{cpu:.3g} / {wall:.3g} / {peak:.0f}" for cpu, wall, peak in found.values()]
    return f"| {size:,} | {path} | {edges:,} | " + " | ".join(cells) + " |"


def main(options: argparse.Namespace) -> None:
    """Print the table, and write it where asked."""
    report = [
        "| subjects | path | edges | graph | step, GCN | step, Chebyshev | attach one subject |",
        "|---:|---|---:|---|---|---|---|",
    ]
    cases = [("dense", size) for size in options.dense] + [("sparse", size) for size in options.sizes]
    print("\n".join(report), flush=True)
    for case in cases:
        report.append(row(*case))
        print(report[-1], flush=True)
    if options.write:
        Path(options.write).write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--dense", type=int, nargs="*", default=[1000, 2000])
    parser.add_argument("--write", help="file for the table")
    main(parser.parse_args())
