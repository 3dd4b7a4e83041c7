"""The live command: folders of frames and volumes, as fast as it goes, with frames per second at the end."""

import csv
import logging
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser

from common.data.brain_phantoms import PhantomSettings, make_phantom
from tests.bundles.brain_fusion_emfusion.test_inference import BUNDLE, save

SETTINGS = PhantomSettings(size=64, slices=6)
RATE = re.compile(r"fused (\d+) frames of (\d+ x \d+): ([\d.]+) frames/s in the network, ([\d.]+) frames/s")


def frames(folder: Path, modality: str = "CT") -> None:
    phantom = make_phantom(3, modality, SETTINGS)
    for k in range(6):
        save(folder / modality, f"{7001 + k}.png", phantom.image[k])
        save(folder / "MRI", f"{7001 + k}.png", phantom.mri[k])


def live(source: Path, output: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Run the live command with random weights; the lines of FrameRate."""
    config = ConfigParser()
    config.read_config([str(BUNDLE / f"configs/{name}.json") for name in ("inference", "live")])
    config.update({"bundle_root": str(BUNDLE), "dataset_dir": str(source), "output_dir": str(output)})
    config.update({"load_pretrain": False, "handlers#0#disable": True})
    with caplog.at_level(logging.INFO):
        config.get_parsed_content("run#1")
    return [record.getMessage() for record in caplog.records if record.name == "FrameRate"]


@pytest.mark.parametrize("modality", ["CT", "SPECT"])
def test_every_frame_of_a_folder_is_fused_and_the_rate_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, modality: str
) -> None:
    frames(tmp_path / "data", modality)
    (line,) = live(tmp_path / "data", tmp_path / "out", caplog)
    match = RATE.match(line)
    assert match and match.group(1, 2) == ("6", "64 x 64")
    assert float(match[3]) >= float(match[4]) > 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [*(f"{7001 + k}_fused.png" for k in range(6)), "metrics.csv"]


def test_slices_of_a_volume_are_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    volume = np.random.default_rng(0).integers(1, 900, (48, 44, 6, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([2, 2, 3, 1])), tmp_path / "two.nii.gz")
    (line,) = live(tmp_path / "two.nii.gz", tmp_path / "out", caplog)
    assert line.startswith("fused 6 frames of 48 x 44: ")
    fused = nibabel.load(tmp_path / "out/two_fused.nii.gz")
    assert fused.shape == (48, 44, 6)
    np.testing.assert_allclose(fused.affine, np.diag([2, 2, 3, 1]))


def test_a_broken_frame_gets_one_sentence_and_the_others_are_fused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames(tmp_path / "data")
    (tmp_path / "data/CT/7003.png").write_bytes(b"no picture")
    (line,) = live(tmp_path / "data", tmp_path / "out", caplog)
    assert line.startswith("fused 5 frames of 64 x 64: ")
    errors = {row["id"]: row["error"] for row in csv.DictReader(open(tmp_path / "out/metrics.csv"))}
    assert [name for name, error in errors.items() if error] == ["7003"]
    assert len(list((tmp_path / "out").glob("*_fused.png"))) == 5


def test_an_empty_folder_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(RuntimeError) as problem:
        live(tmp_path / "data", tmp_path / "out", caplog)
    cause: BaseException | None = problem.value
    while cause is not None and not isinstance(cause, FileNotFoundError):
        cause = cause.__cause__
    assert cause is not None and "holds no folder CT, PET or SPECT beside a folder MRI" in str(cause)
