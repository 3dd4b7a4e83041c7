"""Properties that hold for every fusion metric."""

import time
import warnings

import pytest
import torch

from common.metrics import FUSION_METRICS, HIGHER_IS_BETTER, fusion_metrics, get_fusion_metric
from common.metrics.fusion import MIN_SIDE
from tests.common.metrics.fusion_images import fusion, textured

NAMES = "en mi nmi ssim ms_ssim sf sd ag ei cc scd psnr rmse vif qabf nabf qcb qcv fmi".split()
UNDEFINED = {"nmi", "cc", "scd"}  # 0 / 0 for constant images, as documented
EQUAL = {"ssim": 2, "ms_ssim": 2, "cc": 1, "psnr": torch.inf, "rmse": 0, "vif": 2, "qabf": 0.975, "nabf": 0, "qcb": 1}
EQUAL |= {"qcv": 0, "fmi": 1, "nmi": 2}


def test_registry_has_every_metric_in_order() -> None:
    assert list(FUSION_METRICS) == NAMES == list(HIGHER_IS_BETTER)
    assert [name for name, up in HIGHER_IS_BETTER.items() if not up] == ["rmse", "nabf", "qcv"]


def test_fused_image_equal_to_both_sources_gives_the_limit_of_every_metric() -> None:
    fused = textured(1, 1, 180, 176)
    found = fusion_metrics(fused, fused.expand(-1, 2, -1, -1), list(EQUAL))
    assert {name: float(value) for name, value in found.items()} == pytest.approx(EQUAL, abs=1e-3)


def test_information_of_equal_images_is_twice_the_entropy() -> None:
    fused = textured(1, 1, 64, 64)
    found = fusion_metrics(fused, fused.expand(-1, 2, -1, -1), ["en", "mi"])
    assert float(found["mi"]) == pytest.approx(2 * float(found["en"]) * 0.6931471805599453)


@pytest.mark.parametrize("num_sources", [2, 3])
def test_order_of_sources_does_not_matter(num_sources: int) -> None:
    fused, sources = fusion(1, num_sources, 180, 178)
    found, other = fusion_metrics(fused, sources), fusion_metrics(fused, sources.flip(1))
    for name in NAMES:
        assert torch.allclose(found[name], other[name], rtol=1e-10), name
        assert found[name].shape == (1,) and found[name].isfinite().all(), name


def test_batch_equals_loop() -> None:
    fused, sources = fusion(3, 2, 177, 190)
    batch = fusion_metrics(fused, sources)
    for k in range(3):
        single = fusion_metrics(fused[k : k + 1], sources[k : k + 1])
        for name in NAMES:
            assert torch.allclose(batch[name][k], single[name][0], rtol=1e-10), name


def test_closer_image_is_better_in_every_metric_that_asks_the_sources() -> None:
    source = textured(1, 1, 192, 192)
    sources = torch.cat([source, (source * 0.9).round()], dim=1)
    noise = textured(1, 1, 192, 192, seed=5)
    near, far = (0.95 * source + 0.05 * noise).round(), (0.4 * source + 0.6 * noise).round()
    for name in set(NAMES) - {"en", "sf", "sd", "ag", "ei", "nabf", "scd"}:
        good, bad = FUSION_METRICS[name](near, sources), FUSION_METRICS[name](far, sources)
        assert bool(good > bad) == HIGHER_IS_BETTER[name], name


@pytest.mark.parametrize("level", [pytest.param(0, id="black"), pytest.param(77, id="gray")])
def test_constant_images_give_finite_values_or_the_documented_nan(level: int) -> None:
    fused = torch.full((2, 1, 176, 176), float(level))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fusion_metrics(fused, fused.expand(-1, 2, -1, -1))
    nan = {name for name, value in found.items() if value.isnan().any()}
    assert nan == UNDEFINED | ({"qabf", "qcv"} if level == 0 else set())  # zeros outside make an edge round a gray one
    assert {name for name, value in found.items() if value.isinf().any()} == {"psnr"}


def test_constant_fused_image_of_textured_sources_is_bad_but_finite() -> None:
    _, sources = fusion(1, 2, 176, 176)
    found = fusion_metrics(torch.full((1, 1, 176, 176), 90.0), sources)
    assert {name for name, value in found.items() if not value.isfinite().all()} == {"cc"}
    assert [float(found[name]) for name in ("mi", "vif", "nabf", "sd")] == pytest.approx([0, 0, 0, 0], abs=1e-12)


def test_metrics_that_need_a_larger_image_are_nan_unless_named() -> None:
    fused, sources = fusion(2, 2, 30, 33)
    found = fusion_metrics(fused, sources)
    assert {name for name, value in found.items() if value.isnan().all()} == {"ms_ssim", "vif"}
    with pytest.raises(ValueError, match="sides of 41 or more"):
        fusion_metrics(fused, sources, ["vif"])


@pytest.mark.parametrize("name", NAMES)
def test_least_side_is_enough_and_one_less_is_refused(name: str) -> None:
    side = MIN_SIDE.get(name, 2)
    fused, sources = fusion(1, 2, side, side + 3)
    assert FUSION_METRICS[name](fused, sources).shape == (1,)
    with pytest.raises(ValueError, match=f"sides of {side} or more"):
        FUSION_METRICS[name](fused[..., :-1, :], sources[..., :-1, :])


def test_float_types_give_the_same_values_in_float64() -> None:
    fused, sources = fusion(1, 2, 180, 180)
    single, double = fusion_metrics(fused, sources), fusion_metrics(fused.double(), sources.double())
    for name in NAMES:
        assert single[name].dtype == torch.float64 and torch.equal(single[name], double[name]), name


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'viff', expected one of en, mi"):
        get_fusion_metric("viff")


def test_all_metrics_of_a_pair_take_less_than_two_seconds() -> None:
    fused, sources = fusion(1, 2, 256, 256)
    fusion_metrics(fused, sources)
    start = time.process_time()
    fusion_metrics(fused, sources)
    assert time.process_time() - start < 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_equals_cpu() -> None:
    fused, sources = fusion(2, 2, 180, 178)
    cpu, gpu = fusion_metrics(fused, sources), fusion_metrics(fused.cuda(), sources.cuda())
    for name in NAMES:
        assert gpu[name].is_cuda and torch.allclose(gpu[name].cpu(), cpu[name], rtol=1e-8), name
