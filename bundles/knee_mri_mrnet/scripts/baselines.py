"""What a sceptic would ask: how far do brightness alone, one plane, or the plain mean of the planes get?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import Dataset

from .common.metrics import youden_threshold
from .exam_results import area_under_roc
from .names import TASKS

__all__ = [
    "StatisticsBaseline",
    "best_planes",
    "mean_of_logits",
    "plane_statistics",
    "single_plane",
    "youden_cuts",
]

PERCENTILES = (5, 25, 50, 75, 95, 99)
BRIGHT = 0.8
NUM_STATISTICS = 3 + len(PERCENTILES)


def plane_statistics(plane: np.ndarray) -> np.ndarray:
    """Mean, standard deviation, six percentiles and share of bright pixels of one plane, (9,).

    Args:
        plane: (S, H, W) in [0, 1]; slices that are 0 everywhere do not count.

    Returns:
        Mean, standard deviation, percentiles 5, 25, 50, 75, 95, 99, share of pixels above 0.8; NaN for a missing plane.
    """
    pixels = plane[plane.any(axis=(1, 2))]
    if not pixels.size:
        return np.full(NUM_STATISTICS, np.nan)
    moments = [pixels.mean(dtype=float), pixels.std(dtype=float)]
    return np.array([*moments, *np.percentile(pixels, PERCENTILES), (pixels > BRIGHT).mean()])


class StatisticsBaseline:
    """Logistic regression per task on the statistics of each plane, z-scored on the training exams.

    Statistics of a missing plane take their mean of training. A task with one class in training gets the share of it.

    Args:
        training: preprocessed training exams with ``image`` (3, S, H, W) in [0, 1] and a label 0, 1 or -1 for each task.
        cases: preprocessed exams to score, with ``id`` and ``image``.
        tasks: names of the T tasks.
    """

    def __init__(self, training: Dataset, cases: Dataset, tasks: Sequence[str] = TASKS) -> None:
        self.training = training
        self.cases = cases
        self.tasks = tuple(tasks)

    def __call__(self, ids: Sequence[str]) -> np.ndarray:
        """Fit on the training exams; probabilities (N, T) of the exams with these ids.

        Raises:
            ValueError: an id is not among the cases, or a task has no labelled training exam.
        """
        training = [_row(item, self.tasks) for item in _items(self.training)]
        features, labels = (np.stack(column) for column in zip(*training, strict=True))
        by_id = {item["id"]: _features(item) for item in _items(self.cases)}
        if unknown := [name for name in ids if name not in by_id]:
            raise ValueError(
                f"StatisticsBaseline: id {unknown[0]!r} is not among the cases; pass the reported section."
            )
        scored = np.stack([by_id[name] for name in ids])
        columns = [self._fit(task, features, labels[:, k], scored) for k, task in enumerate(self.tasks)]
        return np.stack(columns, axis=1)

    @staticmethod
    def _fit(task: str, features: np.ndarray, labels: np.ndarray, scored: np.ndarray) -> np.ndarray:
        """Probabilities (N,) of one task."""
        known = labels >= 0
        if not known.any():
            raise ValueError(
                f"StatisticsBaseline: task {task!r} has no labelled training exam; leave the baseline out."
            )
        if len(np.unique(labels[known])) == 1:
            return np.full(len(scored), labels[known].mean())
        imputer = SimpleImputer(keep_empty_features=True)
        pipeline = make_pipeline(imputer, StandardScaler(), LogisticRegression(max_iter=2000))
        return np.asarray(pipeline.fit(features[known], labels[known]).predict_proba(scored)[:, 1])


def _items(dataset: Any) -> Iterator[Mapping[str, Any]]:
    """One item after the other: all exams together would fill the memory."""
    return (dataset[k] for k in range(len(dataset)))


def _features(item: Mapping[str, Any]) -> np.ndarray:
    return np.concatenate([plane_statistics(plane) for plane in np.asarray(item["image"])])


def _row(item: Mapping[str, Any], tasks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    return _features(item), np.array([int(item[task]) for task in tasks])


def mean_of_logits(members: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean over the planes at hand: ``members`` (N, 3, T) and ``present`` (N, 3) give logits (N, T)."""
    total = np.where(present[..., None], members, 0).sum(axis=1)
    return np.asarray(total / np.maximum(present.sum(axis=1, keepdims=True), 1))


def single_plane(members: np.ndarray, present: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Logits (N, T) of plane ``chosen[t]`` for task t; the mean of the planes at hand where an exam lacks it."""
    rest = mean_of_logits(members, present)
    columns = [np.where(present[:, plane], members[:, plane, t], rest[:, t]) for t, plane in enumerate(chosen)]
    return np.stack(columns, axis=1)


def best_planes(members: np.ndarray, present: np.ndarray, labels: np.ndarray) -> list[int]:
    """Plane of the largest AUROC for each task; the smaller Brier score breaks a tie.

    Args:
        members: logits of a section for choosing (N, 3, T).
        present: planes of the exams (N, 3) bool.
        labels: (N, T), 0 or 1; -1 is left out.

    Returns:
        Index into ``PLANES`` for each task; with one class only the Brier score decides.
    """
    planes = []
    for t in range(labels.shape[1]):
        ranks = []
        for plane in range(members.shape[1]):
            known = present[:, plane] & (labels[:, t] >= 0)
            logits, truth = members[known, plane, t], labels[known, t]
            brier = float(((expit(logits) - truth) ** 2).mean()) if known.any() else np.inf
            ranks.append((np.nan_to_num(area_under_roc(logits, truth)), -brier))
        planes.append(ranks.index(max(ranks)))
    return planes


def youden_cuts(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Youden threshold of each task (T,) for probabilities and labels (N, T); .5 where one class is absent."""
    cuts = np.full(scores.shape[1], 0.5)
    for t in range(scores.shape[1]):
        known = labels[:, t] >= 0
        if len(np.unique(labels[known, t])) == 2:
            cuts[t] = youden_threshold(scores[known, t], labels[known, t])
    return cuts
