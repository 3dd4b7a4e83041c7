from collections.abc import Callable

import pytest
import torch
from monai.transforms import (
    Rand2DElasticd,
    RandAdjustContrast,
    RandAdjustContrastd,
    RandCoarseDropout,
    RandFlipd,
    RandRotated,
)

from common.transforms import CaseSeeded, PerSource, PerSourced


def twins() -> dict:
    """Two identical sources on a black background."""
    image = torch.zeros(1, 32, 32)
    image[:, 6:26, 8:24] = torch.rand(1, 20, 16, generator=torch.Generator().manual_seed(3))
    return {"image": image.repeat(2, 1, 1), "id": "a"}


def space() -> list:
    return [
        RandRotated("image", range_x=0.3, prob=1.0, padding_mode="zeros"),
        RandFlipd("image", prob=1.0, spatial_axis=0),
        Rand2DElasticd("image", spacing=(8, 8), magnitude_range=(1, 2), prob=1.0, padding_mode="zeros"),
    ]


def gamma() -> PerSourced:
    return PerSourced("image", RandAdjustContrast(prob=1.0, gamma=(0.7, 1.3)))


def occlusion() -> PerSourced:
    return PerSourced("image", RandCoarseDropout(holes=1, spatial_size=8, fill_value=0, prob=1.0))


def image(transform: Callable, item: dict | None = None) -> torch.Tensor:
    return torch.as_tensor(transform(item or twins())["image"])


def test_sources_stay_registered_under_spatial_augmentation() -> None:
    for seed in range(5):
        out = image(CaseSeeded(space(), seed=seed))
        assert torch.equal(out[0], out[1])
        assert not torch.allclose(out, twins()["image"])


@pytest.mark.parametrize("make", [pytest.param(gamma, id="gamma"), pytest.param(occlusion, id="occlusion")])
def test_intensity_augmentation_draws_for_each_source(make: Callable) -> None:
    item = twins()
    before = item["image"].clone()
    out = image(CaseSeeded([make()]), item)
    assert not torch.allclose(out[0], out[1])
    assert torch.equal(item["image"], before)


def test_the_transform_of_monai_alone_draws_once_for_all() -> None:
    out = image(CaseSeeded([RandAdjustContrastd("image", prob=1.0, gamma=(0.7, 1.3))]))
    assert torch.equal(out[0], out[1])


def test_values_stay_in_the_unit_range_and_the_background_stays_zero() -> None:
    background = (twins()["image"] == 0).all(0)
    for seed in range(10):
        out = image(CaseSeeded([*space(), gamma(), occlusion()], seed=seed))
        assert out.min() >= 0 and out.max() <= 1 + 1e-6
        assert (image(CaseSeeded([gamma(), occlusion()], seed=seed))[:, background] == 0).all()


def test_the_seed_and_the_case_decide() -> None:
    def draw(seed: int, name: str = "a") -> torch.Tensor:
        transform = CaseSeeded([*space(), gamma(), occlusion()], seed=seed)
        return image(transform, twins() | {"id": name})

    assert torch.equal(draw(1), draw(1))
    assert not torch.allclose(draw(1), draw(2))
    assert not torch.allclose(draw(1), draw(1, "b"))


def test_every_epoch_draws_anew() -> None:
    transform = CaseSeeded([gamma(), occlusion()])
    first = image(transform)
    transform.epoch = 1
    assert not torch.allclose(first, image(transform))


def test_each_source_is_what_the_transform_makes_of_it() -> None:
    sources = torch.rand(3, 5, 5)
    out = PerSource(RandAdjustContrast(prob=0.5)).set_random_state(7)(sources)
    single = RandAdjustContrast(prob=0.5).set_random_state(7)
    assert torch.equal(torch.as_tensor(out), torch.cat([torch.as_tensor(single(sources[k : k + 1])) for k in range(3)]))


def test_the_dictionary_version_equals_the_array_version() -> None:
    array = PerSource(RandAdjustContrast(prob=1.0)).set_random_state(4)(twins()["image"])
    dictionary = PerSourced("image", RandAdjustContrast(prob=1.0)).set_random_state(4)
    assert torch.equal(torch.as_tensor(array), image(dictionary))
