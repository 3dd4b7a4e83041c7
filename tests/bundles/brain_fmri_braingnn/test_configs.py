"""Every override trains an epoch, and predicts, on a tiny cohort; the grid study resumes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from scripts.phantoms import PhantomSettings, make_cohort
from scripts.study import LambdaStudy

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "bundles/brain_fmri_braingnn"
TINY = {"training": 8, "validation": 4, "test": 2, "frames": (80, 80), "tr_seconds": 2.0}
SMALL: dict[str, Any] = {
    "network_def#channels": [4, 4],
    "batch_size": 4,
    "cache_workers": 0,
    "max_epochs": 1,
    "num_members": 1,
}
OF_SERIES = (
    *("dynamic", "multimodal_gate", "multimodal_branch", "edge_attention", "paper", "official", "no_edges"),
    "block_bootstrap",
)
OF_IMAGES = ("nifti", "voxel_resampling")
TRAINING_ONLY = ("contrastive", "combat", "recipe_paper")
ALL = (*OF_SERIES, *OF_IMAGES, "matrices", *TRAINING_ONLY)
LONG = ("voxel_resampling", "nifti", "multimodal_gate", "official", "no_edges")
EVERY = [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in ALL]


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("series", "images", "matrices")}
    make_cohort(folders["series"], PhantomSettings(**TINY, structural=True, structural_share=0.6))  # type: ignore[arg-type]
    make_cohort(folders["images"], PhantomSettings(**TINY, nifti=True))  # type: ignore[arg-type]
    datalist = json.loads((folders["series"] / "dataset.json").read_text())
    for section in ("training", "validation", "test"):
        for case in datalist[section]:
            series = np.loadtxt(folders["series"] / case["image"])
            series = np.where(series.std(0), series, np.arange(len(series))[:, None] % 7)
            case["image"] = f"{case['id']}.npy"
            np.save(folders["matrices"] / case["image"], np.corrcoef(series.T))
    (folders["matrices"] / "dataset.json").write_text(json.dumps(datalist))
    return folders


def files(*names: str) -> list[str]:
    return [str(BUNDLE / f"configs/{name}.json") for name in names]


def places(name: str, cohorts: dict[str, Path], folder: Path) -> dict[str, Any]:
    data = cohorts["images" if name in OF_IMAGES else "matrices" if name == "matrices" else "series"]
    ids = {"bundle_root": str(BUNDLE), "dataset_dir": str(data), "output_dir": str(folder), "model_dir": str(folder)}
    fewer: dict[str, Any] = {"voxel_resampling": {"num_resamples": 3}, "dynamic": {"max_windows": 2}}
    return ids | {"cache_dir": str(data / "cache")} | fewer.get(name, {})


def run(names: list[str], ids: dict[str, Any]) -> ConfigWorkflow:
    workflow = ConfigWorkflow(files(*names), workflow_type="train", logging_file=False, **ids)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def inference_ids(ids: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in ids.items() if key not in ("max_epochs", "cache_workers", "cache_dir")}


def history(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("name", EVERY)
def test_an_override_trains_an_epoch(name: str, cohorts: dict[str, Path], tmp_path: Path) -> None:
    ids = SMALL | places(name, cohorts, tmp_path)
    run(["train", name], ids)
    row = history(tmp_path)[-1]
    assert np.isfinite(float(row["train_loss"]))
    assert ("val_agreement" if name == "contrastive" else "val_auc") in row
    assert (tmp_path / f"extra/{name}.pt").is_file()


@pytest.mark.parametrize("name", [case for case in EVERY if case.values[0] not in TRAINING_ONLY])
def test_an_override_predicts(name: str, cohorts: dict[str, Path], tmp_path: Path) -> None:
    ids = inference_ids(SMALL | places(name, cohorts, tmp_path))
    workflow = run(["inference", name], ids | {"load_pretrain": False})
    with open(tmp_path / "predictions.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 14 and not any(row["error"] for row in rows), rows[0]
    assert workflow.parser.get_parsed_content("dataset")[0]["image"].shape[1:] == (110, 110)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dynamic", "multimodal_branch", "combat"])
def test_an_override_is_evaluated(name: str, cohorts: dict[str, Path], tmp_path: Path) -> None:
    ids = SMALL | places(name, cohorts, tmp_path)
    run(["train", name], ids)
    run(["train", name, "evaluate"], ids | {"num_bootstrap": 20, "baselines": None})
    assert (tmp_path / "metrics.json").is_file()


def test_pretraining_hands_over_its_encoder(cohorts: dict[str, Path], tmp_path: Path) -> None:
    ids = SMALL | places("contrastive", cohorts, tmp_path)
    run(["train", "contrastive"], ids)
    ids |= {"pretrained_path": str(tmp_path / "extra/contrastive.pt"), "num_members": 2}
    parser = ConfigParser()
    parser.read_config(files("train"))
    parser.update(ids)
    network = parser.get_parsed_content("initial_network")
    stored = torch.load(ids["pretrained_path"])
    for member in network.members:
        assert torch.equal(member.conv1.basis, stored["conv1.basis"])


def test_time_crops_differ_between_epochs_and_not_between_repeats(cohorts: dict[str, Path], tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(files("train", "contrastive"))
    parser.update(SMALL | places("contrastive", cohorts, tmp_path))
    dataset = parser.get_parsed_content("train#dataset")
    first, again = dataset[0]["image"], dataset[0]["image"]
    parser.get_parsed_content("train#augmentation").epoch = 1
    assert first.shape == (4, 110, 110) and torch.equal(first, again)
    assert not torch.equal(first[0], first[2]) and not torch.equal(first, dataset[0]["image"])


def test_head_and_layers_have_learning_rates_of_their_own(cohorts: dict[str, Path], tmp_path: Path) -> None:
    for name in ("edge_attention", "dynamic", "multimodal_branch"):
        parser = ConfigParser()
        parser.read_config(files("train", name))
        parser.update(SMALL | places(name, cohorts, tmp_path) | {"learning_rate": 0.25, "head_learning_rate": 4.0})
        optimizer, network = parser.get_parsed_content("optimizer"), parser.get_parsed_content("network")
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        heads = {name for name, p in network.named_parameters() if rates[id(p)] == 4.0}
        assert heads and heads == {name for name, _ in network.named_parameters() if "head." in name}
        assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(network.parameters()))


def test_phantoms_of_an_override_are_its_own(tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(files("train", "multimodal_gate"))
    own = {"training": 2, "validation": 2, "test": 2, "structural": True}
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": str(tmp_path), "phantom_settings": own})
    parser["datalist#default_dir"] = str(tmp_path)
    cases = parser.get_parsed_content("datalist")
    assert len(cases["training"]) == 2
    assert list(Path(cases["training"][0]["image"]).parents[1].glob("structural/*"))


def test_windows_of_a_subject_are_one_item_of_one_section(cohorts: dict[str, Path], tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(files("train", "dynamic"))
    parser.update(SMALL | places("dynamic", cohorts, tmp_path))
    training = parser.get_parsed_content("train#dataset")
    validation = parser.get_parsed_content("validate#dataset")
    subjects = [[case["group"] for case in data] for data in (training, validation)]
    assert [len(part) for part in subjects] == [8, 4] and not set(subjects[0]) & set(subjects[1])
    assert training[0]["image"].shape == (4, 110, 110)
    assert training[0]["image"].flatten(1).any(1).all()


def test_combat_takes_the_sites_out(cohorts: dict[str, Path], tmp_path: Path) -> None:
    images = []
    for names in (["train"], ["train", "combat"]):
        parser = ConfigParser()
        parser.read_config(files(*names))
        parser.update(SMALL | places("combat", cohorts, tmp_path))
        dataset = parser.get_parsed_content("train#dataset")
        images.append(torch.stack([case["image"] for case in dataset]))
    assert not torch.allclose(images[0][:, 0], images[1][:, 0])
    assert torch.equal(images[0][:, 1], images[1][:, 1])


@pytest.mark.slow
def test_the_study_resumes(cohorts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {key: value for key, value in places("", cohorts, tmp_path).items() if key != "model_dir"}
    workflow = run(["study_lambda"], ids | {"weights": [0, 0.5], "overrides": SMALL})
    study = workflow.parser.get_parsed_content("study")
    with open(tmp_path / "study_lambda.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    pairs = [(float(row["topk"]), float(row["consistency"])) for row in rows]
    assert pairs == [(0, 0), (0, 0.5), (0.5, 0), (0.5, 0.5)]
    assert len({row["train_topk"] for row in rows}) == 4  # the weights reached the training
    assert (tmp_path / "study_lambda.png").stat().st_size > 0
    monkeypatch.setattr(LambdaStudy, "_train", lambda *_: pytest.fail("a finished run was repeated"))
    assert [row["topk"] for row in study.run()] == [0, 0, 0.5, 0.5]
