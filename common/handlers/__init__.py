"""Handlers for MONAI's engines."""

from .best_weights import BestWeights
from .classification_report import ClassificationReport
from .early_stop import EarlyStop
from .epoch_seed import EpochSeed
from .gradient_clip import GradientClip
from .history import History
from .prediction_writer import PredictionWriter
from .resume import Resume
from .run_summary import RunSummary

__all__ = [
    "BestWeights",
    "ClassificationReport",
    "EarlyStop",
    "EpochSeed",
    "GradientClip",
    "History",
    "PredictionWriter",
    "Resume",
    "RunSummary",
]
