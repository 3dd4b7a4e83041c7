"""Metrics of classification results with intervals, calibration and operating points."""

from .bootstrap import bootstrap_intervals
from .calibration import expected_calibration_error, fit_temperature, softmax
from .classification import classification_metrics, decide, youden_threshold

__all__ = [
    "bootstrap_intervals",
    "classification_metrics",
    "decide",
    "expected_calibration_error",
    "fit_temperature",
    "softmax",
    "youden_threshold",
]
