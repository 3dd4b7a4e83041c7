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
from .rigid_registration import RegistrationResult, RigidRegistration
from .rigid_registration_dictionary import RigidRegistrationd
from .rigid_transform import apply_rigid_transform
from .scale_to_unit import ScaleToUnit, ScaleToUnitd
from .split_sources import SOURCE_NAMES, SplitSourcesd
from .ycbcr import RGBToYCbCrd, YCbCrToRGBd, rgb_to_ycbcr, ycbcr_to_rgb

__all__ = [
    "SOURCE_NAMES",
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
    "RegistrationResult",
    "RigidRegistration",
    "RigidRegistrationd",
    "ScaleToUnit",
    "ScaleToUnitd",
    "SplitSourcesd",
    "YCbCrToRGBd",
    "apply_rigid_transform",
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
