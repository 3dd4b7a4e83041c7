"""Nine members and their stacker by one command."""

import csv
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from tqdm import tqdm

from .common.data.atomic import atomic_path
from .names import PLANES, TASKS, member_name
from .stacker import fit_stacker

__all__ = ["StackTraining"]


class StackTraining:
    """Train every member on all training exams and on each cut of K - 1 folds; fit the stacker on held-out logits.

    A member that was trained on an exam is too sure of it, so a stacker fitted on such logits (as in the tutorial)
    trusts the most overfitted plane. Here the logits of an exam come from members that never saw it. Every training is
    the bundle's own ``train.json``; the validation section chooses the epoch of each, and is no part of the folds.
    An interrupted call goes on where it stopped.

    Args:
        config_dir: folder of the configs.
        configs: ``train`` and the names of override files.
        ids: ids for every training.
        output_dir: heads, curves and ``out_of_fold.csv``.
        weights: file for the complete stack.
        stacker: file for the stacker alone (plain tensors).
        num_folds: K, at least 2.
    """

    def __init__(
        self,
        config_dir: str,
        configs: Sequence[str],
        ids: Mapping[str, Any],
        output_dir: str,
        weights: str,
        stacker: str,
        num_folds: int = 5,
    ) -> None:
        self.files = [f"{config_dir}/{name}.json" for name in configs]
        self.ids = dict(ids)
        described = json.dumps([[Path(file).read_text() for file in self.files], self.ids], sort_keys=True, default=str)
        self.output_dir = Path(output_dir) / hashlib.sha256(described.encode()).hexdigest()[:12]
        self.weights = Path(weights)
        self.stacker = Path(stacker)
        self.num_folds = num_folds
        self.logger = logging.getLogger(type(self).__name__)

    def run(self) -> None:
        """Train what is missing, fit the stacker, write both files."""
        parts = [(fold, plane, task) for fold in (*range(self.num_folds), None) for plane in PLANES for task in TASKS]
        rows: dict[str, dict[str, Any]] = {}
        members: dict[str, torch.Tensor] = {}
        for fold, plane, task in tqdm(parts, desc="members", unit="training", disable=None):
            done = self._member(fold, plane, task)
            if fold is None:
                members |= done["weights"]
            for case, logit in done["logits"].items():
                rows.setdefault(case, {"id": case, "fold": fold})[member_name(plane, task)] = logit
        network, labels = self._stack(members, list(rows))
        names = [[member_name(plane, task) for task in TASKS] for plane in PLANES]
        logits = np.array([[[row[name] for name in plane] for plane in names] for row in rows.values()])
        network.stacker.load_state_dict(fit_stacker(torch.as_tensor(logits), labels).state_dict())
        self._write_table(rows, labels)
        for path, content in ((self.weights, network), (self.stacker, network.stacker)):
            with atomic_path(path) as temporary:
                torch.save(content.state_dict(), temporary)
        self.logger.info(f"{len(rows)} out-of-fold exams: {self.output_dir}; stack: {self.weights}; {self.stacker}")

    def _member(self, fold: int | None, plane: str, task: str) -> dict[str, Any]:
        """Weights of one member, and logits of the exams that it did not see; from an earlier call where there are."""
        name = f"{'all' if fold is None else fold}_{member_name(plane, task)}"
        path = self.output_dir / f"{name}.pt"
        if path.is_file():
            return dict(torch.load(path, weights_only=True))
        folder = self.output_dir / name
        ids = {"fold": fold, "output_dir": str(folder), "model_dir": str(folder), "weights": "model", "quiet": True}
        parser = self._parser(plane, task, **ids)
        level = logging.root.manager.disable
        logging.disable(logging.INFO)
        try:
            for part in ("initialize", "run"):
                parser.get_parsed_content(part)
            best = torch.load(folder / "model.pt", weights_only=True)
            done = {
                "weights": {key: value for key, value in best.items() if f".{member_name(plane, task)}." in key},
                "logits": {} if fold is None else self._held_out(self._parser(plane, task, **ids), best),
            }
        finally:
            logging.disable(level)
        with atomic_path(path) as temporary:
            torch.save(done, temporary)
        for part in ("model.pt", "checkpoint.pt"):
            os.remove(folder / part)
        return done

    def _parser(self, plane: str, task: str, **ids: Any) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config(self.files)
        parser.update({**self.ids, "plane": plane, "task": task, **ids})
        return parser

    def _held_out(self, parser: ConfigParser, weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Logit of every exam of the held-out fold, by id."""
        parser.update({"training_cases": "$@datalist['held_out']"})
        evaluator = parser.get_parsed_content("train#evaluator")
        parser.get_parsed_content("network_def").load_state_dict(weights)
        found: dict[str, float] = {}

        def collect(engine: Any) -> None:
            for case, output in zip(engine.state.batch, engine.state.output, strict=True):
                found[case["id"]] = float(output["logits"])

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, collect)
        evaluator.run()
        return found

    def _stack(self, members: Mapping[str, torch.Tensor], ids: Sequence[str]) -> tuple[Any, torch.Tensor]:
        """The complete stack, and labels (N, 3) of these exams."""
        parser = self._parser(PLANES[0], TASKS[0], model_dir=str(self.output_dir))  # holds no weights to go on from, so
        for part in ("initialize", "initial_member"):  # that the backbone is the one that the members started from
            parser.get_parsed_content(part)
        network = parser.get_parsed_content("network_def")
        network.load_state_dict(network.state_dict() | dict(members))
        cases = {case["id"]: case for case in parser.get_parsed_content("training_cases")}
        return network, torch.tensor([[cases[name][task] for task in TASKS] for name in ids])

    def _write_table(self, rows: Mapping[str, Mapping[str, Any]], labels: torch.Tensor) -> None:
        columns = [
            "id",
            "fold",
            *(f"label_{task}" for task in TASKS),
            *(member_name(p, t) for p in PLANES for t in TASKS),
        ]
        with atomic_path(self.output_dir / "out_of_fold.csv") as temporary:
            with open(temporary, "w", newline="") as handle:
                writer = csv.DictWriter(handle, columns)
                writer.writeheader()
                for row, label in zip(rows.values(), labels.tolist(), strict=True):
                    writer.writerow(
                        dict(row) | {f"label_{task}": value for task, value in zip(TASKS, label, strict=True)}
                    )
