import csv
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, LoadImaged
from torch import Tensor

from common.data import TolerantDataset, fusion_inference_cases
from common.data.brain_phantoms import PhantomSettings, make_cohort
from common.handlers import LesionContrast
from common.inferers import FusionInferer
from common.metrics import lesion_contrast
from common.transforms import FusedOutputd, JoinSourcesd, ScaleToUnitd

from .fusion_cases import case, run


class Maximum(torch.nn.Module):
    """The pixelwise maximum, as a network."""

    def forward(self, image: Tensor) -> Tensor:
        return image.amax(1, keepdim=True)


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "lesion_contrast.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def tumour(shape: tuple[int, ...] = (24, 26, 12), sources: int = 2) -> tuple[Tensor, Tensor]:
    """Noise with a tumour that only the last source shows, and its label map."""
    image = torch.rand(sources, *shape, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.3
    truth = torch.zeros(1, *shape, dtype=torch.uint8)
    truth[0, 8:14, 8:14] = 4
    image[-1][truth[0] == 4] += 0.4
    return image, truth


def test_a_row_compares_the_model_with_sources_and_baselines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, truth = tumour()
    with caplog.at_level(logging.INFO):
        handler = LesionContrast(str(tmp_path), "clip", ["t1", "t1ce"], {"tumour": [4]})
        run(handler, [case("a", image, truth=truth)], [image[1:]])
    row = table(tmp_path)[0]
    assert (row["id"], row["lesion"], row["size"], row["best_source"]) == ("a", "tumour", "432", "t1ce")
    shown = {"t1": image[0], "t1ce": image[1], "average": image.mean(0), "maximum": image.amax(0), "model": image[1]}
    for name, picture in shown.items():
        expected = lesion_contrast(picture, truth, {"tumour": [4]})["tumour"]
        assert float(row[f"cnr_{name}"]) == pytest.approx(expected.cnr, rel=1e-4)
        assert float(row[f"contrast_{name}"]) == pytest.approx(expected.contrast, rel=1e-4, abs=1e-6)
    assert float(row["ratio"]) == pytest.approx(1)
    best = float(row["cnr_t1ce"])
    assert (
        f"of tumour, median of 1 cases: model {best:.1f}, best single source (t1ce) {best:.1f}, average" in caplog.text
    )
    assert str(tmp_path / "lesion_contrast.csv") in caplog.text and not list(tmp_path.glob(".*"))


def test_labels_follow_the_kind_of_case(tmp_path: Path) -> None:
    image, truth = tumour()
    flat_truth = torch.ones(1, 24, 26, dtype=torch.uint8)  # 1 is brain in a pair, and necrosis in a volume
    flat_truth[0, 8:14, 8:14] = 3
    cases = [case("volume", image, truth=truth), case("pair", image[..., 0], truth=flat_truth)]
    run(LesionContrast(str(tmp_path), "clip"), cases, [image[:1], image[:1, ..., 0]])
    rows = table(tmp_path)
    assert [(row["id"], row["lesion"]) for row in rows] == [
        ("volume", "whole_tumour"), ("volume", "enhancing"), ("volume", "necrosis"), ("pair", "mri_lesion"),
        ("pair", "finding"),
    ]  # fmt: skip
    assert [bool(row["cnr_model"]) for row in rows] == [True, True, False, True, False]
    assert rows[0]["cnr_source 2"] and rows[2]["best_source"] == rows[2]["ratio"] == ""


def test_a_map_of_zeros_and_ones_needs_only_its_lesion(tmp_path: Path) -> None:
    image, truth = tumour((24, 26))
    run(
        LesionContrast(str(tmp_path), "clip", lesions={"tumour": [1]}),
        [case("a", image, truth=truth // 4)],
        [image[1:]],
    )
    assert float(table(tmp_path)[0]["cnr_model"]) > 3


def test_the_ring_is_in_mm_where_the_spacing_is_known(tmp_path: Path) -> None:
    image, truth = tumour()
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    cases = [
        case("mm", MetaTensor(image, affine=affine), truth=truth),
        case("mm of truth", image, truth=MetaTensor(truth, affine=affine)),
        case("pixels", image, truth=truth),
    ]
    run(LesionContrast(str(tmp_path), "clip", lesions={"tumour": [4]}), cases, [image[1:]] * 3)
    found = [float(row["cnr_model"]) for row in table(tmp_path)]
    for value, spacing in zip(found, ((2, 3, 4), (2, 3, 4), None), strict=True):
        assert value == pytest.approx(
            lesion_contrast(image[1], truth, {"t": [4]}, spacing_mm=spacing)["t"].cnr, rel=1e-4
        )
    assert found[0] != found[2]


@pytest.mark.parametrize("more", [{}, {"truth": None}], ids=["no-key", "none"])
def test_cases_without_truth_or_with_an_error_leave_no_file(tmp_path: Path, more: dict[str, Any]) -> None:
    image, truth = tumour()
    run(
        LesionContrast(str(tmp_path), "clip"),
        [case("a", image, **more), case("b", image, "torn", truth=truth)],
        [image[:1]] * 2,
    )
    assert not list(tmp_path.iterdir())


def test_a_truth_on_another_grid_costs_only_its_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, truth = tumour()
    moved = torch.eye(4, dtype=torch.float64)
    moved[0, 3] = 1
    elsewhere = {"image": MetaTensor(image), "truth": MetaTensor(truth, affine=moved)}
    cases = [case("size", image, truth=truth[:, 1:]), case("place", **elsewhere), case("good", image, truth=truth)]
    run(LesionContrast(str(tmp_path), "clip"), cases, [image[:1]] * 3)
    assert {row["id"] for row in table(tmp_path)} == {"good"}
    assert r"size: LesionContrast: truth is (1, 23, 26, 12)" in caplog.text
    assert "place: LesionContrast: truth and image have different affines" in caplog.text


def test_four_sequences_from_files_to_the_table(tmp_path: Path) -> None:
    settings = PhantomSettings(training=0, validation=0, test=2, modalities=("BraTS",), volume_shape=(48, 48, 10))
    make_cohort(tmp_path / "data", settings, workers=1)
    names, keys = ("t1ce", "flair", "t1"), ("image", "truth")
    load = Compose(
        [LoadImaged(keys, ensure_channel_first=True, image_only=True), ScaleToUnitd("image"), JoinSourcesd()]
    )
    cases = fusion_inference_cases(str(tmp_path / "data/images"), "elsewhere", sequences=names)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(TolerantDataset(cases, load, None, keys, ["truth"], track_meta=True), batch_size=1),
        network=Maximum(),
        inferer=FusionInferer(sw_batch_size=3),
        postprocessing=FusedOutputd("pred"),
        val_handlers=[LesionContrast(str(tmp_path / "out"), "clip", names, {"rim": [4]}, normal=[0, 1, 2])],
    )
    evaluator.run()
    rows = table(tmp_path / "out")
    assert [row["id"] for row in rows] == ["phantom_0000", "phantom_0001"]
    for row in rows:
        assert row["cnr_model"] == row["cnr_maximum"] != ""
        assert row["best_source"] == "t1ce"  # only t1ce shows the rim beside oedema
        assert math.isclose(float(row["ratio"]), float(row["cnr_model"]) / float(row["cnr_t1ce"]), rel_tol=1e-4)
