import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import CumulativeIterationMetric

from common.metrics import FUSION_METRICS, FusionMetric
from tests.common.metrics.fusion_images import fusion

FUSED, SOURCES = fusion(3, 2, 180, 177)


@pytest.mark.parametrize("name", FUSION_METRICS)
def test_mean_over_batches_equals_the_function_on_gray_levels(name: str) -> None:
    metric = FusionMetric(name)
    assert isinstance(metric, CumulativeIterationMetric)
    for part in (slice(0, 2), slice(2, 3)):
        metric(y_pred=FUSED[part] / 255, y=SOURCES[part] / 255)
    expected = FUSION_METRICS[name](FUSED, SOURCES)
    torch.testing.assert_close(metric.aggregate("none")[:, 0].double(), expected)
    torch.testing.assert_close(metric.aggregate().double(), expected.mean().reshape(metric.aggregate().shape))


def test_values_between_and_beyond_gray_levels_are_those_of_a_saved_image() -> None:
    metric = FusionMetric("en")
    metric(FUSED / 255 + 0.4 / 255 * (FUSED < 255), SOURCES / 255)
    torch.testing.assert_close(metric.aggregate("none")[:, 0], FUSION_METRICS["en"](FUSED, SOURCES))
    metric.reset()
    metric((FUSED / 255) * 4 - 1, SOURCES / 255)
    assert bool(metric.aggregate().isfinite())


def test_lists_of_images_of_different_sizes_and_metadata() -> None:
    metric = FusionMetric("ssim")
    metric(
        [MetaTensor(FUSED[0] / 255), FUSED[1, :, :90] / 255], [MetaTensor(SOURCES[0] / 255), SOURCES[1, :, :90] / 255]
    )
    found = metric.aggregate("none")[:, 0]
    assert type(found) is torch.Tensor
    assert float(found[0]) == pytest.approx(float(FUSION_METRICS["ssim"](FUSED[:1], SOURCES[:1])))
    assert float(found[1]) == pytest.approx(float(FUSION_METRICS["ssim"](FUSED[1:2, :, :90], SOURCES[1:2, :, :90])))


def test_undefined_images_are_left_out_of_the_mean() -> None:
    metric = FusionMetric("cc")
    fused = FUSED.clone()
    fused[1] = 0
    metric(fused / 255, SOURCES / 255)
    values = FUSION_METRICS["cc"](fused, SOURCES)
    assert values.isnan().tolist() == [False, True, False]
    assert float(metric.aggregate()) == pytest.approx(float(values.nanmean()))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'best'"):
        FusionMetric("best")
    with pytest.raises(ValueError, match="y is None"):
        FusionMetric("en")(FUSED / 255)
    with pytest.raises(ValueError, match="expected gray levels"):
        FusionMetric("en")(FUSED + torch.nan, SOURCES / 255)


def test_a_volume_counts_slice_by_slice() -> None:
    metric = FusionMetric("vif")
    metric(FUSED.movedim(0, -1)[None] / 255, SOURCES.movedim(0, -1)[None] / 255)
    torch.testing.assert_close(metric.aggregate("none")[:, 0], FUSION_METRICS["vif"](FUSED, SOURCES))
