import math
from typing import Any

import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from common.metrics.lesion_contrast import lesion_contrast, lesion_regions


def square(size: int = 31, label: int = 4) -> Tensor:
    """A lesion of 5 x 5 pixels in the middle."""
    truth = torch.zeros(size, size, dtype=torch.uint8)
    middle = size // 2
    truth[middle - 2 : middle + 3, middle - 2 : middle + 3] = label
    return truth


def test_contrast_to_noise_by_hand() -> None:
    image, truth = torch.full((1, 9), 0.5), torch.zeros(1, 9, dtype=torch.uint8)
    truth[0, 4] = 4
    image[0, 4] = 0.9
    image[0, [2, 6]] = torch.tensor([0.3, 0.5])  # distance 2: the ring, mean 0.4, deviation sqrt(0.02)
    found = lesion_contrast(image, truth, {"spot": [4]}, ring_mm=(1, 2))["spot"]
    assert found.contrast == pytest.approx(0.5)
    assert found.signed_cnr == found.cnr == pytest.approx(0.5 / math.sqrt(0.02))


def test_a_dark_lesion_has_a_negative_sign_only() -> None:
    truth = square()
    noise = torch.rand(31, 31, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    bright, dark = (lesion_contrast(noise + sign * 0.3 * (truth > 0), truth)["enhancing"] for sign in (1, -1))
    assert dark.contrast < 0 and dark.signed_cnr < 0 < dark.cnr
    assert bright.contrast - dark.contrast == pytest.approx(0.6, abs=1e-6)


def test_a_stretch_of_gray_levels_changes_nothing() -> None:
    truth = square()
    image = torch.rand(31, 31, generator=torch.Generator().manual_seed(0)) + 0.1 + truth
    first, second = (lesion_contrast(one, truth)["enhancing"] for one in (image, 3 * image + 1))
    assert second.signed_cnr == pytest.approx(first.signed_cnr, rel=1e-5)
    assert second.contrast == pytest.approx(3 * first.contrast, rel=1e-5)


@pytest.mark.parametrize("spacing", [pytest.param((1, 1, 1), id="pixels"), pytest.param((1, 2, 4), id="mm")])
def test_the_ring_is_a_range_of_distances_in_mm(spacing: tuple[float, ...]) -> None:
    truth = torch.zeros(30, 25, 20, dtype=torch.uint8)
    truth[3:9, 10:13, 8:10] = 2
    foreground = torch.ones_like(truth)
    foreground[:, 14:] = 0
    region = lesion_regions(truth, foreground, spacing_mm=spacing, ring_mm=(1.5, 6))["whole_tumour"]
    distance = torch.from_numpy(distance_transform_edt(truth.numpy() == 0, sampling=spacing))
    expected = (distance > 1.5) & (distance <= 6) & (foreground == 1)
    assert torch.equal(region.ring, expected) and expected.any()
    assert torch.equal(region.lesion, truth == 2)


def test_parts_of_a_tumour_share_the_ring_around_it() -> None:
    truth = torch.zeros(40, 40, dtype=torch.uint8)
    truth[10:20, 10:20] = 2
    truth[12:18, 12:18] = 4
    truth[14:16, 14:16] = 1
    regions = lesion_regions(truth, torch.ones(40, 40))
    assert set(regions) == {"whole_tumour", "enhancing", "necrosis"}
    assert [int(part.lesion.sum()) for part in regions.values()] == [100, 32, 4]
    for part in regions.values():
        assert torch.equal(part.ring, regions["whole_tumour"].ring) and not truth[part.ring].any()


def test_lesions_apart_have_rings_of_their_own() -> None:
    truth = torch.ones(40, 60, dtype=torch.uint8)
    truth[18:22, 8:12] = 3
    truth[18:22, 48:52] = 4
    truth[:, 30] = 2  # bone is no normal tissue
    regions = lesion_regions(truth, torch.ones(40, 60), {"a": [3], "b": [4]}, normal=[1], ring_mm=(0, 20))
    assert regions["a"].ring[:, :30].any() and not regions["a"].ring[:, 40:].any()
    assert regions["b"].ring[:, 40:].any() and not regions["b"].ring[:, :25].any()
    assert not regions["a"].ring[:, 30].any() and not (regions["a"].ring & (truth == 4)).any()


def test_without_foreground_the_ring_keeps_to_the_image() -> None:
    truth = square()
    image = torch.rand(31, 31, generator=torch.Generator().manual_seed(0)) + 0.1
    image[:, :13] = 0
    shown = image != 0
    given, own, everywhere = (
        lesion_contrast(image, truth, foreground=mask)["enhancing"] for mask in (shown, None, torch.ones(31, 31))
    )
    assert own == given != everywhere


def test_one_channel_in_front_is_the_same() -> None:
    truth, image = square(), torch.rand(31, 31)
    assert lesion_contrast(image[None], truth[None])["enhancing"] == lesion_contrast(image, truth)["enhancing"]


@pytest.mark.parametrize(
    ("image", "truth", "foreground"),
    [
        pytest.param(torch.rand(31, 31), square(label=0), None, id="no-lesion"),
        pytest.param(torch.rand(31, 31), square(), torch.zeros(31, 31), id="no-ring"),
        pytest.param(torch.ones(31, 31), square(), None, id="no-noise"),
    ],
)
def test_what_cannot_be_measured_is_nan(image: Tensor, truth: Tensor, foreground: Tensor | None) -> None:
    found = lesion_contrast(image, truth, foreground=foreground)["enhancing"]
    assert math.isnan(found.cnr) and math.isnan(found.signed_cnr)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"image": torch.rand(31, 30)}, r"truth has size \(31, 31\) and .*\(31, 30\)", id="size"),
        pytest.param({"image": torch.rand(31, 30), "foreground": torch.ones(31, 31)}, "image has size", id="image"),
        pytest.param({"normal": [0, 4]}, "label 4 is in lesions and in normal", id="both"),
        pytest.param({"ring_mm": (3, 3)}, r"ring_mm is \(3, 3\); it must be", id="ring"),
        pytest.param({"spacing_mm": (1, 1, 1)}, "spacing_mm is .*must have 2 positive values", id="axes"),
        pytest.param({"spacing_mm": (1, 0)}, "spacing_mm is .*must have 2 positive values", id="zero"),
    ],
)
def test_bad_input_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"lesion_contrast: {message}"):
        lesion_contrast(**{"image": torch.rand(31, 31), "truth": square(), **settings})
