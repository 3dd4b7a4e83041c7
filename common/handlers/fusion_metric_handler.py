"""A fusion metric in the loop of a MONAI engine."""

from collections.abc import Callable

from monai.handlers import IgniteMetricHandler

from ..metrics.fusion_metric import FusionMetric

__all__ = ["FusionMetricHandler"]


class FusionMetricHandler(IgniteMetricHandler):
    """Mean of a fusion metric over the images of an epoch, for ``key_val_metric`` of an evaluator.

    Args:
        name: key of ``FUSION_METRICS``.
        output_transform: maps the engine's output to ``(fused, sources)`` in [0, 1], (B, 1, H, W) and (B, N, H, W) or
            lists without the batch axis: ``from_engine(["pred", "image"])``.
        save_details: keep the value of each image in ``engine.state.metric_details``.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(
        self, name: str, output_transform: Callable = lambda output: output, save_details: bool = True
    ) -> None:
        super().__init__(metric_fn=FusionMetric(name), output_transform=output_transform, save_details=save_details)
