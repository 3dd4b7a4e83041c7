"""Inference as a user starts it: colours, bit depths, volumes, four sequences, and broken input."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from scripts.network import EMFusionNet

from common.data.brain_phantoms import PhantomSettings, make_cohort
from tests.bundles.fusion_run import FusionRun, failure, pair, save

run = FusionRun("brain_fusion_emfusion")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(EMFusionNet().state_dict(), path)
    return path


def test_colour_comes_back_in_colour_and_gray_stays_gray(tmp_path: Path, weights: Path) -> None:
    colour, _ = pair(tmp_path / "pet", "PET")
    row = run.fuse(tmp_path / "pet", tmp_path / "out", weights)[0]
    fused = np.asarray(Image.open(tmp_path / "out/7001_fused.png"))
    assert fused.shape == (64, 64, 3)
    assert not (fused[..., 0] == fused[..., 2]).all()
    assert 0 <= float(row["chroma_error"]) < 30
    gray, mri = pair(tmp_path / "ct", "CT")
    run.fuse(tmp_path / "ct", tmp_path / "gray", weights)
    fused = np.asarray(Image.open(tmp_path / "gray/7001_fused.png"))
    assert fused.shape == (64, 64)
    assert (fused[(gray == 0) & (mri == 0)] == 0).all()


def test_the_picture_is_the_output_of_the_network_pixel_by_pixel(tmp_path: Path, weights: Path) -> None:
    ct, mri = pair(tmp_path / "ct", "CT")
    run.fuse(tmp_path / "ct", tmp_path / "out", weights)
    network = EMFusionNet()
    network.load_state_dict(torch.load(weights, weights_only=True))
    image = torch.from_numpy(np.stack([ct, mri])[None].astype(np.float32) / 255)
    with torch.no_grad():
        expected = (network(image) * (image > 0).any(1, keepdim=True))[0, 0].numpy() * 255
    assert np.abs(np.asarray(Image.open(tmp_path / "out/7001_fused.png")).astype(float) - expected).max() <= 1


def test_minmax_stretches_each_image(tmp_path: Path, weights: Path) -> None:
    pair(tmp_path / "ct", "CT")
    for name, highest in (("minmax", {255}), ("clip", set(range(255)))):
        run.fuse(tmp_path / "ct", tmp_path / name, weights, output_range=name)
        assert int(np.asarray(Image.open(tmp_path / name / "7001_fused.png")).max()) in highest


def test_suv_of_16_bit_is_scaled_by_a_window_or_the_foreground(tmp_path: Path, weights: Path) -> None:
    suv, _ = pair(tmp_path / "pet", "PET", bits=16)
    assert suv.dtype == np.uint16 and suv.max() > 255
    assert not run.fuse(tmp_path / "pet", tmp_path / "a", weights)[0]["error"]
    assert Image.open(tmp_path / "a/7001_fused.png").mode == "L"


def test_two_folders_and_two_files_can_be_named(tmp_path: Path, weights: Path) -> None:
    pair(tmp_path / "ct", "CT")
    both = f"{tmp_path}/ct/CT,{tmp_path}/ct/MRI"
    assert len(run.fuse(both, tmp_path / "a", weights)) == 1
    files = f"{tmp_path}/ct/CT/7001.png,{tmp_path}/ct/MRI/7001.png"
    assert len(run.fuse(files, tmp_path / "b", weights)) == 1


def test_four_sequences_become_one_volume_with_the_affine_of_the_input(tmp_path: Path, weights: Path) -> None:
    settings = PhantomSettings(training=0, validation=0, test=1, modalities=("BraTS",), volume_shape=(48, 48, 8))
    make_cohort(tmp_path / "brats", settings)
    row = run.fuse(tmp_path / "brats/images", tmp_path / "out", weights, "sequences", figures=False)[0]
    assert not row["error"]
    fused = nibabel.load(next((tmp_path / "out").glob("*_fused.nii.gz")))
    source = nibabel.load(next((tmp_path / "brats/images").rglob("*_flair.nii.gz")))
    assert fused.shape == source.shape == (48, 48, 8)
    np.testing.assert_allclose(fused.affine, source.affine, atol=1e-4)
    outside = [
        np.asarray(nibabel.load(path).dataobj) == 0 for path in sorted((tmp_path / "brats").rglob("*_t*.nii.gz"))
    ]
    outside.append(np.asarray(source.dataobj) == 0)
    assert (np.asarray(fused.dataobj)[np.all(outside, axis=0)] == 0).all()


def test_a_multi_channel_file_is_a_case(tmp_path: Path, weights: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 900, (48, 44, 6, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([2, 2, 3, 1])), tmp_path / "three.nii.gz")
    row = run.fuse(tmp_path / "three.nii.gz", tmp_path / "out", weights, figures=False, source_names=["a", "b", "c"])[0]
    assert not row["error"]
    assert nibabel.load(tmp_path / "out/three_fused.nii.gz").shape == (48, 44, 6)


def test_a_broken_case_gets_one_sentence_and_the_others_are_fused(tmp_path: Path, weights: Path) -> None:
    pair(tmp_path / "ct", "CT", "7001.png")
    pair(tmp_path / "ct", "CT", "7002.png")
    pair(tmp_path / "ct", "CT", "7003.png")
    save(tmp_path / "ct/CT", "7002.png", np.zeros((64, 60), np.uint8))
    (tmp_path / "ct/MRI/7003.png").write_bytes(b"no picture")
    rows = {row["id"]: row["error"] for row in run.fuse(tmp_path / "ct", tmp_path / "out", weights)}
    assert rows["7001"] == ""
    assert "size 64 x 60 and mri 64 x 64; register them to one grid first" in rows["7002"]
    assert rows["7003"] != ""
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["7001_fused.png"]


def test_nan_in_a_volume_is_named(tmp_path: Path, weights: Path) -> None:
    volume = np.ones((48, 44, 6, 2), np.float32)
    volume[3, 3, 3, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "bad.nii.gz")
    assert "holds NaN" in run.fuse(tmp_path / "bad.nii.gz", tmp_path / "out", weights)[0]["error"]


@pytest.mark.parametrize("content", ["missing", "empty"])
def test_nothing_to_fuse_is_one_sentence(tmp_path: Path, weights: Path, content: str) -> None:
    if content == "empty":
        (tmp_path / "data").mkdir()
    assert "scan_fusion" in failure(lambda: run.fuse(tmp_path / "data", tmp_path / "out", weights), FileNotFoundError)


def test_a_datalist_is_fused_whole(tmp_path: Path, weights: Path) -> None:
    make_cohort(tmp_path / "data", PhantomSettings(1, 1, 1, slices=1, size=64, modalities=("SPECT",)))
    listed = json.loads((tmp_path / "data/dataset.json").read_text())
    rows = run.fuse(tmp_path / "data", tmp_path / "out", weights)
    assert {row["id"] for row in rows} == {
        case["id"] for part in ("training", "validation", "test") for case in listed[part]
    }
