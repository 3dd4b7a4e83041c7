"""Training: what every fusion bundle must do, and the decoded sources that the loss of this one needs."""

from pathlib import Path

import torch

from tests.bundles.fusion_checks import TrainingChecks
from tests.bundles.fusion_run import FusionRun, execute


class TestTraining(TrainingChecks):
    run = FusionRun("brain_fusion_sdnet")

    def test_decoders_are_trained_with_the_rest(self, tmp_path: Path, cohort: Path) -> None:
        config = self.run.training([], cohort, tmp_path, max_epochs=1)
        before = {name: value.clone() for name, value in config.get_parsed_content("network_def").state_dict().items()}
        execute(config)
        after = torch.load(tmp_path / "model.pt", weights_only=True)
        assert [name for name, value in before.items() if torch.equal(value, after[name])] == []
