"""Training: what every fusion bundle must do, and the overrides of this one."""

from pathlib import Path

import pytest
import torch

from tests.bundles.bundle_run import history
from tests.bundles.fusion_checks import TrainingChecks
from tests.bundles.fusion_run import FusionRun, execute, weights_of


class TestTraining(TrainingChecks):
    run = FusionRun("brain_fusion_haf")

    @pytest.mark.parametrize("names", [["quality"], ["quality", "all_data"]], ids="_".join)
    def test_overrides_train_and_predict(self, tmp_path: Path, cohort: Path, names: list[str]) -> None:
        config = self.run.training(names, cohort, tmp_path, max_epochs=1, patch_size=[48, 48])
        execute(config)
        assert type(config.get_parsed_content("loss")).__name__ == "FusionQualityLoss"
        assert len(config.get_parsed_content("training_cases")) == (4 if "all_data" in names else 2)
        assert 0 < float(history(tmp_path)[0]["val_qabf"]) < 1
        network = config.get_parsed_content("network_def").eval()
        network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
        with torch.no_grad():
            assert network(torch.rand(1, 2, 50, 46)).shape == (1, 1, 50, 46)

    def test_the_weight_of_each_source_is_an_override(self, tmp_path: Path, cohort: Path) -> None:
        for name, shares in (("function", (3.0, 1.0)), ("structure", (1.0, 3.0))):
            config = self.run.training([name], cohort, tmp_path / name, max_epochs=1, learning_rate=0.01)
            assert config.get_parsed_content("loss").source_weights == shares
            execute(config)
        function, structure = (weights_of(tmp_path / name / "model.pt") for name in ("function", "structure"))
        assert (function - structure).abs().max() > 1e-5
