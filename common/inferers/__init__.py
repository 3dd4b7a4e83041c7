"""Ways to apply a network that MONAI lacks."""

from .fusion_inferer import FusionInferer

__all__ = ["FusionInferer"]
