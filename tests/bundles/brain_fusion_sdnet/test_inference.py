"""Inference: what every fusion bundle must do."""

from tests.bundles.fusion_checks import InferenceChecks
from tests.bundles.fusion_run import FusionRun


class TestInference(InferenceChecks):
    run = FusionRun("brain_fusion_sdnet")
