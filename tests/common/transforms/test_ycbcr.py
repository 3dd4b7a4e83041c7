import itertools

import pytest
import torch
from monai.data import MetaTensor

from common.transforms.ycbcr import RGBToYCbCrd, YCbCrToRGBd, rgb_to_ycbcr, ycbcr_to_rgb

CORNERS = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).T.reshape(3, 2, 4)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        pytest.param((0, 0, 0), (0, 0.5, 0.5), id="black"),
        pytest.param((1, 1, 1), (1, 0.5, 0.5), id="white"),
        pytest.param((0.3, 0.3, 0.3), (0.3, 0.5, 0.5), id="gray-has-no-colour"),
        pytest.param((1, 0, 0), (0.299, 0.5 - 0.299 / 1.772, 1), id="red"),
        pytest.param((0, 1, 0), (0.587, 0.5 - 0.587 / 1.772, 0.5 - 0.587 / 1.402), id="green"),
        pytest.param((0, 0, 1), (0.114, 1, 0.5 - 0.114 / 1.402), id="blue"),
        # the published table of rounded coefficients: .1687, .3313, .4187, .0813
        pytest.param((0.2, 0.4, 0.6), (0.363, 0.63374, 0.38374), id="colour"),
    ],
)
def test_hand_computed_colours(rgb: tuple, expected: tuple) -> None:
    luma, chroma = rgb_to_ycbcr(torch.tensor(rgb, dtype=torch.float32).reshape(3, 1, 1))
    assert torch.cat([luma, chroma]).flatten().tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "rgb",
    [
        pytest.param(CORNERS, id="corners"),
        pytest.param(torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(1)), id="random"),
        pytest.param(torch.rand(3, 9, 8, 7, generator=torch.Generator().manual_seed(2)), id="volume"),
        pytest.param(torch.randint(0, 256, (3, 60, 60)) / 255, id="8-bit"),
    ],
)
def test_the_inverse_is_exact(rgb: torch.Tensor) -> None:
    luma, chroma = rgb_to_ycbcr(rgb)
    for part in (luma, chroma):
        assert part.min() >= 0 and part.max() <= 1
    back = ycbcr_to_rgb(luma, chroma)
    assert (back - rgb).abs().max() < 1e-5 < 1 / 255
    assert torch.equal((back * 255).round(), (rgb * 255).round()) or (back - rgb).abs().max() < 1e-6


def test_8_bit_colours_come_back_as_they_were() -> None:
    stored = torch.randint(0, 256, (3, 64, 64))
    assert torch.equal((ycbcr_to_rgb(*rgb_to_ycbcr(stored / 255)) * 255).round().long(), stored)


def test_a_new_luma_cannot_leave_the_range() -> None:
    _, chroma = rgb_to_ycbcr(CORNERS)
    for luma in (0.0, 1.0):
        rgb = ycbcr_to_rgb(torch.full((1, 2, 4), luma), chroma)
        assert rgb.min() >= 0 and rgb.max() <= 1


def test_items_split_and_join() -> None:
    item = {"image": torch.rand(3, 6, 5), "mri": torch.rand(1, 6, 5)}
    before = dict(item)
    split = RGBToYCbCrd("image")(item)
    assert item == before and split["image"].shape == (1, 6, 5) and split["chroma"].shape == (2, 6, 5)
    luma, chroma = rgb_to_ycbcr(item["image"])
    assert torch.equal(torch.as_tensor(split["image"]), luma)
    assert torch.equal(torch.as_tensor(split["chroma"]), chroma)
    joined = YCbCrToRGBd("image")(split)
    torch.testing.assert_close(torch.as_tensor(joined["image"]), item["image"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_passes_without_chroma(channels: int) -> None:
    gray = torch.rand(1, 6, 5)
    item = RGBToYCbCrd("image")({"image": gray.expand(channels, 6, 5), "mri": gray})
    assert "chroma" not in item and torch.equal(torch.as_tensor(item["image"]), gray)
    assert torch.equal(torch.as_tensor(YCbCrToRGBd("image")(item)["image"]), gray)


def test_three_sources_are_no_colours() -> None:
    sources = torch.rand(3, 6, 5, 4)
    item = RGBToYCbCrd("image")({"image": sources})
    assert "chroma" not in item and torch.equal(item["image"], sources)
    assert "chroma" in RGBToYCbCrd("image", partner_key=None)({"image": sources})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: rgb_to_ycbcr(torch.rand(2, 4, 4)), r"rgb has shape \(2, 4, 4\)", id="two-channels"),
        pytest.param(lambda: ycbcr_to_rgb(torch.rand(1, 4, 4), torch.rand(2, 4, 5)), "of equal size", id="sizes"),
        pytest.param(lambda: ycbcr_to_rgb(torch.rand(2, 4, 4), torch.rand(2, 4, 4)), "luma has shape", id="luma"),
        pytest.param(lambda: RGBToYCbCrd(["image", "mri"]), "give one key", id="keys"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()


def test_colour_that_would_be_lost_is_refused() -> None:
    colour, gray, volume = torch.rand(3, 6, 5), torch.rand(1, 6, 5), torch.rand(3, 6, 5, 4)
    split = RGBToYCbCrd("image")
    for image in (gray, colour):
        with pytest.raises(
            ValueError, match="mri is in colour, and only image may be; swap the two, or give mri in gray"
        ):
            split({"image": image, "mri": colour})
    with pytest.raises(ValueError, match="image is a volume in colour, and fused volumes are gray"):
        split({"image": volume, "mri": volume[:1]})
    picture = MetaTensor(colour, meta={"original_channel_dim": -1})  # as a reader leaves an RGB file
    with pytest.raises(ValueError, match="image is a picture in colour without mri"):
        split({"image": picture})
