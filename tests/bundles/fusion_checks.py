"""What every fusion bundle must do when it trains and when it fuses: a test file makes a subclass with its own run."""

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.bundles.bundle_run import history, same_weights
from tests.bundles.fusion_run import RATE, FusionRun, execute, failure, frames, pair, weights_of

__all__ = ["InferenceChecks", "TrainingChecks"]

NAMES = ("flair", "t1", "t1ce", "t2")


class TrainingChecks:
    """The run as a user starts it: killed, resumed, in two processes, with every override."""

    run: FusionRun

    @pytest.fixture(scope="class")
    @classmethod
    def cohort(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return cls.run.make_cohort(tmp_path_factory.mktemp("cohort"))

    def test_a_killed_and_resumed_run_equals_an_undisturbed_one(self, tmp_path: Path, cohort: Path) -> None:
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        self.run.killed_after(2, killed, cohort, max_epochs=5)
        assert 2 <= len(history(killed)) < 5
        for folder, resume in ((whole, False), (killed, True)):
            done = self.run(["train"], folder, cohort, max_epochs=5, resume=resume)
            assert done.returncode == 0, done.stderr[-3000:]
        assert same_weights(whole, killed, "model.pt", "checkpoint.pt")
        assert history(killed) == history(whole)

    def test_two_processes_train_together(self, tmp_path: Path, cohort: Path) -> None:
        done = self.run.in_two_processes(tmp_path, cohort, max_epochs=1)
        assert done.returncode == 0, done.stderr[-3000:]
        network = self.run.parsed(["inference"]).get_parsed_content("network_def")
        network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
        assert len(history(tmp_path)) == 1

    def test_accumulated_batches_equal_one_large_batch(self, tmp_path: Path, cohort: Path) -> None:
        still = {"random_transforms": [], "max_epochs": 2, "learning_rate": 0.002, "warmup_epochs": 0}
        still |= {"train#dataloader#shuffle": False, "patch_size": [64, 64]}
        sizes = {"small": (1, 2), "large": (2, 1), "plain": (1, 1)}
        for name, (batch_size, steps) in sizes.items():
            ids = {"batch_size": batch_size, "accumulation_steps": steps}
            execute(self.run.training([], cohort, tmp_path / name, **(still | ids)))
        small, large, plain = (weights_of(tmp_path / name / "model.pt") for name in sizes)
        torch.testing.assert_close(small, large, atol=1e-4, rtol=0)
        assert (plain - large).abs().max() > 1e-3

    def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_weights(
        self, tmp_path: Path, cohort: Path
    ) -> None:
        (tmp_path / "model.pt").write_bytes(b"mine")
        config = self.run.training([], cohort, tmp_path, max_epochs=1, gradient_weight="$float('nan')")
        assert "NaNGuard: the loss is nan in epoch 1, iteration 1" in failure(lambda: execute(config))
        assert (tmp_path / "model.pt").read_bytes() == b"mine"

    @pytest.mark.parametrize(("name", "weights"), [("ct", "model"), ("pet", "extra/pet"), ("spect", "extra/spect")])
    def test_one_override_names_the_modality_for_training_and_inference(self, name: str, weights: str) -> None:
        for kind in ("train", "inference"):
            config = self.run.parsed([kind, name])
            assert config.get_parsed_content("source_names") == [name.upper(), "MRI"]
            assert config["weights"] == weights
            assert config.get_parsed_content("pretrained_path") == f"{self.run.root}/models/extra/phantoms.pt"
        written = config.get_parsed_content("ckpt_path")
        assert written == f"{self.run.root}/models/{weights}.pt"
        assert self.run.parsed(["train", name]).get_parsed_content("best_weights").path == Path(written)

    @pytest.mark.parametrize("count", [2, 4])
    def test_volumes_of_sequences_train_a_network_of_as_many_inputs(self, tmp_path: Path, count: int) -> None:
        data = self.run.make_cohort(tmp_path / "brats", modalities=("BraTS",), volume_shape=(48, 48, 8))
        ids: dict[str, Any] = {"in_channels": count, "sequences": list(NAMES[-count:]), "max_epochs": 1}
        names = ["volumes", "sequences"]
        execute(self.run.training(names, data, tmp_path, **ids))
        assert 0 < float(history(tmp_path)[0]["val_qabf"]) < 1
        network = self.run.parsed(["train"], **ids).get_parsed_content("network_def")
        network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
        with torch.no_grad():
            assert network(torch.rand(1, count, 50, 46)).shape == (1, 1, 50, 46)
        execute(self.run.training([*names, "evaluate"], data, tmp_path, metrics=["qabf", "vif"], **ids))
        assert json.loads((tmp_path / "metrics.json").read_text())["qabf"]["n"] == 1

    def test_evaluation_of_phantoms_measures_their_lesions(self, tmp_path: Path, cohort: Path) -> None:
        execute(self.run.training([], cohort, tmp_path, max_epochs=1))
        execute(self.run.training(["evaluate"], cohort, tmp_path, metrics=["qabf"]))
        assert read(tmp_path / "lesion_contrast.csv")[0]["cnr_model"]

    def test_the_learning_rate_finder_suggests_a_rate_and_touches_no_weights(
        self, tmp_path: Path, cohort: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "model.pt").write_bytes(b"mine")
        config = self.run.training(["lr_finder"], cohort, tmp_path, num_rates=20, start_rate=1e-4)
        network = config.get_parsed_content("network_def")
        before = {name: value.clone() for name, value in network.state_dict().items()}
        with caplog.at_level("INFO"):
            execute(config)
        rates = [float(row["learning_rate"]) for row in read(tmp_path / "learning_rates.csv")]
        assert rates[:2] == pytest.approx([1e-4, 1e-4 * 10 ** (4 / 19)]) and 10 <= len(rates) <= 20
        assert "pass --learning_rate " in caplog.text and (tmp_path / "learning_rates.png").is_file()
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
        assert (tmp_path / "model.pt").read_bytes() == b"mine"
        assert not (tmp_path / "checkpoint.pt").exists()


class InferenceChecks:
    """Pictures and volumes to fused pictures and volumes, with a network that is drawn and not the maximum."""

    run: FusionRun
    bounds = (0.0, 1.0)  # of the output of the network

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> nn.Module:
        network = cls.run.parsed(["inference"]).get_parsed_content("network_def").eval()
        generator = torch.Generator().manual_seed(0)
        for name, parameter in network.named_parameters():
            scale = 0.05 if name.endswith("bias") else 0.8 / parameter[0].numel() ** 0.5
            parameter.data = scale * torch.randn(parameter.shape, generator=generator)
        return network

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("weights") / "model.pt"
        torch.save(network.state_dict(), path)
        return path

    @pytest.fixture(scope="class")
    @classmethod
    def brats(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("brats")
        sizes = {"modalities": ("BraTS",), "volume_shape": (48, 40, 8)}
        cls.run.make_cohort(folder, training=0, validation=0, test=1, **sizes)
        return folder

    def test_the_picture_is_the_output_of_the_network_pixel_by_pixel(
        self, tmp_path: Path, weights: Path, network: nn.Module
    ) -> None:
        ct, mri = pair(tmp_path / "ct", "CT")
        assert not self.run.fuse(tmp_path / "ct", tmp_path / "out", weights)[0]["error"]
        image = torch.from_numpy(np.stack([ct, mri])[None].astype(np.float32) / 255)
        with torch.no_grad():
            output = network(image)
        assert output.min() >= 0 and output.max() <= 1
        maximum = image.amax(1, keepdim=True)
        assert (output - maximum)[(maximum > 0.1) & (maximum < 0.9)].abs().mean() > 1e-3
        expected = (output * (image > 0).any(1, keepdim=True))[0, 0].numpy() * 255
        assert np.abs(np.asarray(Image.open(tmp_path / "out/7001_fused.png")).astype(float) - expected).max() <= 1

    @pytest.mark.parametrize("modality", ["PET", "SPECT"])
    def test_colour_comes_back_in_colour(self, tmp_path: Path, weights: Path, modality: str) -> None:
        pair(tmp_path / "in", modality)
        row = self.run.fuse(tmp_path / "in", tmp_path / "out", weights, modality.lower())[0]
        fused = np.asarray(Image.open(tmp_path / "out/7001_fused.png"))
        assert fused.shape == (64, 64, 3)
        assert not (fused[..., 0] == fused[..., 2]).all()
        assert 0 <= float(row["chroma_error"]) < 30

    def test_pictures_of_odd_size_are_fused(self, tmp_path: Path, weights: Path) -> None:
        pair(tmp_path / "in", "CT")
        for path in (tmp_path / "in").rglob("*.png"):
            Image.open(path).crop((5, 9, 50, 48)).save(path)
        assert not self.run.fuse(tmp_path / "in", tmp_path / "out", weights)[0]["error"]
        assert Image.open(tmp_path / "out/7001_fused.png").size == (45, 39)

    @pytest.mark.parametrize("names", [["t1ce", "flair"], ["t2", "t1ce", "flair"], list(NAMES)], ids=len)
    def test_any_sequences_become_one_volume(self, tmp_path: Path, weights: Path, brats: Path, names: list) -> None:
        self.run.fuse(brats / "images", tmp_path, weights, "sequences", sequences=names, figures=False)
        check_volume(tmp_path, brats, names)

    def test_sequences_are_chosen_on_the_command_line(self, tmp_path: Path, weights: Path, brats: Path) -> None:
        parts = {"sequences": "['t1ce','flair']", "ckpt_path": weights, "panels": False, "figures": False}
        done = self.run(["inference", "sequences"], tmp_path, brats / "images", **parts)
        assert done.returncode == 0, done.stderr[-3000:]
        check_volume(tmp_path, brats, ["t1ce", "flair"])

    def test_four_sequences_go_into_a_network_of_four_inputs(self, tmp_path: Path, brats: Path) -> None:
        ids = {"in_channels": 4, "figures": False, "panels": False, "load_pretrain": False}
        self.run.inference(["sequences"], brats / "images", tmp_path, **ids).get_parsed_content("run#1")
        check_volume(tmp_path, brats, list(NAMES))

    @pytest.mark.parametrize("modality", ["CT", "SPECT"])
    def test_every_frame_is_fused_live_and_the_rate_is_logged_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, modality: str
    ) -> None:
        frames(tmp_path / "in", modality)
        (line,) = self.run.live(tmp_path / "in", tmp_path / "out", caplog)
        match = RATE.match(line)
        assert match and match.group(1, 2) == ("6", "64 x 64")
        assert float(match[3]) >= float(match[4]) > 0
        assert len(list((tmp_path / "out").glob("*_fused.png"))) == 6

    def test_lesions_of_phantoms_are_measured(self, tmp_path: Path, weights: Path) -> None:
        data = self.run.make_cohort(tmp_path / "data")
        cases = [case for part in json.loads((data / "dataset.json").read_text()).values() for case in part_cases(part)]
        self.run.fuse(data, tmp_path / "out", weights)
        rows = read(tmp_path / "out/lesion_contrast.csv")
        assert rows and {row["id"] for row in rows} <= {case["id"] for case in cases}
        assert {"cnr_model", "cnr_CT", "cnr_MRI", "cnr_maximum"} <= set(rows[0])
        assert {row["best_source"] for row in rows} <= {"CT", "MRI"}


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    return list(csv.DictReader(open(path)))


def part_cases(part: Any) -> list[dict]:
    """Cases of a section; other entries of a datalist have none."""
    return [case for case in part if isinstance(case, dict)] if isinstance(part, list) else []


def check_volume(output: Path, brats: Path, names: list[str]) -> None:
    """One volume on the grid of its sources, with tissue, and 0 where all of ``names`` are."""
    (row,) = [row for row in read(output / "metrics.csv") if row["method"] == "model"]
    assert not row["error"]
    fused = nibabel.load(next(output.glob("*_fused.nii.gz")))
    sources = [nibabel.load(next((brats / "images").rglob(f"*_{name}.nii.gz"))) for name in names]
    assert fused.shape == sources[0].shape
    np.testing.assert_allclose(fused.affine, sources[0].affine, atol=1e-4)
    outside = np.all([np.asarray(source.dataobj) == 0 for source in sources], axis=0)
    found = np.asarray(fused.dataobj)
    assert (found[outside] == 0).all() and found[~outside].std() > 0
