"""Figures of training and evaluation."""

from .classification import plot_classification
from .fusion import plot_best_and_worst, plot_fusion_panel
from .history import plot_history
from .learning_rates import write_learning_rates

__all__ = [
    "plot_best_and_worst",
    "plot_classification",
    "plot_fusion_panel",
    "plot_history",
    "write_learning_rates",
]
