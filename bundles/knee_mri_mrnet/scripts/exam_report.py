"""Evaluation of the stack beside the mean of its members, its best plane and further baselines."""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from scipy.special import expit

from .baselines import best_planes, mean_of_logits, single_plane, youden_cuts
from .common.data import write_metrics
from .common.data.atomic import atomic_path
from .common.metrics import bootstrap_intervals
from .exam_figure import plot_exam_report
from .exam_results import EXAM_FIGURES, area_under_roc, exam_metrics, write_exam_predictions
from .exam_writer import case_head, decide_exam, missing_note, present_planes
from .names import PLANES, TASKS

__all__ = ["ExamReport"]

INTERVAL = ("value", "low", "high", "n")


class ExamReport:
    """Write ``predictions.csv``, ``metrics.json``, ``comparison.csv``, ``singles.csv`` and ``exams.png``.

    The evaluator runs over two sections in one pass; its output holds ``pred``, logits (T,) of the stack, ``members``,
    logits (3, T) of the planes, and ``present`` (3,) (absent: planes with a pixel that is not 0); its cases hold a
    label 0, 1 or -1 for each task. The plane of ``best_single_plane`` and the thresholds of the first two baselines
    are chosen on ``choose_on``; the stack decides at its own thresholds; all figures are of ``section``.
    ``comparison.csv`` has the AUROC difference of the stack and each other method with a paired bootstrap: every
    resample of groups is scored by both.

    Args:
        output_dir: folder for the results.
        section: section to report.
        data: where the data come from, for the protocol line.
        stacker: has ``threshold`` (8, T), see :func:`~.exam_writer.decide_exam`.
        choose_on: section on which planes and thresholds of the baselines are chosen.
        baselines: name -> function that maps the ids of the reported exams to probabilities (N, T); decided at .5.
        tasks: names of the T tasks.
        num_bootstrap: resamples of the 95 % interval over groups.
    """

    def __init__(
        self,
        output_dir: str,
        section: str,
        data: str,
        stacker: Any,
        choose_on: str = "validation",
        baselines: Mapping[str, Callable[[Sequence[str]], np.ndarray]] | None = None,
        tasks: Sequence[str] = TASKS,
        num_bootstrap: int = 1000,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.section = section
        self.data = data
        self.stacker = stacker
        self.choose_on = choose_on
        self.baselines = dict(baselines or {})
        self.tasks = tuple(tasks)
        self.num_bootstrap = num_bootstrap
        self.cases: list[dict[str, Any]] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def _begin(self, engine: Engine) -> None:
        self.cases = []

    def _collect(self, engine: Any) -> None:
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            row = case_head(case, self.tasks)
            if not row["error"]:
                row["logits"] = np.asarray(output["pred"].cpu(), dtype=float)
                row["members"] = np.asarray(output["members"].cpu(), dtype=float)
                row["present"] = present_planes(case, output)
            self.cases.append(row)

    def _chosen(self, section: str) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        cases = [case for case in self.cases if case["section"] == section and not case["error"]]
        if not cases:
            raise ValueError(f"ExamReport: section {section!r} has no cases; add it to dataset.json.")
        keys = ("logits", "members", "present", "label")
        return cases, {key: np.stack([np.asarray(case[key]) for case in cases]) for key in keys}

    def _report(self, engine: Engine) -> None:
        _, tuning = self._chosen(self.choose_on)
        cases, arrays = self._chosen(self.section)
        labels, groups = arrays["label"], [case["group"] for case in cases]
        self._warn(labels)
        planes = best_planes(tuning["members"], tuning["present"], tuning["label"])
        stack = expit(arrays["logits"])
        decided = [
            decide_exam(p, there, self.stacker.threshold) for p, there in zip(stack, arrays["present"], strict=True)
        ]
        methods = {"stack": (stack, np.stack(decided))}
        combinations: dict[str, Callable[..., np.ndarray]] = {
            "mean_of_logits": mean_of_logits,
            "best_single_plane": lambda members, present: single_plane(members, present, planes),
        }
        for name, combine in combinations.items():
            cuts = youden_cuts(expit(combine(tuning["members"], tuning["present"])), tuning["label"])
            scores = expit(combine(arrays["members"], arrays["present"]))
            methods[name] = (scores, (scores >= cuts).astype(int))
        for name, predict in self.baselines.items():
            scores = np.asarray(predict([case["id"] for case in cases]), dtype=float)
            methods[name] = (scores, (scores >= 0.5).astype(int))
        figures = {name: self._figures(*method, labels, groups) for name, method in methods.items()}
        self._write_predictions(methods)
        write_metrics(
            self.output_dir / "metrics.json",
            figures["stack"],
            {name: row for name, row in figures.items() if name != "stack"},
            self._protocol(planes),
        )
        self._write_comparison({name: scores for name, (scores, _) in methods.items()}, labels, groups)
        self._write_singles(arrays, groups)
        plot_exam_report(
            {name: scores for name, (scores, _) in methods.items()},
            np.where(arrays["present"][..., None], arrays["members"], np.nan),
            labels,
            self.output_dir / "exams.png",
            f"section {self.section}: {len(cases)} exams, mean AUROC {figures['stack']['auroc_mean']['value']:.3f}",
            self.tasks,
        )
        self._log(figures)

    def _warn(self, labels: np.ndarray) -> None:
        for k, task in enumerate(self.tasks):
            if len(np.unique(labels[labels[:, k] >= 0, k])) < 2:
                self.logger.warning(
                    f"ExamReport: section {self.section!r} does not hold both classes of {task!r}, so that its areas are"
                    " NaN; report a larger section."
                )

    def _figures(
        self, scores: np.ndarray, predicted: np.ndarray, labels: np.ndarray, groups: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Figures with intervals; ``n`` of a task is its number of labelled exams."""

        def statistic(index: np.ndarray) -> dict[str, float]:
            return exam_metrics(scores[index], labels[index], predicted[index], self.tasks)

        figures = bootstrap_intervals(statistic, groups, self.num_bootstrap)
        for k, task in enumerate(self.tasks):
            for name in EXAM_FIGURES:
                figures[f"{name}_{task}"]["n"] = int((labels[:, k] >= 0).sum())
        return figures

    def _write_predictions(self, methods: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        rows = [case for case in self.cases if case["section"] == self.section]
        whole = [case for case in rows if not case["error"]]
        for name, (scores, predicted) in methods.items():
            for case, p, k in zip(whole, scores, predicted, strict=True):
                case |= {"prob": p.tolist(), "pred": k.tolist(), "note": missing_note(case["present"])}
            path = "predictions.csv" if name == "stack" else f"baselines/{name}.csv"
            write_exam_predictions(self.output_dir / path, rows, self.tasks)

    def _write_comparison(self, scores: Mapping[str, np.ndarray], labels: np.ndarray, groups: Sequence[str]) -> None:
        """AUROC of the stack minus that of each other method, by task and in the mean."""

        def areas(name: str, index: np.ndarray) -> np.ndarray:
            return np.array([area_under_roc(scores[name][index, t], labels[index, t]) for t in range(len(self.tasks))])

        def statistic(index: np.ndarray) -> dict[str, float]:
            stack = areas("stack", index)
            result: dict[str, float] = {}
            for name in (name for name in scores if name != "stack"):
                difference = stack - areas(name, index)
                result |= {f"{name}/{task}": float(d) for task, d in zip(self.tasks, difference, strict=True)}
                result[f"{name}/mean"] = float(difference.mean())
            return result

        found = bootstrap_intervals(statistic, groups, self.num_bootstrap)
        known = dict(zip(self.tasks, (labels >= 0).sum(axis=0), strict=True))
        rows = []
        for key, entry in found.items():
            other, task = key.rsplit("/", 1)
            rows.append({"other": other, "task": task, **entry, "n": int(known.get(task, entry["n"]))})
        _write_table(self.output_dir / "comparison.csv", ("other", "task", *INTERVAL), rows)

    def _write_singles(self, arrays: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
        """AUROC of each member by itself, on the exams that have its plane."""
        usable = np.where(arrays["present"][..., None], arrays["label"][:, None], -1)  # (N, 3, T)

        def statistic(index: np.ndarray) -> dict[str, float]:
            return {
                f"{plane}/{task}": area_under_roc(arrays["members"][index, p, t], usable[index, p, t])
                for p, plane in enumerate(PLANES)
                for t, task in enumerate(self.tasks)
            }

        found = bootstrap_intervals(statistic, groups, self.num_bootstrap)
        counts = (usable >= 0).sum(axis=0).ravel()
        rows = []
        for (key, entry), count in zip(found.items(), counts, strict=True):
            plane, task = key.split("/")
            rows.append({"plane": plane, "task": task, **entry, "n": int(count)})
        _write_table(self.output_dir / "singles.csv", ("plane", "task", *INTERVAL), rows)

    def _protocol(self, planes: Sequence[int]) -> str:
        best = ", ".join(f"{task} {PLANES[plane]}" for task, plane in zip(self.tasks, planes, strict=True))
        further = f"; {', '.join(self.baselines)} at .5" if self.baselines else ""
        return (
            f"{Path(self.data).name}: section {self.section}; stack at its own thresholds; best single plane chosen on"
            f" {self.choose_on}: {best}; mean of logits and best single plane at Youden thresholds of {self.choose_on}"
            f"{further}; 95 % percentile bootstrap over groups, {self.num_bootstrap} resamples"
        )

    def _log(self, figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        for name, row in figures.items():
            areas = [(task, row[f"auroc_{task}"]) for task in self.tasks]
            text = ", ".join(
                f"{task} {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]" for task, area in areas
            )
            self.logger.info(f"{name}: AUROC {text}, mean {row['auroc_mean']['value']:.3f}, n {row['auroc_mean']['n']}")
        failed = sum(bool(case["error"]) for case in self.cases if case["section"] == self.section)
        note = f"; {failed} exams failed (see the column error)" if failed else ""
        self.logger.info(
            f"results: {self.output_dir}/metrics.json, predictions.csv, comparison.csv, singles.csv and exams.png{note}"
        )


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """CSV with numbers to four places, NaN as an empty cell."""
    cells = [
        {k: v if not isinstance(v, float) else "" if np.isnan(v) else f"{v:.4f}" for k, v in row.items()}
        for row in rows
    ]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(cells)
