"""What a sceptic would ask: how far do simple statistics or the shape alone get?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from torch.nn.functional import adaptive_avg_pool3d
from torch.utils.data import Dataset

__all__ = ["ForestBaseline", "lung_statistics", "occupancy", "size_and_intensity"]


def lung_statistics(item: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Mean, standard deviation and quartiles of the window-scaled HU inside the lung mask, (5,)."""
    voxels = np.asarray(item["image"][item["lung"] > 0])
    return np.concatenate([[voxels.mean(), voxels.std()], np.quantile(voxels, [0.25, 0.5, 0.75])])


def size_and_intensity(item: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Foreground volume, three extents, mean, standard deviation and maximum, (7,); background is 0."""
    image = np.asarray(item["image"][0])
    inside = image != 0
    if not inside.any():
        return np.zeros(7)
    extents = [np.ptp(axis) + 1 for axis in np.nonzero(inside)]
    voxels = image[inside]
    return np.array([inside.sum(), *extents, voxels.mean(), voxels.std(), voxels.max()])


def occupancy(item: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Mean of the first channel in a 16 x 16 x 16 grid, (4096,)."""
    return np.asarray(adaptive_avg_pool3d(item["image"][:1], 16)).ravel()


FEATURES: dict[str, Callable[[Mapping[str, torch.Tensor]], np.ndarray]] = {
    function.__name__: function for function in (lung_statistics, size_and_intensity, occupancy)
}


class ForestBaseline:
    """Random forest (500 trees, balanced classes) on hand-made features of the preprocessed image.

    Args:
        features: ``lung_statistics``, ``size_and_intensity`` or ``occupancy``.
        training: preprocessed training cases with ``label``.
        cases: preprocessed cases to score, with ``id``.
        num_classes: C.
        seed: seed of the forest.

    Raises:
        ValueError: when the features are unknown.
    """

    def __init__(self, features: str, training: Dataset, cases: Dataset, num_classes: int, seed: int = 0) -> None:
        if features not in FEATURES:
            raise ValueError(f"ForestBaseline: features is {features!r}, choose one of {sorted(FEATURES)}.")
        self.features = features
        self.training = training
        self.cases = cases
        self.num_classes = num_classes
        self.seed = seed

    def __call__(self, ids: Sequence[str]) -> np.ndarray:
        """Fit on the training cases; probabilities (N, C) of the cases with these ids."""
        extract = FEATURES[self.features]
        training = [self.training[k] for k in range(len(self.training))]  # type: ignore[arg-type]
        forest = RandomForestClassifier(500, class_weight="balanced", min_samples_leaf=2, random_state=self.seed)
        forest.fit(np.stack([extract(item) for item in training]), [int(item["label"]) for item in training])
        cases = [self.cases[k] for k in range(len(self.cases))]  # type: ignore[arg-type]
        by_id = {item["id"]: extract(item) for item in cases}
        result = np.zeros((len(ids), self.num_classes))
        result[:, forest.classes_] = forest.predict_proba(np.stack([by_id[name] for name in ids]))
        return result
