"""Sources that do not lie upon one another: registered, then fused, as a user starts it."""

import csv
import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.bundle import ConfigParser
from PIL import Image

from common.data.brain_phantoms import PhantomSettings, make_phantom, make_sequences_phantom
from common.transforms import apply_rigid_transform

BUNDLE = Path(__file__).parents[3] / "bundles/brain_fusion_emfusion"
DEGREES, SHIFT, SIZE = 8.0, (5.0, -4.0), 96


def fuse(source: Path, output: Path, **ids: Any) -> dict[str, dict[str, str]]:
    """Register and fuse with a network of random weights; the rows of the network in ``metrics.csv`` by case."""
    torch.manual_seed(0)
    config = ConfigParser()
    config.read_config([str(BUNDLE / f"configs/{name}.json") for name in ids.pop("configs")])
    config.update({"bundle_root": str(BUNDLE), "dataset_dir": str(source), "output_dir": str(output)})
    config.update({"load_pretrain": False, "panels": False, "handlers#0#disable": True} | ids)
    for step in range(2):
        config.get_parsed_content(f"run#{step}")
    rows = csv.DictReader(open(output / "metrics.csv"))
    return {row["id"]: row for row in rows if row["method"] == "model"}


def pair(folder: Path, modality: str) -> None:
    """One pair whose MRI is turned and shifted."""
    phantom = make_phantom(3, modality, PhantomSettings(size=SIZE, slices=1))
    middle = ((SIZE - 1) / 2,) * 2
    motion = sitk.Euler2DTransform(middle, float(np.deg2rad(DEGREES)), SHIFT)
    turned = apply_rigid_transform(motion, phantom.mri[:1], phantom.mri[:1])[0].numpy()
    for kind, image in ((modality, phantom.image[0]), ("MRI", turned)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / kind / "7001.png")


@pytest.mark.parametrize("modality", ["CT", "PET"])
def test_a_turned_pair_is_registered_and_its_colour_kept(tmp_path: Path, modality: str) -> None:
    pair(tmp_path / "in", modality)
    rows = fuse(tmp_path / "in", tmp_path / "out", configs=["inference", "inference_unregistered"], modality=modality)
    assert [row["error"] for row in rows.values()] == [""]
    found = sitk.ReadTransform(str(tmp_path / "out/transforms/7001_image.tfm"))
    middle = np.full(2, (SIZE - 1) / 2)
    matrix = np.reshape(sitk.Euler2DTransform(found).GetMatrix(), (2, 2))
    angle = np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0]))
    assert abs(abs(angle) - DEGREES) <= 1.5, angle
    assert np.linalg.norm(np.array(found.TransformPoint(middle.tolist())) - middle) == pytest.approx(
        np.hypot(*SHIFT), abs=3
    )
    fused = np.asarray(Image.open(tmp_path / "out/7001_fused.png"))
    mri = np.asarray(Image.open(tmp_path / "in/MRI/7001.png"))
    assert fused.shape[:2] == mri.shape and (fused.ndim == 3) == (modality == "PET")
    if modality == "PET":
        assert np.ptp(fused.astype(int), axis=2).max() > 20


def subject(folder: Path, name: str, truth_on: str) -> None:
    """Four sequences; t1 at half the resolution of the first axis, t2 without its first rows."""
    phantom = make_sequences_phantom(1, PhantomSettings(modalities=("BraTS",), volume_shape=(48, 48, 16)))
    cuts = {"t1": (slice(None, None, 2),), "t2": (slice(4, None), slice(2, None))}
    (folder / name).mkdir(parents=True)
    volumes = dict(zip(("flair", "t1", "t1ce", "t2"), phantom.volumes, strict=True))
    for kind, volume in (volumes | {"seg": phantom.truth}).items():
        cut = cuts.get(truth_on if kind == "seg" else kind, ())
        affine = np.array(phantom.affine, dtype=float)
        affine[:3, 3] += affine[:3, :3] @ [(part.start or 0) for part in (*cut, *[slice(None)] * (3 - len(cut)))]
        affine[:3, :3] *= [(part.step or 1) for part in (*cut, *[slice(None)] * (3 - len(cut)))]
        made = nibabel.Nifti1Image(np.ascontiguousarray(volume[cut]), affine)
        nibabel.save(made, folder / name / f"{name}_{kind}.nii.gz")


def test_sequences_on_other_grids_come_to_that_of_flair_and_truth_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subject(tmp_path / "in", "A", truth_on="flair")
    subject(tmp_path / "in", "B", truth_on="t1")
    configs = ["inference", "sequences", "inference_unregistered"]
    with caplog.at_level(logging.WARNING):
        rows = fuse(tmp_path / "in", tmp_path / "out", configs=configs, figures=False)
    assert {name: row["error"] for name, row in rows.items()} == {"A": "", "B": ""}
    for name in "AB":
        fused = nibabel.load(tmp_path / f"out/{name}_fused.nii.gz")
        flair = nibabel.load(tmp_path / f"in/{name}/{name}_flair.nii.gz")
        assert fused.shape == flair.shape
        np.testing.assert_allclose(fused.affine, flair.affine, atol=1e-4)
        for source in ("source_2", "source_3", "source_4"):
            motion = sitk.ReadTransform(str(tmp_path / f"out/transforms/{name}_{source}.tfm"))
            centre = (np.diag([-1, -1, 1, 1]) @ flair.affine @ [24, 24, 8, 1])[:3]
            assert np.linalg.norm(np.array(motion.TransformPoint(centre.tolist())) - centre) < 3
    lesions = {row["id"] for row in csv.DictReader(open(tmp_path / "out/lesion_contrast.csv"))}
    assert lesions == {"A"} and "B: LesionContrast: truth is" in caplog.text
