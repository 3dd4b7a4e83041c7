import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.handlers import FusionImages
from common.transforms import rgb_to_ycbcr

from .fusion_cases import case, pair, run


def images(folder: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    decode = {
        tag: [
            (event.step, np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))) for event in events.Images(tag)
        ]
        for tag in events.Tags()["images"]
    }
    return decode


def test_strips_of_the_first_pairs_every_second_epoch(tmp_path: Path) -> None:
    cases = [case(f"c{k}", pair(k)) for k in range(3)]
    handler = FusionImages(str(tmp_path), interval=2, num_images=2)
    for epoch in (1, 2, 3, 4):
        run(handler, cases, [item["image"].amax(0, keepdim=True) for item in cases], epoch)
    found = images(tmp_path)
    assert sorted(found) == ["fusion/c0", "fusion/c1"]
    assert [step for step, _ in found["fusion/c0"]] == [2, 4]
    first, second = (255 * cases[0]["image"]).round().numpy()
    strip = found["fusion/c0"][0][1]
    assert strip.shape == (20, 5 * 16, 3)
    np.testing.assert_array_equal(strip[:, :16, 0], first)
    np.testing.assert_array_equal(strip[:, 32:48, 1], np.maximum(first, second))
    assert np.abs(strip[:, 48:64, 2] - (127.5 + (np.maximum(first, second) - first) / 2)).max() <= 1


def test_colours_are_those_of_the_source(tmp_path: Path) -> None:
    rgb = torch.rand(3, 20, 16)
    luma, chroma = rgb_to_ycbcr(rgb)
    item = case("pet", torch.cat([luma, pair()[:1]]), chroma=chroma)
    run(FusionImages(str(tmp_path)), [item], [luma])
    strip = images(tmp_path)["fusion/pet"][0][1]
    np.testing.assert_array_equal(strip[:, :16], (255 * rgb).round().permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(strip[:, 32:48], strip[:, :16])


@pytest.mark.parametrize("arguments", [{"interval": 0}, {"num_images": 0}])
def test_numbers_below_one_are_refused(tmp_path: Path, arguments: dict) -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        FusionImages(str(tmp_path), **arguments)
