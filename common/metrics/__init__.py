"""Metrics of classification results with intervals, tests, matching, calibration and operating points."""

from .bootstrap import bootstrap_intervals, bootstrap_means
from .calibration import expected_calibration_error, fit_temperature, softmax
from .classification import classification_metrics, decide, youden_threshold
from .edge_baselines import CovariateBaseline, EdgeBaseline, edge_vector
from .fusion import FUSION_METRICS, HIGHER_IS_BETTER, fusion_metrics, get_fusion_metric
from .fusion_baselines import FUSION_BASELINES
from .fusion_contrast import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from .fusion_edges import edge_artifacts, edge_preservation
from .fusion_fidelity import (
    correlation_coefficient,
    peak_signal_to_noise_ratio,
    root_mean_square_error,
    sum_of_correlations_of_differences,
)
from .fusion_fmi import feature_mutual_information
from .fusion_information import entropy, histogram_cross_entropy, mutual_information, normalized_mutual_information
from .fusion_metric import FusionMetric
from .fusion_perception import chen_blum, chen_varshney
from .fusion_ssim import multi_scale_ssim, structural_similarity
from .fusion_vif import visual_information_fidelity
from .lesion_contrast import lesion_contrast, lesion_regions
from .matching import matched_pairs
from .paired import sign_flip_test
from .permutation import permutation_test

__all__ = [
    "FUSION_BASELINES",
    "FUSION_METRICS",
    "HIGHER_IS_BETTER",
    "CovariateBaseline",
    "EdgeBaseline",
    "FusionMetric",
    "average_gradient",
    "bootstrap_intervals",
    "bootstrap_means",
    "chen_blum",
    "chen_varshney",
    "classification_metrics",
    "correlation_coefficient",
    "decide",
    "edge_artifacts",
    "edge_intensity",
    "edge_preservation",
    "edge_vector",
    "entropy",
    "expected_calibration_error",
    "feature_mutual_information",
    "fit_temperature",
    "fusion_metrics",
    "get_fusion_metric",
    "histogram_cross_entropy",
    "lesion_contrast",
    "lesion_regions",
    "matched_pairs",
    "multi_scale_ssim",
    "mutual_information",
    "normalized_mutual_information",
    "peak_signal_to_noise_ratio",
    "permutation_test",
    "root_mean_square_error",
    "sign_flip_test",
    "softmax",
    "spatial_frequency",
    "standard_deviation",
    "structural_similarity",
    "sum_of_correlations_of_differences",
    "visual_information_fidelity",
    "youden_threshold",
]
