"""Transforms that several bundles use."""

from .case_seeded import CaseSeeded

__all__ = ["CaseSeeded"]
