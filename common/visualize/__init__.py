"""Figures of training and evaluation."""

from .classification import plot_classification
from .history import plot_history

__all__ = ["plot_classification", "plot_history"]
