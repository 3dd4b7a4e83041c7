"""Evaluation on measured pairs: figures with baselines, intervals, scatter plots, a page."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ignite.engine import Engine, Events

from .applicability import FINGERPRINT_BITS
from .common.data import read_molecule, write_metrics, write_responses
from .common.metrics import bootstrap_intervals
from .drug_library import DrugLibrary
from .fingerprint import morgan_fingerprint
from .intervals import ResponseIntervals
from .naive import NaiveMeanEffects
from .pair_layout import DRUG_CODE
from .reference import Reference, save_reference
from .response_figures import plot_responses
from .response_metrics import response_metrics
from .response_network import ResponseNetwork
from .response_page import write_response_page
from .screen import Screen, pairs_of

__all__ = ["ResponseReport"]


class ResponseReport:
    """Write ``predictions.csv``, ``metrics.json``, ``responses.png``, ``report.html`` and the reference of the weights.

    The evaluator runs over the cells of two sections. On ``calibrate_on`` the intervals are fitted and stored beside the
    weights; all figures are of ``section``. Baselines are fitted on the training section alone, and the naive
    mean-effects prediction that normalises the figures comes from there too.

    Args:
        output_dir: folder for the results.
        network: with loaded weights when the run starts; gets the library then.
        screen: all sections.
        library: drugs of the screen.
        section: section to report.
        weights: file of the weights.
        data: where the data come from, for the protocol line.
        calibrate_on: section for the intervals.
        level: probability that an interval is to hold.
        baselines: name -> object with ``fit`` and ``predict`` as in :mod:`~.baselines`.
        page: write ``report.html``.
        num_bootstrap: resamples of the 95 % interval over groups.

    Raises:
        ValueError: at the end, when a section has no measured pair.
    """

    def __init__(
        self,
        output_dir: str,
        network: ResponseNetwork,
        screen: Screen,
        library: DrugLibrary,
        section: str,
        weights: str,
        data: str,
        calibrate_on: str = "validation",
        level: float = 0.9,
        baselines: Mapping[str, Any] | None = None,
        page: bool = True,
        num_bootstrap: int = 1000,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.network = network
        self.screen = screen
        self.library = library
        self.section = section
        self.weights = weights
        self.data = data
        self.calibrate_on = calibrate_on
        self.level = level
        self.baselines = dict(baselines or {})
        self.page = page
        self.num_bootstrap = num_bootstrap
        self.predicted: dict[str, np.ndarray] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator, behind the handler that loads the weights."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def _begin(self, engine: Engine) -> None:
        self.network.set_library(self.library)
        shape = (len(self.screen.cells), len(self.library.names))
        self.predicted = {name: np.full(shape, np.nan) for name in (self.calibrate_on, self.section)}

    def _collect(self, engine: Any) -> None:
        pred = engine.state.output["pred"].float().cpu().numpy()
        places = [self.screen.cells.index(name) for name in engine.state.batch["id"]]
        for place, section, row in zip(places, engine.state.batch["section"], pred, strict=True):
            self.predicted[section][place] = row

    def _report(self, engine: Engine) -> None:
        intervals = self._intervals()
        y, drugs, cells = self._pairs(self.section)
        pred = self.predicted[self.section][cells, drugs]
        low, high = intervals.interval(pred, [self.library.parents[d] for d in drugs])
        self._write_predictions(y, pred, low, high, drugs, cells)
        others, naive = self._baselines(drugs, cells)
        groups = self.screen.pair_groups[cells, drugs]

        def figures(values: np.ndarray) -> dict[str, dict[str, float]]:
            return bootstrap_intervals(
                lambda i: response_metrics(y[i], values[i], naive[i], drugs[i], cells[i]), groups, self.num_bootstrap
            )

        model = figures(pred) | bootstrap_intervals(
            lambda i: {"coverage": float(((low <= y) & (y <= high))[i].mean())}, groups, self.num_bootstrap
        )
        rows = {name: figures(values) for name, values in others.items()}
        protocol = (
            f"{self.data}: section {self.section}, {len(y)} pairs of {len(np.unique(drugs))} drugs and"
            f" {len(np.unique(cells))} cells; 95 % percentile bootstrap over groups, {self.num_bootstrap} resamples;"
            f" baselines and the naive mean effects fitted on training; coverage of {100 * self.level:g} % intervals"
            f" fitted on {self.calibrate_on}"
        )
        write_metrics(self.output_dir / "metrics.json", model, rows, protocol)
        self._draw(y, pred, low, high, drugs, cells, protocol)
        self._log({"model": model} | rows)

    def _pairs(self, section: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, drugs, cells = pairs_of(self.screen.responses.get(section, np.full((1, 1), np.nan)))
        if not len(y):
            raise ValueError(f"ResponseReport: section {section!r} has no measured pair; check dataset.json.")
        return y, drugs, cells

    def _intervals(self) -> ResponseIntervals:
        y, drugs, cells = self._pairs(self.calibrate_on)
        pred = self.predicted[self.calibrate_on][cells, drugs]
        parents = [self.library.parents[d] for d in drugs]
        known = self.network.lead[:, DRUG_CODE] > 0
        intervals = ResponseIntervals.fit(y, pred, parents, self.screen.pair_groups[cells, drugs].tolist(), self.level)
        names = {
            name: parent
            for name, parent, seen in zip(self.library.names, self.library.parents, known, strict=True)
            if seen
        }
        save_reference(self.weights, Reference(names, self.screen.keys, intervals))
        return intervals

    def _baselines(self, drugs: np.ndarray, cells: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Predictions (P,) by name, and those of the naive mean effects."""
        y, own_drugs, own_cells = pairs_of(self.screen.responses["training"])
        shape = (len(self.library.names), len(self.screen.cells))
        naive = NaiveMeanEffects().fit(y, own_drugs, own_cells, *shape).predict(drugs, cells)
        result = {"naive": naive}
        if not self.baselines:
            return result, naive
        with torch.no_grad():
            values = torch.from_numpy(self.screen.values).to(self.network.lead.device)
            features = self.network.omics.features(values).cpu().numpy()
        bits = np.stack([_bits(parent) for parent in self.library.parents])
        for name, baseline in self.baselines.items():
            result[name] = baseline.fit(y, own_drugs, own_cells, features, bits).predict(drugs, cells)
        if "ridge" in result:
            result["mean of model and ridge"] = (self.predicted[self.section][cells, drugs] + result["ridge"]) / 2
        return result, naive

    def _write_predictions(self, y: np.ndarray, pred: np.ndarray, low: np.ndarray, high: np.ndarray, *at: Any) -> None:
        drugs, cells = at
        rows = [
            {
                "id": f"{self.library.names[d]}|{self.screen.cells[c]}",
                "group": self.screen.pair_groups[c, d],
                "section": self.section,
                "y": y[k],
                "pred": pred[k],
                "low": low[k],
                "high": high[k],
                "drug": self.library.names[d],
                "cell": self.screen.cells[c],
            }
            for k, (d, c) in enumerate(zip(drugs, cells, strict=True))
        ]
        write_responses(self.output_dir / "predictions.csv", rows, extra=("drug", "cell"))

    def _draw(
        self,
        y: np.ndarray,
        pred: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        drugs: np.ndarray,
        cells: np.ndarray,
        protocol: str,
    ) -> None:
        frame = pd.DataFrame({"y": y, "pred": pred, "low": low, "high": high})
        frame["drug"] = np.array(self.library.names, dtype=object)[drugs]
        frame["cell"] = np.array(self.screen.cells, dtype=object)[cells]
        title = f"{Path(self.data).name}, section {self.section}: {len(np.unique(drugs))} drugs, {len(np.unique(cells))} cells"
        plot_responses(frame, self.output_dir / "responses.png", title, self.level)
        if self.page:
            write_response_page(self.output_dir / "report.html", frame, "Drug response", protocol)

    def _log(self, table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        for name, row in table.items():
            values = ", ".join(
                f"{key} {row[key]['value']:.3f}" for key in ("rmse", "normalised_r2", "drug_r", "cell_r")
            )
            self.logger.info(f"{name}: {values}")
        self.logger.info(f"results: {self.output_dir}/metrics.json, predictions.csv, responses.png")


def _bits(parent: str) -> np.ndarray:
    return morgan_fingerprint(read_molecule(parent, parent), FINGERPRINT_BITS).numpy()
