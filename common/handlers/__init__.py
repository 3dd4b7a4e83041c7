"""Handlers for MONAI's engines."""

from .best_weights import BestWeights
from .classification_report import ClassificationReport
from .early_stop import EarlyStop
from .epoch_seed import EpochSeed
from .fusion_images import FusionImages
from .fusion_metric_handler import FusionMetricHandler
from .fusion_report import FusionReport
from .fusion_writer import FusionWriter
from .gradient_clip import GradientClip
from .history import History
from .nan_guard import NaNGuard
from .prediction_writer import PredictionWriter
from .resume import Resume
from .run_summary import RunSummary

__all__ = [
    "BestWeights",
    "ClassificationReport",
    "EarlyStop",
    "EpochSeed",
    "FusionImages",
    "FusionMetricHandler",
    "FusionReport",
    "FusionWriter",
    "GradientClip",
    "History",
    "NaNGuard",
    "PredictionWriter",
    "Resume",
    "RunSummary",
]
