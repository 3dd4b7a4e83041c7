import csv
import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, PILReader
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, LoadImaged, ScaleIntensityRanged
from PIL import Image

from common.handlers import FusionWriter
from common.transforms import FusedOutputd, JoinSourcesd, RGBToYCbCrd

from .fusion_cases import case, pair, run


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def write_pair(folder: Path, colour: bool) -> dict:
    """A PNG of 30 rows and 20 columns, and an MRI that is black, so that the maximum is the first source."""
    shape = (30, 20, 3) if colour else (30, 20)
    array = np.random.default_rng(0).integers(0, 256, size=shape).astype(np.uint8)
    Image.fromarray(array).save(folder / "pet.png")
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(folder / "mri.png")
    names = {"image": str(folder / "pet.png"), "mri": str(folder / "mri.png")}
    return names | {"id": "p1", "group": "g", "section": "test", "label": -1, "error": ""}


@pytest.mark.parametrize("colour", [False, True], ids=["gray", "colour"])
def test_through_the_evaluator_the_picture_equals_its_source_pixel_by_pixel(tmp_path: Path, colour: bool) -> None:
    loaded = Compose(
        [
            LoadImaged(["image", "mri"], reader=PILReader(reverse_indexing=False), ensure_channel_first=True),
            ScaleIntensityRanged(["image", "mri"], 0, 255, 0, 1),
            RGBToYCbCrd("image"),
            JoinSourcesd(),
        ]
    )

    class Maximum(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.amax(1, keepdim=True)

    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([write_pair(tmp_path, colour)], loaded), batch_size=1),
        network=Maximum(),
        postprocessing=FusedOutputd("pred"),
        val_handlers=[FusionWriter(str(tmp_path / "out"), "clip")],
    )
    evaluator.run()
    source, written = (np.asarray(Image.open(name)) for name in (tmp_path / "pet.png", tmp_path / "out/p1_fused.png"))
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, source)
    rows = table(tmp_path / "out")
    assert [row["method"] for row in rows] == ["model", "average", "maximum", "laplacian_pyramid"]
    assert ("chroma_error" in rows[0]) == colour
    if colour:
        assert float(rows[0]["chroma_error"]) < 1e-3
    assert (tmp_path / "out/p1_panel.png").is_file()


def test_a_volume_keeps_its_affine_and_its_range(tmp_path: Path) -> None:
    affine = torch.tensor([[-2.0, 0, 0, 5], [0, 1.5, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]], dtype=torch.float64)
    image = MetaTensor(pair(0, (16, 16, 5)), affine=affine)
    run(FusionWriter(str(tmp_path), "clip", metrics=False), [case("v", image)], [image.amax(0, keepdim=True)])
    read = nibabel.load(tmp_path / "v_fused.nii.gz")
    np.testing.assert_array_equal(read.affine, affine.numpy())
    assert read.get_data_dtype() == np.float32
    np.testing.assert_array_equal(read.get_fdata(dtype=np.float32), image.amax(0).numpy())
    assert list(table(tmp_path)[0]) == ["id", "group", "section", "method", "error"]
    assert (tmp_path / "v_panel.png").is_file()


def test_a_broken_case_costs_no_other_its_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = pair()
    cases = [case("torn", torch.zeros(2, 4, 4), "no such file"), case("bad", image), case("good", image)]
    fused = [torch.zeros(1, 4, 4), torch.zeros(1, 3, 3), image.amax(0, keepdim=True)]
    with caplog.at_level(logging.INFO):
        run(FusionWriter(str(tmp_path), "clip"), cases, fused)
    rows = table(tmp_path)
    assert [(row["id"], row["method"]) for row in rows[:3]] == [("torn", "model"), ("bad", "model"), ("good", "model")]
    assert rows[0]["error"] == "no such file"
    assert rows[1]["error"].startswith("ValueError: plot_fusion_panel: sources are (2, 20, 16)")
    assert rows[2]["error"] == ""
    assert not (tmp_path / "torn_fused.png").exists()
    assert (tmp_path / "good_fused.png").is_file()
    assert f"1 fused images, 2 failed (see the column error): {tmp_path}" in caplog.text
    assert not list(tmp_path.glob(".*"))


def test_a_write_that_fails_is_an_error_of_its_case_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Image.Image.save

    def full(self: Image.Image, path: Path, *arguments: object, **options: object) -> None:
        if "first" in str(path):
            raise OSError("disk full")
        save(self, path, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    image = pair()
    handler = FusionWriter(str(tmp_path), "clip", panels=False, metrics=False)
    run(handler, [case("first", image), case("second", image)], [image[:1], image[:1]])
    assert [row["error"] for row in table(tmp_path)] == ["OSError: disk full", ""]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "second_fused.png"]


def test_ids_become_file_names_of_their_own(tmp_path: Path) -> None:
    image = pair()
    names = ["test/0", "test_0", "../up", "..", "ä b", "A", "a"]
    handler = FusionWriter(str(tmp_path / "out"), "clip", panels=False, metrics=False)
    run(handler, [case(name, image) for name in names], [image[:1]] * len(names))
    files = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert len({name.lower() for name in files}) == len(names)
    assert {"test_0_fused.png", "up_fused.png", "case_fused.png", "ä_b_fused.png", "A_fused.png"} <= set(files)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [row["id"] for row in table(tmp_path / "out")] == names
    assert not any(row["error"] for row in table(tmp_path / "out"))
