"""Any fusion metric as a cumulative metric of MONAI."""

from typing import Any

from monai.metrics import CumulativeIterationMetric, do_metric_reduction
from monai.utils import MetricReduction
from torch import Tensor

from .fusion import get_fusion_metric

__all__ = ["FusionMetric"]


class FusionMetric(CumulativeIterationMetric):
    """A metric of ``FUSION_METRICS`` over batches of images in [0, 1].

    Called with ``y_pred``, fused images (B, 1, H, W), and ``y``, sources (B, N, H, W), or with lists of such images
    without the batch axis, whose sizes may differ; a volume (..., H, W, D) counts slice by slice. Both are clamped to [0, 1] and rounded to gray levels 0 to 255, as
    a saved image would be.

    Args:
        name: key of ``FUSION_METRICS``.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.metric = get_fusion_metric(name)

    def aggregate(self, reduction: MetricReduction | str = MetricReduction.MEAN) -> Tensor:
        """Value over all images so far, without those where the metric is NaN.

        Args:
            reduction: one of MONAI's; ``"none"`` gives (num_images, 1).
        """
        return do_metric_reduction(self.get_buffer(), reduction)[0]

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if y is None:
            raise ValueError(
                "FusionMetric: y is None, expected the sources (B, N, H, W); pass them as second argument."
            )
        if y.ndim == 5:  # volumes (B, N, H, W, D): every slice is an image
            y_pred, y = (volume.movedim(-1, 1).flatten(0, 1) for volume in (y_pred, y))
        fused, sources = ((image.float().clamp(0, 1) * 255).round() for image in (y_pred, y))
        return self.metric(fused, sources)[:, None]  # (B, 1)
