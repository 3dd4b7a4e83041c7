"""Transforms that several bundles use."""

from .case_seeded import CaseSeeded
from .connectivity import (
    Connectivity,
    Connectivityd,
    correlation,
    fisher_z,
    ledoit_wolf,
    partial_correlation,
    present,
    subject_text,
)
from .fusion_output import FusedOutputd, fused_output
from .join_sources import JoinSources, JoinSourcesd
from .per_source import PerSource, PerSourced
from .region_series import LoadMatrix, LoadMatrixd, LoadRegionSeries, LoadRegionSeriesd
from .scale_to_unit import ScaleToUnit, ScaleToUnitd
from .ycbcr import RGBToYCbCrd, YCbCrToRGBd, rgb_to_ycbcr, ycbcr_to_rgb

__all__ = [
    "CaseSeeded",
    "Connectivity",
    "Connectivityd",
    "FusedOutputd",
    "JoinSources",
    "JoinSourcesd",
    "LoadMatrix",
    "LoadMatrixd",
    "LoadRegionSeries",
    "LoadRegionSeriesd",
    "PerSource",
    "PerSourced",
    "RGBToYCbCrd",
    "ScaleToUnit",
    "ScaleToUnitd",
    "YCbCrToRGBd",
    "correlation",
    "fisher_z",
    "fused_output",
    "ledoit_wolf",
    "partial_correlation",
    "present",
    "rgb_to_ycbcr",
    "subject_text",
    "ycbcr_to_rgb",
]
