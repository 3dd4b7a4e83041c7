"""Metrics of classification results with intervals, tests, matching, calibration and operating points."""

from .bootstrap import bootstrap_intervals
from .calibration import expected_calibration_error, fit_temperature, softmax
from .classification import classification_metrics, decide, youden_threshold
from .matching import matched_pairs
from .permutation import permutation_test

__all__ = [
    "bootstrap_intervals",
    "classification_metrics",
    "decide",
    "expected_calibration_error",
    "fit_temperature",
    "matched_pairs",
    "permutation_test",
    "softmax",
    "youden_threshold",
]
