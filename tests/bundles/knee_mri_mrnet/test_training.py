"""The run as a user starts it: one member, killed and resumed, in two processes, with every override, all nine."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.names import PLANES, TASKS, member_name
from scripts.phantoms import PhantomSettings, make_cohort
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.bundles.bundle_run import BundleRun, history, same_weights

train = BundleRun("knee_mri_mrnet", backbone="alexnet", pretrained="random", copies=1)
IDS = {"max_epochs": 4, "patience": 9}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings(**train.contract["phantoms"]))
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = train(["train"], folder, cohort, **IDS)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def test_the_run_leaves_curves_and_names_them(undisturbed: tuple[Path, str]) -> None:
    folder, log = undisturbed
    assert "RunSummary: best val_score" in log
    wanted = {"train_loss", "train_auc", "val_auc", "val_loss", "val_ap", "learning_rate"}
    assert wanted <= set(history(folder)[0])
    assert (folder / "history.png").is_file()
    (stamped,) = (folder / "tensorboard").iterdir()
    assert stamped.name.endswith("-sagittal-acl")
    assert list(stamped.iterdir())


def test_only_the_trained_head_changes(undisturbed: tuple[Path, str], tmp_path: Path, cohort: Path) -> None:
    shutil.copy(undisturbed[0] / "model.pt", tmp_path / "model.pt")
    assert train(["train"], tmp_path, cohort, **IDS, plane="coronal", task="abnormal").returncode == 0
    one, two = (torch.load(folder / "model.pt", weights_only=True) for folder in (undisturbed[0], tmp_path))
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed == {name for name in one if name.startswith("heads.coronal_abnormal.")}


def test_a_killed_and_resumed_run_equals_an_undisturbed_one(
    tmp_path: Path, cohort: Path, undisturbed: tuple[Path, str]
) -> None:
    train.killed_after(2, tmp_path, cohort, **IDS)
    assert 2 <= len(history(tmp_path)) < 4
    done = train(["train"], tmp_path, cohort, **IDS, resume=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert same_weights(undisturbed[0], tmp_path, "model.pt", "checkpoint.pt")
    assert history(tmp_path) == history(undisturbed[0])


def test_two_processes_train_one_member(tmp_path: Path, cohort: Path) -> None:
    done = train.in_two_processes(tmp_path, cohort, max_epochs=1, batch_size=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not [name for name in torch.load(tmp_path / "model.pt", weights_only=True) if "module." in name]
    assert len(history(tmp_path)) == 1


@pytest.mark.parametrize(
    ("configs", "ids"),
    [
        pytest.param(["finetune"], {"crop_size": 96}, id="end to end"),
        pytest.param(["rich_augmentation"], {}, id="rich augmentation"),
        pytest.param(["step_lr"], {"accumulation_steps": 2}, id="step schedule, accumulated gradients"),
        pytest.param(["three_plane"], {}, id="three planes, joint tasks"),
    ],
)
def test_overrides_train(tmp_path: Path, cohort: Path, configs: list[str], ids: dict) -> None:
    done = train(["train", *configs], tmp_path, cohort, max_epochs=1, **ids)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 0 <= float(history(tmp_path)[0]["val_auc"]) <= 1


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """Nine members and the stacker by one command."""
    folder = tmp_path_factory.mktemp("stacked")
    done = train(["train", "stack"], folder, cohort, max_epochs=1, num_folds=2)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_one_command_trains_all_members_and_the_stacker(stacked: Path) -> None:
    model = torch.load(stacked / "model.pt", weights_only=True)
    alone = torch.load(stacked / "extra/stacker.pt", weights_only=True)
    assert set(alone) == {"weight", "bias", "threshold"}
    assert all(torch.equal(alone[name], model[f"stacker.{name}"]) for name in alone)
    assert not torch.equal(alone["bias"], torch.zeros(8, 3))
    (run,) = (stacked / "stack").iterdir()
    for name in (member_name(plane, task) for plane in PLANES for task in TASKS):
        trained = torch.load(run / f"all_{name}.pt", weights_only=True)["weights"]
        assert trained
        assert all(torch.equal(value, model[key]) for key, value in trained.items())


def test_the_stack_has_the_backbone_that_its_members_were_trained_with(stacked: Path, undisturbed: tuple) -> None:
    stack, member = (torch.load(folder / "model.pt", weights_only=True) for folder in (stacked, undisturbed[0]))
    shared = [name for name in stack if name.startswith("backbones.")]
    assert shared
    assert all(torch.equal(stack[name], member[name]) for name in shared)


def test_the_stacker_learns_from_members_that_did_not_see_the_exam(stacked: Path, cohort: Path) -> None:
    (run,) = (stacked / "stack").iterdir()
    rows = list(csv.DictReader(open(run / "out_of_fold.csv")))
    training = json.loads((cohort / "dataset.json").read_text())["training"]
    assert sorted(row["id"] for row in rows) == sorted(case["id"] for case in training)
    assert {row["fold"] for row in rows} == {"0", "1"}
    for fold in ("0", "1"):
        held = torch.load(run / f"{fold}_axial_acl.pt", weights_only=True)["logits"]
        assert set(held) == {row["id"] for row in rows if row["fold"] == fold}


def test_an_interrupted_stack_goes_on_where_it_stopped(stacked: Path, cohort: Path) -> None:
    (run,) = (stacked / "stack").iterdir()
    before = (stacked / "model.pt").read_bytes()
    kept = {path: path.stat().st_mtime_ns for path in run.glob("*.pt") if path.name != "1_coronal_acl.pt"}
    (run / "1_coronal_acl.pt").unlink()
    (stacked / "model.pt").unlink()
    assert train(["train", "stack"], stacked, cohort, max_epochs=1, num_folds=2).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    states = [torch.load(stacked / "model.pt", weights_only=True)]
    (stacked / "model.pt").write_bytes(before)
    states.append(torch.load(stacked / "model.pt", weights_only=True))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_evaluation_compares_the_stack_with_its_parts(stacked: Path, cohort: Path) -> None:
    done = train(["train", "evaluate"], stacked, cohort, num_bootstrap=10)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((stacked / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"mean_of_logits", "best_single_plane", "statistics"}
    assert metrics["auroc_acl"]["n"] == train.contract["phantoms"]["test"]
    assert len(list(csv.DictReader(open(stacked / "singles.csv")))) == 9


def predict(folder: Path, source: Path, stacked: Path, *configs: str, **ids: object) -> dict[str, dict[str, str]]:
    infer = BundleRun("knee_mri_mrnet", backbone="alexnet", ckpt_path=stacked / "model.pt")
    infer.ids = {name: value for name, value in infer.ids.items() if name not in infer.contract["overrides"]}
    done = infer(["inference", *configs], folder, source, **ids)
    assert done.returncode == 0, done.stderr[-3000:]
    return {row["id"]: row for row in csv.DictReader(open(folder / "predictions.csv"))}


def test_a_folder_as_stanford_ships_it_is_predicted_and_gaps_are_noted(
    tmp_path: Path, cohort: Path, stacked: Path
) -> None:
    source = tmp_path / "MRNet-v1.0/valid"
    for plane in PLANES:
        (source / plane).mkdir(parents=True)
        for number, path in enumerate(sorted((cohort / "planes" / plane).iterdir())[:5]):
            shutil.copy(path, source / plane / f"{1130 + number}.npy")
    (source / "sagittal/1131.npy").unlink()
    np.save(source / "axial/1132.npy", np.full((4, 256, 256), np.nan))
    np.save(source / "coronal/1133.npy", np.zeros((256, 256)))
    (source / "axial/1134.npy").write_bytes(b"torn")
    for task in TASKS:
        lines = [f"{1130 + number},{number % 2}" for number in range(5)]
        (tmp_path / f"MRNet-v1.0/valid-{task}.csv").write_text("\n".join(lines) + "\n")
    rows = predict(tmp_path / "out", source, stacked)
    assert sorted(rows) == ["1130", "1131", "1132", "1133", "1134"]
    assert (rows["1130"]["note"], rows["1130"]["error"]) == ("", "")
    assert rows["1130"]["label_acl"] == "0"
    assert rows["1131"]["note"] == "without sagittal"
    assert all(0 < float(rows["1131"][f"prob_{task}"]) < 1 for task in TASKS)
    for name, reason in {"1132": "NaN", "1133": "shape", "1134": "npy"}.items():
        assert reason in rows[name]["error"]
        assert rows[name]["prob_acl"] == ""


def test_explanations_come_with_one_override(tmp_path: Path, cohort: Path, stacked: Path) -> None:
    predict(tmp_path, cohort, stacked, "explain", max_exams=1, tasks=["acl"])
    rows = list(csv.DictReader(open(tmp_path / "explanations/explanations.csv")))
    assert {row["plane"] for row in rows} == set(PLANES)
    assert len(list((tmp_path / "explanations").glob("*_acl.png"))) == 1


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param({"dataset_dir": "absent"}, "python -m common datalist", id="no datalist"),
        pytest.param({"plane": "oblique"}, "plane is 'oblique', and known are", id="unknown plane"),
        pytest.param({"task": "pcl"}, "task is 'pcl', and known are", id="unknown task"),
        pytest.param({"pretrained": "absent.pt"}, "absent.pt", id="no checkpoint"),
        pytest.param({"bundle_root": "elsewhere"}, "elsewhere/configs/stack.json", id="wrong root"),
        pytest.param({"fold": 9}, "fold is 9, and 5 folds are 0 to 4", id="no such fold"),
    ],
)
def test_mistakes_end_in_one_clear_sentence(tmp_path: Path, cohort: Path, ids: dict, message: str) -> None:
    done = train(["train"], tmp_path, cohort, **({"max_epochs": 1} | ids))
    assert done.returncode != 0
    assert message in done.stderr


def test_weights_of_another_network_are_refused_and_kept(
    tmp_path: Path, cohort: Path, undisturbed: tuple[Path, str]
) -> None:
    shutil.copy(undisturbed[0] / "model.pt", tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    done = train(["train"], tmp_path, cohort, max_epochs=1, backbone="resnet18")
    assert "holds the weights of another network" in done.stderr
    assert (tmp_path / "model.pt").read_bytes() == before


def test_tensorboard_has_the_loss_of_each_batch_and_both_areas_of_each_epoch(undisturbed: tuple[Path, str]) -> None:
    (stamped,) = (undisturbed[0] / "tensorboard").iterdir()
    events = EventAccumulator(str(stamped))
    events.Reload()
    batches = train.contract["phantoms"]["training"] // 8
    assert len(events.Scalars("batch_loss")) == IDS["max_epochs"] * batches
    assert len(events.Scalars("train_auc")) == len(events.Scalars("val_auc")) == IDS["max_epochs"]
