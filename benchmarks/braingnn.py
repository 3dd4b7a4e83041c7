"""CPU time and peak memory of a training step: dense BrainGNN beside the authors' algorithm on torch_geometric.

Run from the repository root: ``python benchmarks/braingnn.py [--rounds 5] [--check] [--write docs/braingnn_speed.md]``.
"""

import argparse
import copy
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundles/brain_fmri_braingnn")]
from scripts.network import BrainGNN  # noqa: E402

from tests.bundles.brain_fmri_braingnn import pyg_braingnn as pyg  # noqa: E402

VERSIONS = {
    "pyg": "official algorithm on PyG, a kernel per node of the batch",
    "pyg-shared": "the same on PyG, a kernel per region",
    "official": "dense, official mode",
    "paper": "dense, paper mode",
}
GOALS = {"pyg": (40, 30), "pyg-shared": (8, 7)}  # of official mode: goal, least that passes
SIZES = (50, 100, 200, 400)
DENSITIES = (0.01, 0.02, 0.05, 0.1, 1.0)


def make_batch(graphs: int, regions: int, density: float) -> Tensor:
    """Symmetric features and adjacency with ``density`` of all pairs, zero diagonals: (B, 2, N, N)."""
    generator = torch.Generator().manual_seed(0)
    image = torch.empty(graphs, 2, regions, regions)
    for pair in image:  # one by one, so that making the batch takes no more memory than the batch
        draw = torch.rand(2, regions, regions, generator=generator)
        draw[1] = (draw[1] - (1 - density)).clamp(min=0)
        pair.copy_(draw.triu(1) + draw.triu(1).transpose(1, 2))
    return image


def make_step(version: str, image: Tensor) -> Callable[[], None]:
    """Forward and backward pass of one version; all start from the same weights."""
    torch.manual_seed(0)
    regions, labels = image.shape[2], torch.arange(len(image)) % 2
    net: torch.nn.Module = BrainGNN(regions, mode="paper" if version == "paper" else "official")
    data: Tensor | pyg.Graphs = image
    if version.startswith("pyg"):
        conv = pyg.SharedKernelConv if version == "pyg-shared" else pyg.RegionConv
        net, data = pyg.load(net.state_dict(), copy.deepcopy(net.head), 0.5, conv), pyg.Graphs(image)

    def step() -> None:
        output = net(data)
        net.zero_grad()
        torch.nn.functional.cross_entropy(output if torch.is_tensor(output) else output[0], labels).backward()

    return step


def cpu_seconds(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median CPU time of a step of each version, taken in turns after one step each beforehand."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if number:
                times[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def peak_mib(version: str, graphs: int, regions: int, density: float) -> float:
    """Peak resident memory of three steps in a fresh process, less what imports and the batch take."""
    arguments = ["--peak", version, "--graphs", str(graphs), "--regions", str(regions), "--density", str(density)]
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(version: str, graphs: int, regions: int, density: float) -> None:
    """Body of the process that :func:`peak_mib` starts."""
    make_step(version, make_batch(2, 8, 0.5))()  # libraries load parts of themselves at the first step
    step = make_step(version, make_batch(graphs, regions, density))
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        step()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20)


def compare(graphs: int, regions: int, density: float, rounds: int) -> tuple[list[str], dict[str, float]]:
    """Table of all versions, and by which factor official mode is ahead."""
    # memory first: a process starts with the peak of the one that starts it
    peaks = {name: peak_mib(name, graphs, regions, density) for name in VERSIONS}
    image = make_batch(graphs, regions, density)
    seconds = cpu_seconds({name: make_step(name, image) for name in VERSIONS}, rounds)
    lines = ["| version | CPU s | times less than the first | than the second | peak MiB |", "|---|---|---|---|---|"]
    for name, text in VERSIONS.items():
        ratios = " | ".join(f"{seconds[base] / seconds[name]:.1f}" for base in GOALS)
        lines.append(f"| {text} | {seconds[name]:.3f} | {ratios} | {peaks[name]:.0f} |")
    found = {base: seconds[base] / seconds["official"] for base in GOALS}
    return lines, found | {"memory": peaks["official"] / peaks["pyg"]}


def survey(sizes: tuple[int, ...], densities: tuple[float, ...], rounds: int, nodes: int) -> list[str]:
    """Table of the CPU time of PyG with a kernel per region over that of dense official mode; below 1 PyG wins."""
    lines = [
        "| regions | " + " | ".join(f"{d:.0%} edges" for d in densities) + " |",
        "|---" * (len(densities) + 1) + "|",
    ]
    for regions in sizes:
        cells = []
        for density in densities:
            graphs = nodes // regions if density < 1 else nodes // regions // 5  # complete graphs take PyG gigabytes
            image = make_batch(max(2, graphs), regions, density)
            seconds = cpu_seconds({name: make_step(name, image) for name in ("pyg-shared", "official")}, rounds)
            cells.append(f"{seconds['pyg-shared'] / seconds['official']:.1f}")
        lines.append(f"| {regions} | " + " | ".join(cells) + " |")
    return lines


def main(options: argparse.Namespace) -> int:
    """Print the tables; 1 where ``--check`` finds the dense network too slow."""
    case = (options.graphs, options.regions, options.density)
    lines, found = compare(*case, options.rounds)
    text = (
        f"{case[0]} graphs of {case[1]} regions, {case[2]:.0%} edges, one thread, median of {options.rounds} in turns"
    )
    report = ["# Speed of BrainGNN", "", f"`python benchmarks/braingnn.py`: {text}.", "", *lines]
    if not options.check:
        batch = f"batches of {options.nodes} regions, a fifth of it for complete graphs"
        head = f"CPU time of PyG with a kernel per region over that of dense official mode, {batch}; below 1 PyG wins."
        report += ["", head, "", *survey(options.sizes, DENSITIES, options.rounds, options.nodes)]
    print("\n".join(report))
    if options.write:
        Path(options.write).write_text("\n".join(report) + "\n")
    slow = [base for base, (_, least) in GOALS.items() if found[base] < least]
    if options.check and slow:
        print("too slow against", ", ".join(f"{base}: {found[base]:.1f} < {GOALS[base][1]}" for base in slow))
    return int(options.check and bool(slow))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=100)
    parser.add_argument("--regions", type=int, default=200)
    parser.add_argument("--density", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--nodes", type=int, default=10_000, help="nodes of a batch in the table of sizes")
    parser.add_argument("--check", action="store_true", help="fail below 30x and 7x")
    parser.add_argument("--write", help="file for the tables")
    parser.add_argument("--peak", choices=VERSIONS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print_peak(given.peak, given.graphs, given.regions, given.density)
    else:
        sys.exit(main(given))
