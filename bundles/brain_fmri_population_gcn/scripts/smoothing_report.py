"""How alike neighbours become from layer to layer."""

import csv
import logging
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure

from .common.data import atomic_path
from .network import PopulationGCN

__all__ = ["SmoothingReport"]


class SmoothingReport:
    """Write ``smoothing.csv`` and ``smoothing.png``: Rayleigh quotient of every layer's output on the nodes' graph.

    The quotient is the Dirichlet energy of the symmetric Laplacian over the squared norm: 0 when neighbours are alike
    up to their degree (over-smoothing), above 1 when they differ more than strangers.

    Args:
        network: with loaded weights when the run ends.
        output_dir: folder for the files.
        limit: graphs with more nodes are left out, as they are not held densely.
    """

    def __init__(self, network: PopulationGCN, output_dir: str, limit: int = 2000) -> None:
        self.network = network
        self.output_dir = Path(output_dir)
        self.limit = limit

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.COMPLETED, self._write)

    @torch.no_grad()
    def _write(self, engine: Engine) -> None:
        logger = logging.getLogger(type(self).__name__)
        if int(self.network.population.count) > self.limit:
            logger.info(f"more than {self.limit} nodes: no smoothing.csv")
            return
        training = self.network.training
        x, adjacency = self.network.eval().population.graph()
        quotients = self.network.energies(x[None], adjacency[None]).tolist()
        self.network.train(training)
        names = ["features", *(f"layer {number}" for number in range(1, len(quotients)))]
        names[-1] = "logits"
        with atomic_path(self.output_dir / "smoothing.csv") as path, open(path, "w", newline="") as file:
            rows = [(name, f"{value:.6f}") for name, value in zip(names, quotients, strict=True)]
            csv.writer(file, lineterminator="\n").writerows([("state", "rayleigh_quotient"), *rows])
        with atomic_path(self.output_dir / "smoothing.png") as path:
            _plot(names, quotients, path)
        logger.info(f"smoothing of neighbours by layer: {self.output_dir}/smoothing.csv and smoothing.png")


def _plot(names: list[str], quotients: list[float], path: Path) -> None:
    figure = Figure(figsize=(1.6 + 1.3 * len(names), 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(names)), quotients, "o-", color="#0072B2")
    for place, value in enumerate(quotients):
        axes.annotate(f"{value:.2f}", (place, value), textcoords="offset points", xytext=(0, 8), ha="center")
    axes.set(xticks=range(len(names)), xticklabels=names, ylabel="Rayleigh quotient of $L_{sym}$")
    axes.set_ylim(0, 1.15 * max(1.0, *quotients))
    axes.axhline(1, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_title("Differences between neighbours", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
