"""Losses that MONAI lacks."""

from .group_consistency_loss import group_consistency_loss
from .topk_pool_loss import topk_pool_loss
from .unit_loss import unit_loss

__all__ = ["group_consistency_loss", "topk_pool_loss", "unit_loss"]
