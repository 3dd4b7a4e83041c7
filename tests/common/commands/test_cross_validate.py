"""The command drives a real bundle; the volumes are made so that the class is easy to see."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.commands.cross_validate import cross_validate
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
