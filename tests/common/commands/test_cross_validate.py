"""The command drives a real bundle; the volumes are made so that the class is easy to see."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.commands.cross_validate import _members, cross_validate
from common.data import read_predictions, write_datalist

ROOT = Path(__file__).resolve().parents[3]
SMALL = """--max_epochs 2 --batch_size 4 --num_bootstrap 20 --cache_workers 0 --image_size [16,16,16]
--config ['medmnist3d.json']""".split()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    cases = []
    for k in range(24):
        volume = generator.integers(0, 60, size=(16, 16, 16))
        volume[4:12, 4:12, 4 : 6 + 6 * (k % 2)] = 200
        path = tmp_path / f"volumes/{k}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(volume.astype(np.uint8), np.eye(4)), path)
        cases.append(
            {"id": f"case{k}", "image": str(path), "label": k % 2, "group": f"patient{k // 2}", "site": k // 2 % 3}
        )
    write_datalist(tmp_path, "toy", "boxes", ["thin", "thick"], {"training": cases})
    return tmp_path


def command(dataset: Path, *arguments: str) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "common", "cross-validate", "bundles/lung_ct_resnet3d", "--dataset_dir", str(dataset)]
    line += ["--output_dir", str(dataset / "cv"), "--sections", "training", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


def test_folds_by_site_are_pooled_and_an_interrupted_call_goes_on(dataset: Path) -> None:
    done = command(dataset, "--folds", "3", "--by", "site", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    rows, names = read_predictions(dataset / "cv/predictions.csv")
    assert names == ["0", "1"]
    assert sorted(row["id"] for row in rows) == sorted(f"case{k}" for k in range(24))
    for fold in range(3):
        sites = {int(row["id"].removeprefix("case")) // 2 % 3 for row in rows if row["section"] == f"fold{fold}"}
        assert len(sites) == 1
        parts = json.loads((dataset / f"cv/fold{fold}/dataset.json").read_text())
        used = [{case["site"] for case in parts[name]} for name in ("training", "validation", "test")]
        assert not used[0] & used[2]
        assert not used[1] & used[2]
    metrics = json.loads((dataset / "cv/metrics.json").read_text())
    assert metrics["auroc"]["n"] == metrics["baselines"]["forest"]["auroc"]["n"] == 24
    assert metrics["baselines"]["forest"]["auroc"]["value"] > 0.9
    assert metrics["baselines"]["mean of model and forest"]["auroc"]["n"] == 24
    (dataset / "cv/fold1/metrics.json").unlink()
    again = command(dataset, "--folds", "3", "--by", "site", *SMALL)
    assert re.findall(r"^fold(\d): (\w+)", again.stdout, re.M) == [("0", "done"), ("1", "evaluate"), ("2", "done")]
    assert json.loads((dataset / "cv/metrics.json").read_text()) == metrics


def test_mistakes_are_named(dataset: Path) -> None:
    with pytest.raises(ValueError, match="has no entry 'hospital'"):
        cross_validate(
            "bundles/lung_ct_resnet3d", str(dataset), str(dataset / "cv"), by="hospital", sections="training"
        )
    done = command(dataset, "--folds", "50")
    assert done.returncode == 1
    assert "error: grouped_folds: num_folds is 50" in done.stderr
    assert "Traceback" not in done.stderr
    done = command(dataset, "--folds", "2", "--learning_rate", "wrong", *SMALL)
    assert done.returncode == 1
    assert "the run ended with status 1, see" in done.stderr


def test_cases_without_labels_are_cut_by_group_into_ten_folds_of_a_tenth() -> None:
    cases = [{"id": f"block {k}", "group": f"b{k}", "label": -1} for k in range(100)]
    folds = _members(cases, 10, "group", [], 0.11, 0)
    assert [{name: len(part) for name, part in fold.items()} for fold in folds] == [
        {"training": 80, "validation": 10, "test": 10}
    ] * 10
    assert sorted(case["id"] for fold in folds for case in fold["test"]) == sorted(case["id"] for case in cases)
    for fold in folds:
        assert len({case["group"] for part in fold.values() for case in part}) == 100


def test_groups_of_unequal_size_stay_whole_without_labels() -> None:
    sizes = [1 + 3 * k for k in range(24)]  # cell lines of a tissue
    cases = [
        {"id": f"cell {k}-{i}", "group": f"tissue{k}", "label": -1} for k, size in enumerate(sizes) for i in range(size)
    ]
    for fold in _members(cases, 10, "group", [], 0.11, 0):
        groups = [{case["group"] for case in part} for part in fold.values()]
        assert all(groups)
        assert sum(map(len, groups)) == 24
