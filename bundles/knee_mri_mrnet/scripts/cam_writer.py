"""Explanations of an inference run: a montage for each exam and task, and a table."""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.transforms import CenterSpatialCrop
from torch import Tensor

from .cam_figure import PlaneEvidence, plot_cam
from .common.data.atomic import atomic_path
from .exam_writer import case_head, decide_exam
from .explanation import feature_maps, inside_body, peak, pointing_chance, pointing_hit, slice_maps, upsample_maps
from .names import PLANES, TASKS
from .stack_network import MRNetStack

__all__ = ["CamWriter", "PlantedFindings"]

COLUMNS = (
    "id",
    "task",
    "plane",
    "label",
    "pred",
    "prob",
    "plane_prob",
    "winner",
    "slice",
    "row",
    "column",
    "score",
    "hit",
    "chance",
)
FINDINGS = {"abnormal": (1, 2, 3), "acl": (1,), "meniscus": (2,)}


class PlantedFindings:
    """Where the findings of phantoms lie: maps id, plane and task to a mask (S, H, W).

    Args:
        cases: items with ``id``, paths of the planes and, for phantoms, ``truth``: for each plane the path of an npz
            with ``mask``, whose values are 1 (torn ligament), 2 (torn meniscus) and 3 (effusion); it is relative to the
            folder of the cohort, in which the planes lie in ``planes/<plane>/``. Exams without it have no mask.
    """

    def __init__(self, cases: Sequence[Mapping[str, Any]]) -> None:
        self.files = {
            case["id"]: {plane: Path(case[plane]).parents[2] / path for plane, path in case["truth"].items()}
            for case in cases
            if "truth" in case
        }

    def __call__(self, name: str, plane: str, task: str) -> np.ndarray | None:
        """Mask of what makes the task positive; None when it is unknown or there is no such finding in the plane."""
        if plane not in self.files.get(name, {}):
            return None
        with np.load(self.files[name][plane]) as content:
            mask = np.isin(content["mask"], FINDINGS[task])
        return mask if mask.any() else None


