"""``predictions.csv`` of an inference run: every drug on every cell."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from .applicability import nearest_drug
from .common.data import write_responses
from .drug_library import DrugLibrary
from .inference_screen import InferenceScreen
from .pair_layout import DRUG_CODE
from .reference import Reference, load_reference
from .response_network import ResponseNetwork

__all__ = ["ResponseWriter"]

EXTRA = ("drug", "cell", "distance", "nearest_drug")


class ResponseWriter:
    """Write one row a pair: ln IC50 with its interval, and how far the drug is from the training drugs.

    ``distance`` is 1 - Tanimoto similarity to the nearest training drug (0: a training drug). A drug or a cell that
    cannot be read keeps its rows, with the reason in ``error``. A drug that was not in training gets no interval from
    weights that know the mean effects of drugs: its potency is unknown to them, and nothing was calibrated on such drugs.

    Args:
        output_dir: folder for ``predictions.csv``.
        network: with loaded weights when the run starts; gets the library then.
        screen: what is predicted.
        library: drugs of the screen.
        weights: file of the weights, whose reference gives intervals and training drugs; without one these columns stay
            empty.
    """

    def __init__(
        self, output_dir: str, network: ResponseNetwork, screen: InferenceScreen, library: DrugLibrary, weights: str
    ) -> None:
        self.path = Path(output_dir) / "predictions.csv"
        self.network = network
        self.screen = screen
        self.library = library
        self.weights = weights
        self.foreign: list[bool] = []
        self.errors: dict[str, str] = {}
        self.predicted: dict[str, np.ndarray] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Engine) -> None:
        self.network.set_library(self.library)
        self.errors, self.predicted = {}, {}
        known = self.network.lead[:, DRUG_CODE] > 0
        self.foreign = (~known & self.network.known.drug_effect.any()).tolist()
        if any(self.foreign):
            self.logger.warning(
                f"{sum(self.foreign)} of {len(known)} drugs were not in training; these weights know the potency of"
                " their training drugs only, so the others get no interval: take weights trained with split_drug.json for them."
            )

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if case["error"]:
                self.errors[case["id"]] = case["error"]
            else:
                self.predicted[case["id"]] = output["pred"].float().cpu().numpy()

    def _write(self, engine: Engine) -> None:
        reference = self._reference()
        rows = [
            row | {"id": f"{row['drug']}|{row['cell']}"}
            for c, cell in enumerate(self.screen.cells)
            for row in [*self._rows(c, cell, reference), *self._failed(cell)]
        ]
        write_responses(self.path, rows, EXTRA)
        failed = sum(bool(row["error"]) for row in rows)
        note = f", {failed} of them with an error (see the column)" if failed else ""
        self.logger.info(f"{len(rows)} pairs{note}: {self.path}")

    def _reference(self) -> Reference | None:
        try:
            reference = load_reference(self.weights)
        except (FileNotFoundError, ValueError) as problem:
            self.logger.warning(f"no intervals and no distances: {problem}")
            return None
        self.nearest = [nearest_drug(parent, reference.drugs) for parent in self.library.parents]
        return reference

    def _rows(self, c: int, cell: str, reference: Reference | None) -> list[dict[str, Any]]:
        pred = self.predicted.get(cell)
        rows: list[dict[str, Any]] = []
        if pred is not None and reference:
            low, high = reference.intervals.interval(pred, self.library.parents)
        for d, drug in enumerate(self.library.names):
            row = {"drug": drug, "cell": cell, "group": self.screen.groups[c, d], "error": self.errors.get(cell, "")}
            row |= {"section": self.screen.sections[c, d], "y": self.screen.measured[c, d]}
            if pred is not None:
                row["pred"] = pred[d]
            if pred is not None and reference:
                distance, name = self.nearest[d]
                row |= {"distance": f"{distance:.3f}", "nearest_drug": name}
                if not self.foreign[d]:
                    row |= {"low": low[d], "high": high[d]}
            rows.append(row)
        return rows

    def _failed(self, cell: str) -> list[dict[str, Any]]:
        return [
            {"drug": drug, "cell": cell, "group": cell, "section": "new", "error": why}
            for drug, why in self.screen.failed.items()
        ]
