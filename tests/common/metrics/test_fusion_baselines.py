import numpy as np
import pytest
import torch

from common.metrics.fusion_baselines import FUSION_BASELINES, average, laplacian_pyramid, maximum
from tests.common.metrics.fusion_images import fusion, textured

SOURCES = fusion(2, 3, 37, 52)[1] / 255


def test_average_and_maximum_by_hand() -> None:
    sources = torch.tensor([[[[0.2]], [[0.6]], [[0.1]]]])
    assert float(average(sources)) == pytest.approx(0.3)
    assert float(maximum(sources)) == pytest.approx(0.6)


@pytest.mark.parametrize("name", FUSION_BASELINES)
@pytest.mark.parametrize("shape", [(37, 52), (64, 64), (1, 1), (3, 2), (5, 40)])
def test_shape_range_batch_and_order(name: str, shape: tuple[int, int]) -> None:
    fuse, sources = FUSION_BASELINES[name], textured(2, 3, *shape) / 255
    fused = fuse(sources)
    assert fused.shape == (2, 1, *shape) and fused.min() >= 0 and fused.max() <= 1
    torch.testing.assert_close(fuse(sources[1:]), fused[1:])
    torch.testing.assert_close(fuse(sources.flip(1)), fused)


@pytest.mark.parametrize("name", FUSION_BASELINES)
def test_equal_sources_come_back(name: str) -> None:
    source = SOURCES[:, :1]
    torch.testing.assert_close(FUSION_BASELINES[name](source.expand(-1, 2, -1, -1)), source)


def test_one_level_on_a_constant_second_source_keeps_all_detail_of_the_first() -> None:
    source = 0.3 + 0.2 * SOURCES[:1, :1].double()
    flat = torch.full_like(source, 0.3)
    found = laplacian_pyramid(torch.cat([source, flat], dim=1), num_levels=1)
    image = source[0, 0].numpy()
    taps = np.array([1, 4, 6, 4, 1]) / 16
    padded = np.pad(image, 2, mode="edge")
    coarse = np.einsum("ijkl,k,l->ij", np.lib.stride_tricks.sliding_window_view(padded, (5, 5)), taps, taps)[::2, ::2]
    spread = np.zeros((37 + 4, 52 + 4))
    around = np.pad(coarse, 1, mode="edge")
    spread[::2, ::2] = around[:21, :28]
    windows = np.lib.stride_tricks.sliding_window_view(spread, (5, 5))
    expanded = 4 * np.einsum("ijkl,k,l->ij", windows, taps, taps)
    base_gap = 0.5 * (0.3 - expanded)  # the base alone is averaged
    np.testing.assert_allclose(found[0, 0].numpy(), image + base_gap, atol=1e-12)


def test_has_the_detail_of_both_sources() -> None:
    sources = torch.full((1, 2, 32, 32), 0.5)
    sources[0, 0, 8, 8], sources[0, 1, 24, 24] = 1.0, 0.0
    fused = laplacian_pyramid(sources)
    assert float(fused[0, 0, 8, 8]) > 0.8 and float(fused[0, 0, 24, 24]) < 0.2
    assert float(average(sources)[0, 0, 8, 8]) == 0.75


def test_no_level_is_refused() -> None:
    with pytest.raises(ValueError, match="num_levels is 0"):
        laplacian_pyramid(SOURCES, num_levels=0)
