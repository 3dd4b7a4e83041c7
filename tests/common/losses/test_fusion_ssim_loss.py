import math
import re

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from common.losses import FusionSSIMLoss, fusion_ssim_loss, ssim_index


def images(batch: int = 2, count: int = 2, size: tuple[int, int] = (13, 14), dtype: torch.dtype = torch.float64):
    return torch.rand(batch, 1, *size, dtype=dtype), torch.rand(batch, count, *size, dtype=dtype)


def naive_ssim(x: Tensor, y: Tensor, window: int = 11, sigma: float = 1.5) -> float:
    """Loop over windows, variances as means of squared deviations."""
    middle = (window - 1) / 2
    kernel = [
        [math.exp(-((i - middle) ** 2 + (j - middle) ** 2) / (2 * sigma**2)) for j in range(window)]
        for i in range(window)
    ]
    weight = torch.tensor(kernel, dtype=torch.float64)
    weight /= weight.sum()
    values = []
    for i in range(x.shape[0] - window + 1):
        for j in range(x.shape[1] - window + 1):
            a, b = x[i : i + window, j : j + window], y[i : i + window, j : j + window]
            mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
            var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
            both = (weight * (a - mean_a) * (b - mean_b)).sum()
            top = (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
            values.append(float(top / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))))
    return sum(values) / len(values)


@pytest.mark.parametrize("window", [pytest.param(11, id="11"), pytest.param(5, id="5")])
def test_it_equals_a_loop_over_windows(window: int) -> None:
    x, y = images()
    found = ssim_index(x, y, window)
    expected = [[naive_ssim(x[b, 0], y[b, n], window) for n in range(2)] for b in range(2)]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_it_equals_scikit_image_without_its_border() -> None:
    x, y = images(1, 2, (32, 40))
    _, full = structural_similarity(
        x[0, 0].numpy(),
        y[0, 0].numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    assert float(ssim_index(x, y)[0, 0]) == pytest.approx(np.mean(full[5:-5, 5:-5]), abs=1e-10)


def test_constant_images_have_a_value_computed_by_hand() -> None:
    # no variance: (2 * .2 * .6 + 1e-4) / (.04 + .36 + 1e-4) = .2401 / .4001
    x, y = (torch.full((1, 1, 11, 11), value, dtype=torch.float64) for value in (0.2, 0.6))
    assert float(ssim_index(x, y)) == pytest.approx(0.2401 / 0.4001, abs=1e-9)


def test_the_weights_belong_to_their_image_and_source() -> None:
    fused, sources = images(2, 3)
    weights = torch.rand(2, 3, dtype=torch.float64)
    loss = 1 - ssim_index(fused, sources)
    expected = sum(weights[b, n] * loss[b, n] for b in range(2) for n in range(3)) / 2
    assert torch.allclose(fusion_ssim_loss(fused, sources, weights), expected)
    assert torch.allclose(fusion_ssim_loss(fused, sources), loss.mean())
    assert torch.allclose(FusionSSIMLoss()(fused, sources), loss.mean())


def test_equal_images_cost_nothing() -> None:
    fused = torch.rand(2, 1, 20, 20)
    assert float(fusion_ssim_loss(fused, fused.expand(-1, 3, -1, -1))) == pytest.approx(0, abs=1e-6)


def test_autocast_changes_neither_type_nor_value() -> None:
    fused, sources = images(dtype=torch.float32)
    plain = fusion_ssim_loss(fused, sources)
    with torch.autocast("cpu", torch.bfloat16):
        loss = fusion_ssim_loss(fused, sources)
        low = fusion_ssim_loss(fused.bfloat16(), sources)
    assert loss.dtype == low.dtype == torch.float32
    assert torch.equal(loss, plain)


def test_gradients() -> None:
    fused, sources = images(1, 2, (6, 5))
    assert torch.autograd.gradcheck(lambda f: fusion_ssim_loss(f, sources, window=5), (fused.requires_grad_(),))


@pytest.mark.parametrize(
    ("fused", "sources", "weights", "message"),
    [
        pytest.param(
            (1, 1, 8, 12), (1, 2, 8, 12), None, "images are 8 x 12, smaller than the window of 11", id="small"
        ),
        pytest.param((1, 2, 12, 12), (1, 2, 12, 12), None, "expected (B, 1, H, W) and (B, N, H, W)", id="channels"),
        pytest.param((1, 1, 12, 12), (1, 1, 12, 12), None, "with N >= 2", id="one_source"),
        pytest.param((1, 1, 12, 13), (1, 2, 12, 12), None, "fused has shape (1, 1, 12, 13)", id="sizes"),
        pytest.param((2, 1, 12, 12), (2, 2, 12, 12), (2,), "weights have shape (2,), expected", id="weights"),
    ],
)
def test_bad_input_is_refused(fused: tuple, sources: tuple, weights: tuple | None, message: str) -> None:
    given = None if weights is None else torch.rand(weights)
    with pytest.raises(ValueError, match=re.escape(message)):
        fusion_ssim_loss(torch.rand(fused), torch.rand(sources), given)
