"""The run as a user starts it: killed, resumed, repeated, evaluated, and fed with broken files."""

import csv
import json
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scripts.phantoms import PhantomSettings, make_cohort, make_phantom

from tests.bundles.bundle_run import BundleRun, history, same_weights

SMALL = {"image_size": [32, 32, 32], "voxel_mm": 10.0, "network_def#block_inplanes": [4, 8, 8, 8]}
run = BundleRun("lung_ct_resnet3d", **SMALL)


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


def test_a_killed_and_resumed_run_equals_an_undisturbed_one(
    tmp_path: Path, cohort: Path, undisturbed: tuple[Path, str]
) -> None:
    run.killed_after(2, tmp_path, cohort, max_epochs=5)
    assert 2 <= len(history(tmp_path)) < 5
    assert run(["train"], tmp_path, cohort, max_epochs=5, resume=True).returncode == 0
    assert same_weights(undisturbed[0], tmp_path, "model.pt", "checkpoint.pt")
    assert history(tmp_path) == history(undisturbed[0])


def test_the_run_names_what_came_out(undisturbed: tuple[Path, str]) -> None:
    folder, log = undisturbed
    tail = log[log.index("RunSummary: best") :]
    assert "best val_auc" in tail
    for name in (folder / "model.pt", folder / "history.png", folder / "tensorboard"):
        assert str(name) in tail
        assert name.exists()
    assert log.count("val_auc") >= 5
    columns = set(next(csv.DictReader(open(folder / "history.csv"))))
    figures = ("loss", "auc", "accuracy", "precision", "recall", "f1")
    assert {f"{part}_{name}" for part in ("train", "val") for name in figures} <= columns


def test_evaluation_reports_every_figure_with_its_baseline(cohort: Path, undisturbed: tuple[Path, str]) -> None:
    done = run(["train", "evaluate"], undisturbed[0], cohort, num_bootstrap=20)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((undisturbed[0] / "metrics.json").read_text())
    wanted = """auroc auprc accuracy balanced_accuracy sensitivity specificity precision recall f1 brier
    calibration_error baselines protocol"""
    assert set(wanted.split()) == set(metrics)
    assert metrics["baselines"]["forest"]["auroc"]["n"] == run.contract["phantoms"]["test"]


def test_inference_goes_on_after_broken_cases(tmp_path: Path, cohort: Path, undisturbed: tuple[Path, str]) -> None:
    phantom = make_phantom(1, 0, PhantomSettings(**run.contract["phantoms"]))
    folder = tmp_path / "volumes"
    folder.mkdir()
    nibabel.save(nibabel.Nifti1Image(phantom.volume, phantom.affine), folder / "good.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.full((9, 9, 9), np.nan), np.eye(4)), folder / "nan.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9)), np.eye(4)), folder / "flat.nii.gz")
    (folder / "torn.nii.gz").write_bytes((folder / "good.nii.gz").read_bytes()[:5000])
    series = sorted(path for path in (cohort / "images").iterdir() if path.is_dir())
    for name, source in zip(("series", "gap"), series, strict=False):
        shutil.copytree(source, folder / name)
    slices = sorted((folder / "gap").iterdir())
    slices[len(slices) // 2].unlink()
    done = run(["inference"], tmp_path / "out", folder, ckpt_path=undisturbed[0] / "model.pt")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {row["id"]: row for row in csv.DictReader(open(tmp_path / "out/predictions.csv"))}
    assert set(rows) == {"good", "nan", "flat", "torn", "series", "gap"}
    for name in ("good", "series"):
        assert rows[name]["error"] == ""
        assert float(rows[name]["prob_healthy"]) + float(rows[name]["prob_pneumonia"]) == pytest.approx(1, abs=1e-5)
    for name, reason in {"nan": "NaN", "flat": "2-D|dimension|shape", "torn": "", "gap": "missing|uneven"}.items():
        assert rows[name]["pred"] == ""
        assert rows[name]["error"], name
        assert any(part in rows[name]["error"] for part in reason.split("|")), rows[name]["error"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param({"dataset_dir": "absent"}, "python -m common datalist", id="no datalist"),
        pytest.param({"num_classes": 3}, "no case of class", id="absent class"),
        pytest.param({"resume": True, "output_dir": "nowhere"}, "start without --resume true", id="no checkpoint"),
        pytest.param({"bundle_root": "elsewhere"}, "elsewhere/configs/medmnist3d.json", id="wrong root"),
    ],
)
def test_mistakes_end_in_one_clear_sentence(tmp_path: Path, cohort: Path, ids: dict, message: str) -> None:
    done = run(["train"], tmp_path, cohort, **({"max_epochs": 1} | ids))
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1] or message in done.stderr
    if "output_dir" in ids:
        shutil.rmtree(Path(__file__).parents[3] / "nowhere", ignore_errors=True)


@pytest.mark.skipif("BUNDLES_DATA" not in os.environ, reason="BUNDLES_DATA is not set")
def test_real_ct_is_read_and_predicted(tmp_path: Path, undisturbed: tuple[Path, str]) -> None:
    source = Path(os.environ["BUNDLES_DATA"]) / "totalsegmentator_ct"
    done = run(["inference"], tmp_path, source, ckpt_path=undisturbed[0] / "model.pt")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {row["id"]: row for row in csv.DictReader(open(tmp_path / "predictions.csv"))}
    assert set(rows) == {"chest_crop", "example_ct_dicom"}
    assert all(row["error"] == "" for row in rows.values()), rows


def test_two_processes_train_one_model(tmp_path: Path, cohort: Path) -> None:
    done = run.in_two_processes(tmp_path, cohort, max_epochs=1, batch_size=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not [name for name in torch.load(tmp_path / "model.pt", weights_only=True) if name.startswith("module.")]
    assert len(history(tmp_path)) == 1
