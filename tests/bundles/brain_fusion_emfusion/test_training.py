"""The run as a user starts it: two stages in order, killed, resumed, in two processes, with every override."""

import json
import os
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from common.data.brain_phantoms import PhantomSettings, make_cohort
from tests.bundles.bundle_run import ROOT, BundleRun, history, same_weights

run = BundleRun("brain_fusion_emfusion", **{"network_def#features": 4, "val_interval": 1})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings(**run.contract["phantoms"]))
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(["train"], folder, cohort, max_epochs=5)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def test_stage_one_comes_first_and_leaves_its_files(undisturbed: tuple[Path, str]) -> None:
    folder, log = undisturbed
    order = [log.index(text) for text in ("translators: 1", "autoencoders: 1", "unique_channels: 10", "RunSummary")]
    assert order == sorted(order)
    chosen = json.loads((folder / "stage_one/unique_channels.json").read_text())
    assert len(set(chosen["mri"])) == len(set(chosen["functional"])) == 10


def test_warm_up_and_cosine_shape_the_learning_rate(undisturbed: tuple[Path, str]) -> None:
    rates = [float(row["learning_rate"]) for row in history(undisturbed[0])]
    assert rates.index(max(rates)) <= 1
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 0.15 * max(rates)


def test_a_killed_and_resumed_run_equals_an_undisturbed_one_and_keeps_stage_one(
    tmp_path: Path, cohort: Path, undisturbed: tuple[Path, str]
) -> None:
    run.killed_after(2, tmp_path, cohort, max_epochs=5)
    assert 2 <= len(history(tmp_path)) < 5
    done = run(["train"], tmp_path, cohort, max_epochs=5, resume=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(": kept, ") == 3
    assert same_weights(undisturbed[0], tmp_path, "model.pt")
    assert history(tmp_path) == history(undisturbed[0])


def test_two_processes_train_together(tmp_path: Path, cohort: Path) -> None:
    done = run.in_two_processes(tmp_path, cohort, max_epochs=1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not [name for name in torch.load(tmp_path / "model.pt", weights_only=True) if name.startswith("module.")]
    assert len(history(tmp_path)) == 1


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_weights(
    tmp_path: Path, cohort: Path, undisturbed: tuple[Path, str]
) -> None:
    torch.save(torch.load(undisturbed[0] / "model.pt", weights_only=True), tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    done = run(
        ["train", "quality"],
        tmp_path,
        cohort,
        **{"max_epochs": 1, "loss#ssim_weight": "$float('nan')", "patch_size": [48, 48]},
    )
    assert done.returncode != 0
    assert "NaNGuard: the loss is nan in epoch 1, iteration 1" in done.stderr
    assert (tmp_path / "model.pt").read_bytes() == before


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["quality"], id="quality"),
        pytest.param(["attention", "surface"], id="attention network, surface loss"),
        pytest.param(["quality", "all_data"], id="all data"),
    ],
)
def test_overrides_train_and_predict(tmp_path: Path, cohort: Path, names: list[str]) -> None:
    features = [4, 8] if "attention" in names else 4
    config = ConfigParser()
    config.read_config([str(ROOT / run.folder / f"configs/{name}.json") for name in ("train", *names)])
    ids = run.contract["overrides"] | {
        "bundle_root": str(ROOT / run.folder),
        "dataset_dir": str(cohort),
        "max_epochs": 1,
    }
    ids |= {"output_dir": str(tmp_path), "model_dir": str(tmp_path), "cache_dir": str(cohort / "cache")}
    config.update(ids | {"patch_size": [48, 48], "network_def#features": features, "train#handlers#6#_disabled_": True})
    config.get_parsed_content("run#0")
    config.get_parsed_content("run#1")
    assert not (tmp_path / "stage_one").exists()  # only EMFusion's own loss needs it
    expected = 4 if "all_data" in names else 2
    assert len(config.get_parsed_content("training_cases")) == expected
    network = config.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    with torch.no_grad():
        assert network(torch.rand(1, 2, 50, 46)).shape == (1, 1, 50, 46)


@pytest.mark.parametrize(("name", "weights"), [("ct", "model"), ("pet", "extra/pet"), ("spect", "extra/spect")])
def test_one_override_names_the_modality_for_training_and_inference(name: str, weights: str) -> None:
    for kind in ("train", "inference"):
        config = ConfigParser()
        config.read_config([str(ROOT / run.folder / f"configs/{part}.json") for part in (kind, name)])
        config.update({"bundle_root": str(ROOT / run.folder)})
        assert config.get_parsed_content("source_names") == [name.upper(), "MRI"]
        assert config["weights"] == weights
        assert os.path.isfile(ROOT / run.folder / f"models/{weights}.pt")


def test_volumes_of_four_sequences_train_a_network_of_four_inputs(tmp_path: Path) -> None:
    data = tmp_path / "brats"
    make_cohort(data, PhantomSettings(2, 1, 1, modalities=("BraTS",), volume_shape=(64, 64, 8)))
    ids = {"in_channels": 4, "patch_size": [48, 48], "max_epochs": 1, "network_def#features": 4}
    names = ["train", "quality", "volumes", "sequences"]
    done = run(names, tmp_path, data, **ids)
    assert done.returncode == 0, done.stderr[-3000:]
    assert torch.load(tmp_path / "model.pt", weights_only=True)["conv1.weight"].shape[1] == 4
    assert 0 < float(history(tmp_path)[0]["val_qabf"]) < 1
    done = run([*names, "evaluate"], tmp_path, data, **ids, metrics=["qabf", "vif"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "metrics.json").read_text())["qabf"]["n"] == 1
