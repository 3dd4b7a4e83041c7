"""Resampling in float32 gives the image of float64."""

import torch
from monai.transforms import RandAffined
from scripts.single_precision import single_precision


def turned(transform: RandAffined, image: torch.Tensor) -> torch.Tensor:
    transform.set_random_state(seed=0)
    return transform({"image": image})["image"].as_tensor()


def test_the_image_is_that_of_double_precision() -> None:
    image = torch.rand(4, 64, 64, generator=torch.Generator().manual_seed(0))
    settings = {
        "keys": "image",
        "prob": 1.0,
        "rotate_range": 0.4363,
        "translate_range": (5, 5),
        "padding_mode": "zeros",
    }
    double, single = RandAffined(**settings), single_precision(RandAffined(**settings))
    assert single.rand_affine.resampler.dtype == torch.float32
    assert torch.allclose(turned(single, image), turned(double, image), atol=1e-4)