class CamWriter:
    """Explain exams while an evaluator predicts them: ``<id>_<task>.png`` and ``explanations.csv``.

    The table has one row for each exam, task and plane: ``label``, ``pred`` and ``prob`` of the stack, ``plane_prob``
    of the plane's own network, ``winner`` (the slice with the most evidence) and its evidence ``score`` in logits, and
    ``slice, row, column`` (px) of the largest evidence of all slices. Slices, rows and columns count from 0. With a
    mask, ``hit`` says whether this place lies in the finding (:func:`~.explanation.pointing_hit`) and ``chance`` how
    often a random place inside the body would. Attach it after the postprocessing, which must turn ``pred`` into
    probabilities (T,).

    Args:
        output_dir: folder for the results.
        network: the stack that predicts.
        tasks: tasks to explain.
        max_exams: number of exams, the first ones without an error; None is all.
        truth: maps id, plane and task to a mask (S, H, W) or None, such as :class:`PlantedFindings`.
        tolerance_px: of the pointing game; half the diagonal of a cell of the feature map, which is 32 px wide.

    Raises:
        ValueError: ``max_exams`` is below 1, or a task is unknown.
    """

    def __init__(
        self,
        output_dir: str,
        network: MRNetStack,
        tasks: Sequence[str] = TASKS,
        max_exams: int | None = 8,
        truth: Callable[[str, str, str], np.ndarray | None] | None = None,
        tolerance_px: float = 23,
    ) -> None:
        if unknown := [task for task in tasks if task not in TASKS]:
            raise ValueError(
                f"CamWriter: task {unknown[0]!r} is unknown, and known are {list(TASKS)}; take one of those."
            )
        if max_exams is not None and max_exams < 1:
            raise ValueError(f"CamWriter: max_exams is {max_exams}; give 1 or more, or None for all exams.")
        self.output_dir = Path(output_dir)
        self.network = network
        self.tasks = tuple(tasks)
        self.max_exams = max_exams
        self.truth = truth
        self.tolerance_px = tolerance_px
        self.rows: list[dict[str, Any]] = []
        self.count = 0
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Engine) -> None:
        self.rows, self.count = [], 0

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            if case.get("error") or (self.max_exams is not None and self.count >= self.max_exams):
                continue
            self.count += 1
            self.explain(case, np.asarray(output["pred"].cpu(), dtype=float))

    def explain(self, case: Mapping[str, Any], probabilities: np.ndarray) -> None:
        """Draw one exam and add its rows.

        Args:
            case: ``id``, ``group``, ``section``, ``image`` (3, S, H, W), and labels of the tasks if they are known.
            probabilities: of the stack (T,), in the order of ``TASKS``.
        """
        image = torch.as_tensor(case["image"]).to(self.network.stacker.threshold.device)
        planes = {name: image[k, : _length(image[k])][None] for k, name in enumerate(PLANES) if image[k].any()}
        present = np.array([name in planes for name in PLANES])
        decided = decide_exam(probabilities, present, self.network.stacker.threshold)
        labels = case_head(case, TASKS)["label"]
        features: dict[tuple[str, int], Tensor] = {}
        bodies = {name: inside_body(plane[0].cpu().numpy()) for name, plane in planes.items()} if self.truth else {}
        for task in self.tasks:
            t = TASKS.index(task)
            known = {"label": "" if labels[t] == -1 else labels[t], "pred": int(decided[t]), "prob": probabilities[t]}
            evidence = {}
            for name, plane in planes.items():
                evidence[name] = part = self._evidence(case["id"], name, task, plane, features)
                row = {"id": case["id"], "task": task, "plane": name, **known, **_measured(part)}
                self.rows.append(row | self._pointing(part, bodies.get(name)))
            answer = f"probability {probabilities[t]:.2f} ({'yes' if decided[t] else 'no'} at its threshold)"
            told = "" if labels[t] == -1 else f", truth: {'yes' if labels[t] else 'no'}"
            path = self.output_dir / f"{Path(str(case['id'])).name}_{task}.png"
            plot_cam(evidence, path, f"{case['id']}   {task}: {answer}{told}")

    def _evidence(
        self, case: str, name: str, task: str, plane: Tensor, features: dict[tuple[str, int], Tensor]
    ) -> PlaneEvidence:
        """Evidence of one member; members that share a backbone share its feature maps of the plane."""
        member = self.network.member(name, task)
        key = (name, id(member.backbone))
        if key not in features:
            features[key] = feature_maps(member, plane)
        found = slice_maps(member, plane, features[key])
        mask = self.truth(case, name, task) if self.truth else None
        maps = upsample_maps(found.maps, (plane.shape[2], plane.shape[3]))
        if mask is not None:  # preprocessing crops the planes
            mask = CenterSpatialCrop(maps.shape[1:])(torch.as_tensor(mask)).numpy()
        if mask is not None and mask.shape != maps.shape:
            raise ValueError(
                f"CamWriter: exam {case} has a {name} plane {maps.shape} and a mask {mask.shape}; give masks of the"
                " preprocessed images or larger ones around them."
            )
        probability = float(torch.sigmoid(torch.tensor(found.logit)))
        return PlaneEvidence(
            plane[0].cpu().numpy(), maps, found.slice_scores.cpu().numpy(), found.winner, probability, mask
        )

    def _pointing(self, part: PlaneEvidence, body: np.ndarray | None) -> dict[str, Any]:
        if part.mask is None:
            return {"hit": "", "chance": ""}
        chance = pointing_chance(part.mask, self.tolerance_px, body)
        return {"hit": int(pointing_hit(part.maps, part.mask, self.tolerance_px)), "chance": chance}

    def _write(self, engine: Engine) -> None:
        path = self.output_dir / "explanations.csv"
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
            writer = csv.DictWriter(handle, COLUMNS)
            writer.writeheader()
            for row in self.rows:
                writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
        for task in self.tasks:
            for plane in PLANES:
                rows = [row for row in self.rows if (row["task"], row["plane"]) == (task, plane)]
                played = [row for row in rows if row["hit"] != "" and row["pred"]]
                if played:
                    chance = np.mean([row["chance"] for row in played])
                    self.logger.info(
                        f"{task} {plane}: {sum(row['hit'] for row in played)} of {len(played)} true positives point into"
                        f" the finding, by chance {chance:.1%}"
                    )
        self.logger.info(f"{self.count} exams explained: {path} and {self.output_dir}/<id>_<task>.png")


def _length(plane: Tensor) -> int:
    """Number of slices (S, H, W) up to the last one that is not empty."""
    return int(plane.flatten(1).any(dim=1).nonzero().max()) + 1


def _measured(part: PlaneEvidence) -> dict[str, Any]:
    place = dict(zip(("slice", "row", "column"), peak(part.maps), strict=True))
    score = float(part.slice_scores[part.winner])
    return {"plane_prob": part.probability, "winner": part.winner, "score": score, **place}
