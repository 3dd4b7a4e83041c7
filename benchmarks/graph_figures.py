"""Figures of docs/graph_convolutions.md, drawn with the layers of `common`; seconds, and the same on every run.

Run from the repository root: ``python -m benchmarks.graph_figures [--folder docs/figures]``.
"""

import argparse
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from numpy.polynomial import Chebyshev
from torch import Tensor

from common.data import atomic_path
from common.layers import ChebConv, GCNConv, dirichlet_energy, gcn_norm, laplacian, rayleigh_quotient

ROOT = Path(__file__).resolve().parents[1]
BLUE, RED, GREEN, PINK, ORANGE, GRAY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#777777"
# a triangle with a tail of two, a pair, and an isolated node
EDGES = ((0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (5, 6))
PLACES = ((0.0, 1.0), (0.0, 0.0), (0.9, 0.5), (1.8, 0.5), (2.7, 0.5), (0.9, -0.8), (1.8, -0.8), (2.7, -0.8))
DEPTH, DRAWS, WIDTH = 16, 20, 16


def small_graph() -> Tensor:
    """Adjacency (8, 8) of EDGES."""
    adjacency = torch.zeros(len(PLACES), len(PLACES), dtype=torch.float64)
    source, target = torch.tensor(EDGES).T
    adjacency[source, target] = adjacency[target, source] = 1.0
    return adjacency


def block_graph(nodes: int = 90) -> Tensor:
    """Adjacency of three blocks without isolated nodes."""
    generator = torch.Generator().manual_seed(0)
    block = torch.arange(nodes) % 3
    likely = torch.where(block[:, None] == block, 0.25, 0.02).double()
    upper = (torch.rand(nodes, nodes, generator=generator, dtype=torch.float64) < likely).double().triu(1)
    return upper + upper.T


def draw_graph(axis: Axes) -> None:
    """The small graph with the degree of each node."""
    degree = small_graph().sum(1)
    for a, b in EDGES:
        axis.plot(*zip(PLACES[a], PLACES[b], strict=True), color=GRAY, zorder=1)
    for place, d in zip(PLACES, degree, strict=True):
        axis.add_patch(Circle(place, 0.2, facecolor="white", edgecolor=BLUE, linewidth=2, zorder=2))
        axis.text(*place, f"{d:.0f}", ha="center", va="center", zorder=3)
    axis.set(xlim=(-0.4, 3.1), ylim=(-1.3, 1.5), aspect="equal", title="three components; number = degree")
    axis.axis("off")


def laplacians() -> Figure:
    """Spectra and null vectors of the three Laplacians."""
    adjacency, figure = small_graph(), Figure(figsize=(12, 3.8), layout="constrained")
    graph, spectrum, null = figure.subplots(1, 3, width_ratios=(1, 1.3, 1.3))
    draw_graph(graph)
    forms = (("combinatorial", "$L$", BLUE, "o"), ("symmetric", "$L_{sym}$", RED, "s"))
    for kind, name, colour, marker in (*forms, ("random_walk", "$L_{rw}$", GREEN, "x")):
        values = torch.linalg.eigvals(laplacian(adjacency, kind)).real.sort().values
        spectrum.plot(range(1, 9), values, marker, color=colour, markersize=9 if marker == "x" else 7, label=name)
    spectrum.axhline(2, color=GRAY, linestyle="--")
    spectrum.text(0.7, 2.12, "bound 2 of $L_{sym}$ and $L_{rw}$,\nreached: the pair is bipartite", color=GRAY)
    spectrum.axhline(2 * adjacency.sum(1).max(), color=GRAY, linestyle=":")
    spectrum.text(0.7, 5.65, "bound 2 max d of $L$", color=GRAY)
    spectrum.set(xlabel="eigenvalue number", ylabel="eigenvalue", title="one 0 per component", ylim=(-0.3, 6.4))
    spectrum.legend(frameon=False, loc="center left", bbox_to_anchor=(0.0, 0.7))
    nodes = np.arange(5)
    root = adjacency.sum(1)[:5].sqrt()
    null.bar(nodes - 0.2, np.ones(5), 0.38, color=BLUE, label="1: null vector of $L$, $L_{rw}$")
    null.bar(nodes + 0.2, root, 0.38, color=RED, hatch="//", edgecolor="white", label="$D^{1/2}$1: of $L_{sym}$")
    null.set(xlabel="node of the large component", title="null vectors: constant or not", ylim=(0, 2.4))
    null.legend(frameon=False, loc="upper left")
    return figure


def low_pass(eigenvalue: np.ndarray) -> np.ndarray:
    """Ideal filter: keeps frequencies below 0.7."""
    return (np.asarray(eigenvalue) < 0.7).astype(float)


def filters() -> Figure:
    """Gains of powers of A-hat, of the Laplacian, and of Chebyshev polynomials."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    powers, fit = figure.subplots(1, 2)
    adjacency = block_graph()
    hat = gcn_norm(adjacency)
    spectrum, basis = torch.linalg.eigh(torch.eye(len(hat), dtype=hat.dtype) - hat)
    axis = np.linspace(0, 2, 401)
    for power, colour in ((1, BLUE), (2, GREEN), (8, ORANGE)):
        powers.plot(
            axis, np.abs(1 - axis) ** power, color=colour, label=f"{power} x $\\hat A$: $|1 - \\lambda|^{power}$"
        )
        gain = (basis.T @ torch.linalg.matrix_power(hat, power) @ basis).diagonal().abs()
        powers.plot(spectrum, gain, ".", color=colour, markersize=5)
    powers.plot(axis, axis, color=RED, linestyle="--", label="1 x $\\tilde L_{sym}$: $\\lambda$, high pass")
    powers.axvspan(float(spectrum.max()), 2, color="#eeeeee", zorder=0)
    powers.text(
        float(spectrum.max() + 2) / 2, 1.08, "beyond the largest\n$\\lambda$ of this graph", ha="center", color=GRAY
    )
    powers.set(xlabel="graph frequency $\\lambda$ of $\\tilde L_{sym}$", ylabel="gain", ylim=(-0.05, 2.05), xlim=(0, 2))
    powers.set_title("GCN damps, the Laplacian amplifies")
    powers.legend(frameon=False, loc="upper left")
    fit.plot(axis, low_pass(axis), color="black", linewidth=1, label="ideal low pass")
    spectrum, basis = torch.linalg.eigh(laplacian(adjacency))
    for degree, colour in ((3, BLUE), (8, ORANGE), (20, GREEN)):
        series = Chebyshev.interpolate(low_pass, degree, domain=[0, 2])
        fit.plot(axis, series(axis), color=colour, label=f"Chebyshev, degree {degree}")
        fit.plot(spectrum, chebyshev_gains(series.coef, basis, adjacency), ".", color=colour, markersize=6)
    fit.set(xlabel="graph frequency $\\lambda$ of $L_{sym}$", xlim=(0, 2), ylim=(-0.45, 1.6))
    fit.set_title("lines: polynomial; dots: ChebConv on a graph")
    fit.legend(frameon=False, loc="upper right")
    return figure


def chebyshev_gains(coefficients: np.ndarray, basis: Tensor, adjacency: Tensor) -> Tensor:
    """By how much a ChebConv with these coefficients scales each eigenvector."""
    layer = ChebConv(1, 1, len(coefficients) - 1, bias=False).double()
    layer.weight.data = torch.from_numpy(coefficients)[:, None, None]
    with torch.no_grad():
        passed = layer(basis.T[..., None], adjacency.expand(len(basis), -1, -1))[..., 0]  # a batch of eigenvectors
    return (passed * basis.T).sum(1)


def networks(adjacency: Tensor) -> dict[str, tuple[str, str, Callable[[Tensor], Tensor]]]:
    """Colour, line and one step of each kind of deep network; layers draw new weights at every call."""
    hat, identity = gcn_norm(adjacency), torch.eye(len(adjacency), dtype=adjacency.dtype)

    def gcn(x: Tensor) -> Tensor:
        return GCNConv(WIDTH, WIDTH).double()(x, hat, normalize=False).relu()

    return {
        "$\\hat A$ alone": (BLUE, "-", lambda x: hat @ x),
        "GCN layer, ReLU": (ORANGE, "-", gcn),
        "residual GCN, $x$ + layer($x$)": (PINK, "--", lambda x: x + gcn(x)),
        "ChebConv degree 3, no activation": (GREEN, "-.", lambda x: ChebConv(WIDTH, WIDTH, 3).double()(x, adjacency)),
        "$\\tilde L_{sym}$ alone": (RED, ":", lambda x: (identity - hat) @ x),
    }


def smoothing() -> Figure:
    """Dirichlet energy and Rayleigh quotient per layer."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    energy, quotient = figure.subplots(1, 2)
    adjacency = block_graph()
    for name, (colour, line, step) in networks(adjacency).items():
        traces = np.array([trace(step, adjacency, seed) for seed in range(DRAWS)])
        middle = np.median(traces, 0)
        for axis, values in zip((energy, quotient), middle.T, strict=True):
            axis.plot(range(DEPTH + 1), values, line, color=colour, marker=".", linewidth=2, label=name)
    energy.set(
        yscale="log", ylabel="energy / energy of the input", title="Dirichlet energy: also sees the size of the weights"
    )
    quotient.set(ylabel="Rayleigh quotient", ylim=(0, 1.6), title="Rayleigh quotient: only the frequencies")
    for axis in (energy, quotient):
        axis.set(xlabel="layers", xlim=(0, DEPTH))
        axis.grid(alpha=0.25)
    figure.legend(*energy.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def trace(step: Callable[[Tensor], Tensor], adjacency: Tensor, seed: int) -> list[tuple[float, float]]:
    """Energy over that of the input, and Rayleigh quotient, before and after each of DEPTH layers."""
    torch.manual_seed(seed)
    x = torch.randn(len(adjacency), WIDTH, dtype=torch.float64)
    start, found = dirichlet_energy(x, adjacency), []
    with torch.no_grad():
        for layer in range(DEPTH + 1):
            found.append(((dirichlet_energy(x, adjacency) / start).item(), rayleigh_quotient(x, adjacency).item()))
            x = step(x) if layer < DEPTH else x
    return found


def messages() -> Figure:
    """One message per edge, then one aggregation."""
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    axis = figure.subplots()
    values = (3, 1, 2)
    for k, value in enumerate(values):
        y = 1.3 - 1.3 * k
        node(axis, (0, y), f"$h_{{u_{k + 1}}}$", BLUE)
        axis.add_patch(arrow((0.36, y), (3.2, 0.28 * (1 - k))))
        axis.text(
            (1.25, 0.8, 1.25)[k],
            (1.2, 0.12, -1.33)[k],
            f"$m_{{vu_{k + 1}}} = M(h_v, h_{{u_{k + 1}}}, e_{{u_{k + 1}v}}) = {value}$",
        )
    axis.add_patch(Circle((3.7, 0), 0.5, facecolor="#fdf0d5", edgecolor=ORANGE, linewidth=2))
    axis.text(3.7, 0, "AGG\nonce", ha="center", va="center")
    axis.add_patch(arrow((4.2, 0), (5.1, 0)))
    axis.text(4.62, 0.14, "$a_v$", ha="center")
    node(axis, (5.45, 0), "$h_v$", RED)
    axis.text(5.45, -0.75, "$h_v' = U(h_v, a_v)$", ha="center")
    lines = ("sum    3 + 1 + 2 = 6", "mean  6 / 3 = 2", "max    3", "no edge arrives: 0 in all three")
    for k, line in enumerate(lines):
        axis.text(6.5, 1.3 - 0.36 * k, line)
    axis.text(
        6.5,
        -0.45,
        "Summing at the node first and\naggregating that again is wrong:\nmean 6, max 6, sum 18.",
        va="top",
        color=RED,
    )
    axis.set(xlim=(-0.5, 9.3), ylim=(-1.75, 1.75), aspect="equal")
    axis.axis("off")
    return figure


def node(axis: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    """A circle with a name in it."""
    axis.add_patch(Circle(place, 0.34, facecolor="white", edgecolor=colour, linewidth=2))
    axis.text(*place, text, ha="center", va="center")


def arrow(start: tuple[float, float], end: tuple[float, float]) -> FancyArrowPatch:
    """An edge with its direction."""
    return FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=GRAY, shrinkA=0, shrinkB=0)


FIGURES = (messages, laplacians, filters, smoothing)


def main(folder: Path) -> None:
    """Write the four figures."""
    folder.mkdir(parents=True, exist_ok=True)
    for draw in FIGURES:
        path = folder / f"graph_{draw.__name__}.png"
        with atomic_path(path) as temporary:
            draw().savefig(temporary, dpi=110, metadata={"Software": None})
        print(f"{path}: {math.ceil(path.stat().st_size / 1024)} KiB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph_figures", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "docs/figures")
    main(parser.parse_args().folder)
