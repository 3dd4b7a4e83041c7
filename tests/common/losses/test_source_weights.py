import math

import numpy as np
import pytest
import torch
from skimage.measure import shannon_entropy

from common.losses import abundance_saliency_weights
from common.losses.source_weights import gray_level_entropy


def image(*values: int) -> torch.Tensor:
    """Gray levels 0..255 in one row."""
    return torch.tensor(values)[None] / 255


def test_hand_computed_weights() -> None:
    # source 1: two levels of equal share, 1 bit, half of the pixels at 1: saliency .5; source 2: 0 bits, all at 0
    sources = torch.stack([image(0, 255, 255, 0), image(0, 0, 0, 0)])[None]
    first = math.exp((1 + 3 * 0.5) / 0.5)
    expected = first / (first + 1)
    assert abundance_saliency_weights(sources)[0].tolist() == pytest.approx([expected, 1 - expected])


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        pytest.param((7, 7, 7, 7), 0.0, id="one_level"),
        pytest.param((0, 85, 170, 255), 2.0, id="four_levels"),
        pytest.param((0, 0, 0, 255), 2 - 0.75 * math.log2(3), id="unequal"),
    ],
)
def test_entropy_in_bits(values: tuple, bits: float) -> None:
    assert float(gray_level_entropy(image(*values)[None, None])) == pytest.approx(bits, abs=1e-6)


def test_entropy_equals_scikit_image() -> None:
    levels = torch.randint(0, 256, (2, 3, 20, 30))
    expected = [[shannon_entropy(np.asarray(levels[b, n])) for n in range(3)] for b in range(2)]
    assert np.allclose(gray_level_entropy(levels.double() / 255), expected, atol=1e-12)


def test_each_image_has_a_histogram_of_its_own() -> None:
    # a counter that is not reset would add the levels of the images before
    sources = torch.rand(4, 2, 9, 9)
    alone = torch.cat([abundance_saliency_weights(sources[k : k + 1]) for k in range(4)])
    assert torch.allclose(abundance_saliency_weights(sources), alone)
    twice = torch.stack([image(0, 255, 0, 255), image(85, 170, 85, 170)])[None]
    assert gray_level_entropy(twice)[0].tolist() == pytest.approx([1.0, 1.0])


def test_level_255_has_a_bin_of_its_own() -> None:
    # with a wrap of 255 to 0 this image had one level and no entropy
    assert float(gray_level_entropy(image(0, 255)[None, None])) == pytest.approx(1.0)
    every = torch.arange(256)[None, None, None] / 255
    assert float(gray_level_entropy(every)) == pytest.approx(8.0, abs=1e-6)


def test_saliency_counts_pixels_above_085_by_their_value() -> None:
    # one level each, so entropy 0: weights differ by saliency alone
    for value, saliency in ((0.8, 0.0), (0.9, 0.9)):
        sources = torch.stack([torch.full((3, 3), value), torch.zeros(3, 3)])[None]
        expected = torch.softmax(torch.tensor([3 * saliency, 0.0]) / 0.5, 0)
        assert torch.allclose(abundance_saliency_weights(sources)[0], expected)


def test_c_goes_from_winner_takes_all_to_equal() -> None:
    sources = torch.stack([torch.rand(9, 9), torch.zeros(9, 9)])[None]
    assert float(abundance_saliency_weights(sources, 0.01)[0, 0]) == pytest.approx(1)
    assert torch.allclose(abundance_saliency_weights(sources, 1e6), torch.full((1, 2), 0.5), atol=1e-4)


def test_rows_sum_to_1_without_gradient_for_any_number_of_sources_and_type() -> None:
    sources = torch.rand(3, 5, 6, 6, requires_grad=True)
    weights = abundance_saliency_weights(sources)
    assert weights.shape == (3, 5) and not weights.requires_grad
    assert torch.allclose(weights.sum(1), torch.ones(3))
    assert abundance_saliency_weights(sources.half()).dtype == torch.float32


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="c is 0, it must be > 0"):
        abundance_saliency_weights(torch.rand(1, 2, 3, 3), 0)
    with pytest.raises(ValueError, match=r"sources have shape \(2, 3, 3\), expected \(B, N, H, W\)"):
        abundance_saliency_weights(torch.rand(2, 3, 3))
