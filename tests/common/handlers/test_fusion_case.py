import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from common.handlers.fusion_case import case_picture, case_rows, rgb_levels, source_captions
from common.metrics import FUSION_METRICS
from common.transforms import fused_output, rgb_to_ycbcr

from .fusion_cases import case, pair

FEW = ["en", "sd", "psnr", "rmse"]


def test_a_model_that_is_the_maximum_has_the_figures_of_the_maximum() -> None:
    image = pair()
    rows = case_rows(case("a", image), image.amax(0, keepdim=True), "clip")
    assert [row["method"] for row in rows] == ["model", "average", "maximum", "laplacian_pyramid"]
    assert list(rows[0]["values"]) == [*FUSION_METRICS, "ssim_cddfuse"]
    np.testing.assert_equal(rows[0]["values"], rows[2]["values"])
    assert rows[0]["values"]["sd"] != rows[1]["values"]["sd"]


def test_figures_are_those_of_whole_gray_levels() -> None:
    image = pair(1)
    fused = image.mean(0, keepdim=True)
    values = case_rows(case("a", image), fused, "clip", baselines=[])[0]["values"]
    levels, sources = (255 * fused).round(), (255 * image).round()
    assert values["sd"] == pytest.approx(float(levels.std(unbiased=False)), rel=1e-6)
    expected = sum(
        structural_similarity(levels[0].numpy().astype(float), s.numpy().astype(float), data_range=2) for s in sources
    )
    # scikit-image crops the border of its map, the rows use only windows that fit: the same pixels
    assert values["ssim_cddfuse"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("output_range", ["clip", "minmax"])
def test_baselines_get_the_range_and_background_of_the_model(output_range: str) -> None:
    image = pair(2) * 0.7
    fused = fused_output(image.mean(0, keepdim=True), image, output_range)
    model, average = case_rows(case("a", image), fused, output_range, FEW, ["average"])
    assert model["values"] == average["values"]
    other = case_rows(case("a", image), fused, "clip", FEW, ["average"])[1]
    assert (other["values"] == average["values"]) == (output_range == "clip")


def test_a_volume_has_the_mean_over_slices_that_are_not_empty() -> None:
    image = pair(3, (16, 16, 20))
    image[..., [0, 7]] = 0
    fused = image.amax(0, keepdim=True)
    row = case_rows(case("a", image), fused, "clip", FEW, ["average"])
    for method, volume in zip(row, (fused, image.mean(0, keepdim=True)), strict=True):
        slices = [k for k in range(20) if k not in (0, 7)]
        single = [case_rows(case("a", image[..., k]), volume[..., k], "clip", FEW, [])[0]["values"] for k in slices]
        for name in FEW:
            assert method["values"][name] == pytest.approx(np.mean([values[name] for values in single]))


def test_an_empty_case_has_no_figures() -> None:
    rows = case_rows(case("a", torch.zeros(2, 16, 16)), torch.zeros(1, 16, 16), "clip")
    assert all(row["values"] == {} for row in rows)


def test_colour_error_is_that_of_the_written_picture() -> None:
    rgb = torch.rand(3, 20, 16)
    luma, chroma = rgb_to_ycbcr(rgb)
    image = torch.cat([luma, pair(4)[:1]])
    rows = case_rows(case("a", image, chroma=chroma), luma, "clip", FEW, ["maximum"])
    assert rows[0]["values"]["chroma_error"] < 0.5  # rounding to whole levels only
    fused = image.amax(0, keepdim=True)
    written = rgb_levels(fused, chroma) / 255
    y = 0.299 * written[0] + 0.587 * written[1] + 0.114 * written[2]
    found = torch.stack([(written[2] - y) / 1.772, (written[0] - y) / 1.402]) + 0.5
    expected = 255 * float((found - chroma).abs().mean())
    assert rows[1]["values"]["chroma_error"] == pytest.approx(expected, rel=1e-4)


def test_pictures_have_rows_first() -> None:
    image = torch.zeros(2, 3, 5)
    image[:, 0, 4] = 1  # top right
    shown = case_picture(case("a", image, chroma=image), image[:1])
    assert shown["fused"].shape == (3, 5)
    assert shown["sources"][0, 0, 4] == shown["fused"][0, 4] == shown["chroma"][1, 0, 4] == 1


def test_the_slice_of_a_volume_is_the_fullest_with_the_front_on_top() -> None:
    volume = torch.zeros(2, 4, 6, 3)
    volume[:, :, :, 1] = 0.5
    volume[:, 3, 5, 1] = 1  # right, front
    volume[0, :, :, 2] = 0.9  # one source only
    shown = case_picture(case("a", volume), volume[:1])
    assert shown["fused"].shape == (6, 4)
    assert shown["fused"][0, 3] == 1
    assert shown["fused"].min() == 0.5
    assert shown["chroma"] is None


def test_captions_fit_the_number_of_sources() -> None:
    assert source_captions(["CT", "MRI"], 2) == ["CT", "MRI"]
    assert source_captions(["CT", "MRI"], 3) == source_captions(None, 3) == ["source 1", "source 2", "source 3"]
