"""Registry of the fusion metrics and all of them at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .fusion_checks import check_pair
from .fusion_contrast import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from .fusion_edges import edge_artifacts, edge_preservation
from .fusion_fidelity import (
    correlation_coefficient,
    peak_signal_to_noise_ratio,
    root_mean_square_error,
    sum_of_correlations_of_differences,
)
from .fusion_fmi import feature_mutual_information
from .fusion_information import entropy, mutual_information, normalized_mutual_information
from .fusion_perception import chen_blum, chen_varshney
from .fusion_ssim import multi_scale_ssim, structural_similarity
from .fusion_vif import visual_information_fidelity

__all__ = ["FUSION_METRICS", "HIGHER_IS_BETTER", "fusion_metrics", "get_fusion_metric"]

FUSION_METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "en": entropy,
    "mi": mutual_information,
    "nmi": normalized_mutual_information,
    "ssim": structural_similarity,
    "ms_ssim": multi_scale_ssim,
    "sf": spatial_frequency,
    "sd": standard_deviation,
    "ag": average_gradient,
    "ei": edge_intensity,
    "cc": correlation_coefficient,
    "scd": sum_of_correlations_of_differences,
    "psnr": peak_signal_to_noise_ratio,
    "rmse": root_mean_square_error,
    "vif": visual_information_fidelity,
    "qabf": edge_preservation,
    "nabf": edge_artifacts,
    "qcb": chen_blum,
    "qcv": chen_varshney,
    "fmi": feature_mutual_information,
}
HIGHER_IS_BETTER: dict[str, bool] = {name: name not in ("rmse", "nabf", "qcv") for name in FUSION_METRICS}
MIN_SIDE = {"ssim": 11, "ms_ssim": 176, "vif": 41, "fmi": 3}  # of the others: 2


def fusion_metrics(fused: Tensor, sources: Tensor, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Compute fusion metrics of a batch, each in its standard variant.

    Args:
        fused: fused images (B, 1, H, W), gray levels in [0, 255].
        sources: source images (B, N, H, W), N >= 2, gray levels in [0, 255].
        names: keys of ``FUSION_METRICS``; None is all, in its order, with NaN where the image is too small for one.

    Returns:
        ``{name: (B,)}``, float64 on the device of ``fused``.

    Raises:
        ValueError: bad shape or values, an unknown name, or an image too small for a named metric.
    """
    if names is not None:
        return {name: get_fusion_metric(name)(fused, sources) for name in names}
    check_pair("fusion_metrics", fused, sources)
    side = min(fused.shape[2:])
    missing = torch.full((len(fused),), torch.nan, dtype=torch.float64, device=fused.device)
    return {
        name: metric(fused, sources) if side >= MIN_SIDE.get(name, 2) else missing.clone()
        for name, metric in FUSION_METRICS.items()
    }


def get_fusion_metric(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Metric of a key of ``FUSION_METRICS``.

    Raises:
        ValueError: an unknown name.
    """
    if name not in FUSION_METRICS:
        raise ValueError(f"get_fusion_metric: name is {name!r}, expected one of {', '.join(FUSION_METRICS)}.")
    return FUSION_METRICS[name]
