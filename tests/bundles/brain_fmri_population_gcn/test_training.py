"""Whole runs: resume, two processes, bad input, and what labels of the test section can reach."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scripts.phantoms import PhantomSettings, make_cohort

from tests.bundles.bundle_run import BundleRun, history, same_weights

NAME = "brain_fmri_population_gcn"
run = BundleRun(NAME, max_epochs=3, num_bootstrap=20)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings(training=24, validation=8, test=8, frames=(60, 80)))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    assert run(["train"], folder, cohort, best_metric="").returncode == 0
    return folder


def with_shuffled_labels(cohort: Path, folder: Path, section: str) -> Path:
    """The same cohort with the labels of a section turned round."""
    shutil.copytree(cohort, folder, ignore=shutil.ignore_patterns("cache"))
    datalist = json.loads((folder / "dataset.json").read_text())
    for case in datalist[section]:
        case["label"] = 1 - case["label"]
    (folder / "dataset.json").write_text(json.dumps(datalist))
    return folder


def probabilities(folder: Path) -> dict[str, str]:
    return {row["id"]: row["prob_patient"] for row in csv.DictReader(open(folder / "predictions.csv"))}


@pytest.mark.parametrize("mode", ["inductive", "transductive"])
def test_labels_of_the_test_section_change_no_bit(tmp_path: Path, cohort: Path, mode: str) -> None:
    other = with_shuffled_labels(cohort, tmp_path / "shuffled", "test")
    configs = ["train", "transductive"] if mode == "transductive" else ["train"]
    for name, data in (("one", cohort), ("two", other)):
        assert run(configs, tmp_path / name, data, best_metric="").returncode == 0
        done = run([*configs, "evaluate"], tmp_path / name, data, threshold=0.5)
        assert done.returncode == 0, done.stderr[-2000:]
    assert same_weights(tmp_path / "one", tmp_path / "two", "model.pt")
    first, second = probabilities(tmp_path / "one"), probabilities(tmp_path / "two")
    assert len(first) == 8 and first == second


def test_labels_of_the_training_section_do(tmp_path: Path, cohort: Path, trained: Path) -> None:
    other = with_shuffled_labels(cohort, tmp_path / "shuffled", "training")
    assert run(["train"], tmp_path, other, best_metric="").returncode == 0
    assert not same_weights(trained, tmp_path, "model.pt")


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, cohort: Path) -> None:
    assert run(["train"], tmp_path / "whole", cohort, max_epochs=6).returncode == 0
    run.killed_after(2, tmp_path / "killed", cohort, max_epochs=6)
    assert run(["train"], tmp_path / "killed", cohort, max_epochs=6, resume=True).returncode == 0
    assert same_weights(tmp_path / "whole", tmp_path / "killed", "model.pt", "checkpoint.pt")
    assert history(tmp_path / "whole") == history(tmp_path / "killed")


def test_two_processes_train_together(tmp_path: Path, cohort: Path) -> None:
    done = run.in_two_processes(tmp_path, cohort, max_epochs=2, batch_size=6)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(history(tmp_path)) == 2 and (tmp_path / "model.pt").is_file()


def test_a_broken_subject_is_named_and_the_others_are_predicted(tmp_path: Path, cohort: Path, trained: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(cohort, data, ignore=shutil.ignore_patterns("cache"))
    cases = json.loads((data / "dataset.json").read_text())["test"]
    broken, few = (data / cases[k]["image"] for k in (0, 1))
    lines = broken.read_text().splitlines()
    broken.write_text("\n".join([*lines[:10], lines[10].replace(lines[10].split()[3], "nan"), *lines[11:]]))
    few.write_text("\n".join(lines[:20]))
    done = run(["inference"], tmp_path, data, model_dir=trained)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["id"]: row for row in csv.DictReader(open(tmp_path / "predictions.csv"))}
    assert len(rows) == 40
    assert "holds NaN or infinite values" in rows[cases[0]["id"]]["error"]
    assert "fewer than min_frames 40" in rows[cases[1]["id"]]["error"]
    assert sum(bool(row["prob_autism"]) for row in rows.values()) == 38


def test_one_new_subject_gets_what_it_gets_in_a_cohort(tmp_path: Path, cohort: Path, trained: Path) -> None:
    assert run(["inference"], tmp_path, cohort, model_dir=trained).returncode == 0
    together = csv.DictReader(open(tmp_path / "predictions.csv"))
    expected = {row["id"]: float(row["prob_autism"]) for row in together}
    datalist = json.loads((cohort / "dataset.json").read_text())
    case = datalist["test"][3]
    alone = tmp_path / "alone"
    alone.mkdir()
    image = str(cohort / case["image"])
    (alone / "dataset.json").write_text(
        json.dumps(datalist | {"training": [], "validation": [], "test": [case | {"image": image}]})
    )
    assert run(["inference"], tmp_path / "one", alone, model_dir=trained).returncode == 0
    (row,) = csv.DictReader(open(tmp_path / "one/predictions.csv"))
    assert float(row["prob_autism"]) == pytest.approx(expected[case["id"]], abs=1e-5)
    assert np.std(list(expected.values())) > 1e-3


def test_too_few_subjects_are_refused_in_one_sentence(tmp_path: Path, cohort: Path) -> None:
    done = run(["train"], tmp_path, cohort, num_features=61)
    assert done.returncode != 0
    assert "SubjectFeatures: 24 training subjects with labels [0, 1] do not suffice for 61 features" in done.stderr
