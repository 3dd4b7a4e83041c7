"""Handlers for MONAI's engines."""

from .best_weights import BestWeights
from .classification_report import ClassificationReport
from .early_stop import EarlyStop
from .epoch_seed import EpochSeed
from .frame_rate import FrameRate
from .fusion_images import FusionImages
from .fusion_metric_handler import FusionMetricHandler
from .fusion_report import FusionReport
from .fusion_writer import FusionWriter
from .gradient_clip import GradientClip
from .history import History
from .lesion_contrast import LesionContrast
from .nan_guard import NaNGuard
from .out_of_memory import OutOfMemory
from .prediction_writer import PredictionWriter
from .resume import Resume
from .run_summary import RunSummary
from .step_schedule import StepSchedule

__all__ = [
    "BestWeights",
    "ClassificationReport",
    "EarlyStop",
    "EpochSeed",
    "FrameRate",
    "FusionImages",
    "FusionMetricHandler",
    "FusionReport",
    "FusionWriter",
    "GradientClip",
    "History",
    "LesionContrast",
    "NaNGuard",
    "OutOfMemory",
    "PredictionWriter",
    "Resume",
    "RunSummary",
    "StepSchedule",
]
