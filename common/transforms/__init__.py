"""Transforms that several bundles use."""

from .case_seeded import CaseSeeded
from .fusion_output import FusedOutputd, fused_output
from .join_sources import JoinSources, JoinSourcesd
from .per_source import PerSource, PerSourced
from .scale_to_unit import ScaleToUnit, ScaleToUnitd
from .ycbcr import RGBToYCbCrd, YCbCrToRGBd, rgb_to_ycbcr, ycbcr_to_rgb

__all__ = [
    "CaseSeeded",
    "FusedOutputd",
    "JoinSources",
    "JoinSourcesd",
    "PerSource",
    "PerSourced",
    "RGBToYCbCrd",
    "ScaleToUnit",
    "ScaleToUnitd",
    "YCbCrToRGBd",
    "fused_output",
    "rgb_to_ycbcr",
    "ycbcr_to_rgb",
]
