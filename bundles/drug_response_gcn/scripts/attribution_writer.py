"""Which atoms speak for the strongest predicted responses, drawn on the molecules."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from .attribution import atom_attributions
from .common.data import read_molecule
from .drug_library import DrugLibrary
from .molecule_drawing import draw_attributions
from .network import DrugResponseNet

__all__ = ["AttributionWriter"]

_LEAST = 0.1  # ln units of the full colour: less is hardly anything


class AttributionWriter:
    """Draw the atoms of the drugs to which a cell is predicted to respond far more than the other cells do.

    Of all pairs, that with the largest fall of ln IC50 below the drug's mean over the cells comes first; with one cell
    alone, that with the lowest ln IC50. Each drug is drawn once, on its best cell, as PNG and SVG. A drug that training
    knows also has a vector of its own, which no atom carries; the drawing shows what the graph says beside it.

    Args:
        output_dir: the files go to ``attributions`` in it.
        network: the one that predicts.
        library: drugs in the order of the predictions.
        number: drugs to draw, 0 for none.
    """

    def __init__(self, output_dir: str, network: DrugResponseNet, library: DrugLibrary, number: int) -> None:
        self.folder = Path(output_dir) / "attributions"
        self.network = network
        self.library = library
        self.number = number
        self.cells: list[tuple[str, torch.Tensor, np.ndarray]] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._draw)

    def _begin(self, engine: Engine) -> None:
        self.cells = []

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if not case["error"]:
                self.cells.append((case["id"], case["image"], output["pred"].float().cpu().numpy()))

    def _draw(self, engine: Engine) -> None:
        if not self.number or not self.cells:
            return
        pred = np.stack([row for _, _, row in self.cells])  # (C, D)
        deviation = pred - pred.mean(axis=0) if len(pred) > 1 else pred
        best = deviation.argmin(axis=0)
        order = deviation.min(axis=0).argsort()[: self.number]
        pairs = [(d, *self.cells[best[d]][:2]) for d in order.tolist()]
        values = [self._attributions(d, image) for d, _, image in pairs]
        limit = max(_LEAST, *(float(one.abs().max()) for one in values))  # one scale for all, so that they compare
        for (d, cell, _), one in zip(pairs, values, strict=True):
            title = f"{self.library.names[d]} on {cell}: ln IC50 {pred[best[d], d]:.2f}, mean of the cells {pred[:, d].mean():.2f}"
            self._draw_pair(d, cell, one, title, limit)
        self.logger.info(f"atoms of {len(order)} drugs: {self.folder}")

    def _attributions(self, d: int, image: torch.Tensor) -> torch.Tensor:
        return atom_attributions(
            self.network, self.network.packed_pair(self.library.rows[d], d, image), self.network.layout
        )

    def _draw_pair(self, d: int, cell: str, values: torch.Tensor, title: str, limit: float) -> None:
        name = self.library.names[d]
        molecule = read_molecule(self.library.parents[d], name)
        stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in f"{name}_{cell}")
        for suffix in ("png", "svg"):
            draw_attributions(molecule, values, self.folder / f"{stem}.{suffix}", title, limit)
