import warnings

import numpy as np
import pytest
import torch

from common.transforms.scale_to_unit import ScaleToUnit, ScaleToUnitd


def test_8_bit_is_divided_by_255_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    scaled = ScaleToUnit(window=[0, 10])(levels)
    assert torch.equal(torch.as_tensor(scaled), torch.arange(256).reshape(1, 16, 16) / 255)
    assert torch.equal((scaled * 255).round().to(torch.uint8), levels)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_a_window_is_linear_and_cuts(dtype: type) -> None:
    hu = np.array([[[-1000, -160, 40, 240, 3000]]], dtype)
    scaled = ScaleToUnit(window=[-160, 240])(hu)
    assert scaled.dtype == torch.float32 and scaled.flatten().tolist() == [0, 0, 0.5, 1, 1]


def test_the_percentile_is_of_the_foreground_of_each_channel_of_the_volume() -> None:
    rng = np.random.default_rng(0)
    volume = rng.uniform(1, 1000, (2, 12, 12, 12)).astype(np.float32)
    volume[:, :6] = 0  # half background
    volume[1] *= 50
    expected = np.stack([np.clip(channel / np.percentile(channel[channel != 0], 99), 0, 1) for channel in volume])
    scaled = ScaleToUnit()(volume)
    np.testing.assert_allclose(scaled.numpy(), expected, rtol=1e-6)
    # with the background the 99th percentile would be another, and so would that of a slice
    assert abs(np.percentile(volume[0], 99) / np.percentile(volume[0][volume[0] != 0], 99) - 1) > 1e-3
    torch.testing.assert_close(scaled[0], ScaleToUnit()(volume[:1])[0])


def test_16_bit_is_not_taken_for_8_bit() -> None:
    image = torch.tensor([[[0, 30000, 60000]]], dtype=torch.int32)
    assert ScaleToUnit(upper_percentile=100)(image).flatten().tolist() == [0, 0.5, 1]


def test_an_image_of_zeros_stays_zero_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (torch.uint8, torch.int16, torch.float32):
            scaled = ScaleToUnit()(torch.zeros(2, 4, 4, dtype=dtype))
            assert scaled.dtype == torch.float32 and not scaled.any()


def test_the_dictionary_version_equals_the_array_version_key_by_key() -> None:
    item = {"image": torch.rand(1, 5, 5) * 9, "mri": torch.rand(1, 5, 5) * 700, "other": torch.ones(1)}
    before = {key: value.clone() for key, value in item.items()}
    scaled = ScaleToUnitd(["image", "mri"], upper_percentile=90)(item)
    for key in ("image", "mri"):
        assert torch.equal(scaled[key], ScaleToUnit(upper_percentile=90)(item[key]))
    assert all(torch.equal(item[key], before[key]) for key in item) and scaled["other"] is item["other"]
    assert set(ScaleToUnitd(["image", "mri"], allow_missing_keys=True)({"image": item["image"]})) == {"image"}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(torch.tensor([[[1.0, float("nan")]]]), "mri holds NaN or infinite values", id="nan"),
        pytest.param(torch.tensor([[[1.0, float("inf")]]]), "mri holds NaN or infinite values", id="inf"),
        pytest.param(torch.tensor([[[-5.0, -1.0]]]), "of mri is -1.*not above 0; give a window", id="negative"),
    ],
)
def test_unusable_images_are_refused_by_key(image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScaleToUnitd("mri")({"mri": image})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"window": [3, 3]}, r"window is \[3, 3\]; it must be \[low, high\]", id="window"),
        pytest.param({"upper_percentile": 0}, r"upper_percentile is 0; it must be in \(0, 100\]", id="percentile"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScaleToUnit(**settings)
