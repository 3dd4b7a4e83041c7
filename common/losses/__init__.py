"""Losses that MONAI lacks."""

from .emfusion_loss import EMFusionLoss
from .fusion_gradient_loss import FusionGradientLoss, fusion_gradient_loss
from .fusion_intensity_loss import FusionIntensityLoss, fusion_intensity_loss
from .fusion_quality_loss import FusionQualityLoss, fusion_quality_loss
from .fusion_ssim_loss import FusionSSIMLoss, fusion_ssim_loss, ssim_index
from .fusion_surface_loss import SurfaceLoss
from .group_consistency_loss import group_consistency_loss
from .sdnet_loss import SDNetLoss, adaptive_gradient_loss
from .source_weights import abundance_saliency_weights
from .topk_pool_loss import topk_pool_loss
from .unique_channel_loss import unique_channel_loss
from .unit_loss import unit_loss

__all__ = [
    "EMFusionLoss",
    "FusionGradientLoss",
    "FusionIntensityLoss",
    "FusionQualityLoss",
    "FusionSSIMLoss",
    "SDNetLoss",
    "SurfaceLoss",
    "abundance_saliency_weights",
    "adaptive_gradient_loss",
    "fusion_gradient_loss",
    "fusion_intensity_loss",
    "fusion_quality_loss",
    "fusion_ssim_loss",
    "group_consistency_loss",
    "ssim_index",
    "topk_pool_loss",
    "unique_channel_loss",
    "unit_loss",
]
