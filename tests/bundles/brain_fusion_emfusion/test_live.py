"""The live command: folders of frames and volumes, as fast as it goes, with frames per second at the end."""

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.bundles.fusion_run import RATE, FusionRun, failure, frames

run = FusionRun("brain_fusion_emfusion")


@pytest.mark.parametrize("modality", ["CT", "SPECT"])
def test_every_frame_of_a_folder_is_fused_and_the_rate_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, modality: str
) -> None:
    frames(tmp_path / "data", modality)
    (line,) = run.live(tmp_path / "data", tmp_path / "out", caplog)
    match = RATE.match(line)
    assert match and match.group(1, 2) == ("6", "64 x 64")
    assert float(match[3]) >= float(match[4]) > 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [*(f"{7001 + k}_fused.png" for k in range(6)), "metrics.csv"]


def test_slices_of_a_volume_are_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    volume = np.random.default_rng(0).integers(1, 900, (48, 44, 6, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([2, 2, 3, 1])), tmp_path / "two.nii.gz")
    (line,) = run.live(tmp_path / "two.nii.gz", tmp_path / "out", caplog)
    assert line.startswith("fused 6 frames of 48 x 44: ")
    fused = nibabel.load(tmp_path / "out/two_fused.nii.gz")
    assert fused.shape == (48, 44, 6)
    np.testing.assert_allclose(fused.affine, np.diag([2, 2, 3, 1]))


def test_a_broken_frame_gets_one_sentence_and_the_others_are_fused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames(tmp_path / "data")
    (tmp_path / "data/CT/7003.png").write_bytes(b"no picture")
    (line,) = run.live(tmp_path / "data", tmp_path / "out", caplog)
    assert line.startswith("fused 5 frames of 64 x 64: ")
    errors = {row["id"]: row["error"] for row in csv.DictReader(open(tmp_path / "out/metrics.csv"))}
    assert [name for name, error in errors.items() if error] == ["7003"]
    assert len(list((tmp_path / "out").glob("*_fused.png"))) == 5


def test_an_empty_folder_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").mkdir()
    message = failure(lambda: run.live(tmp_path / "data", tmp_path / "out", caplog), FileNotFoundError)
    assert "holds no folder CT, PET or SPECT beside a folder MRI" in message
