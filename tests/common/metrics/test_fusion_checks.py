import pytest
import torch

from common.metrics import FUSION_METRICS
from common.metrics.fusion_checks import check_pair, is_vifb

FUSED, SOURCES = torch.zeros(2, 1, 8, 9), torch.zeros(2, 2, 8, 9)


@pytest.mark.parametrize("name", FUSION_METRICS)
def test_every_metric_checks_its_input(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 1, H, W\)"):
        FUSION_METRICS[name](FUSED[:, 0], SOURCES)


@pytest.mark.parametrize(
    ("fused", "sources", "message"),
    [
        pytest.param(FUSED[0], SOURCES, r"fused has shape \(1, 8, 9\)", id="no-batch-axis"),
        pytest.param(SOURCES, SOURCES, r"fused has shape \(2, 2, 8, 9\)", id="two-fused-channels"),
        pytest.param(FUSED, FUSED, r"sources have shape \(2, 1, 8, 9\)", id="one-source"),
        pytest.param(FUSED, SOURCES[:1], "the same B, H, W", id="other-batch"),
        pytest.param(FUSED, SOURCES[..., :-1], "the same B, H, W", id="other-width"),
        pytest.param(FUSED[:0], SOURCES[:0], "B >= 1", id="empty-batch"),
        pytest.param(FUSED + 256, SOURCES, r"fused has values in \[256, 256\]", id="above-255"),
        pytest.param(FUSED, SOURCES - 1, r"sources has values in \[-1, -1\]", id="below-0"),
        pytest.param(FUSED + torch.nan, SOURCES, "expected gray levels", id="nan"),
        pytest.param(FUSED + 0.5, SOURCES, "multiply by 255", id="fused-in-unit-range"),
        pytest.param(FUSED, SOURCES + 0.5, "multiply by 255", id="sources-in-unit-range"),
    ],
)
def test_bad_input_is_refused(fused: torch.Tensor, sources: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_pair("metric", fused, sources)


def test_image_of_zeros_and_ones_is_gray_levels() -> None:
    fused, _ = check_pair("metric", FUSED + 1, SOURCES)
    assert fused.dtype == torch.float64


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="variant is 'VIFB'"):
        is_vifb("metric", "VIFB")
