import pytest
import torch

from common.losses import FusionQualityLoss, fusion_intensity_loss, fusion_quality_loss, fusion_ssim_loss
from common.losses.fusion_quality_loss import difference_correlation, edge_preservation, visual_information
from common.metrics.fusion import fusion_metrics


def pair(seed: int = 0, side: int = 96, sources: int = 2, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Smooth random images (1, N, side, side) in [0, 1] with contrast and a black border, as slices have them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, sources, side // 8, side // 8, generator=generator, dtype=dtype)
    image = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    image = (0.1 + 0.7 * image + 0.05 * torch.rand(image.shape, generator=generator, dtype=dtype)).clamp(0, 1)
    return torch.nn.functional.pad(image[..., 4:-4, 4:-4], (4, 4, 4, 4))


@pytest.mark.parametrize(
    ("term", "metric", "share", "tolerance"),
    [
        pytest.param(edge_preservation, "qabf", 1, 0.06, id="Qabf"),  # the metric's angle jumps at pi / 2
        pytest.param(difference_correlation, "scd", 2, 1e-3, id="SCD"),
    ],
)
@pytest.mark.parametrize("rule", [torch.amax, torch.mean], ids=["maximum", "average"])
def test_a_term_equals_the_metric_that_it_trains_for(term, metric, share, tolerance, rule) -> None:
    sources = (pair() * 255).round() / 255
    fused = (rule(sources, dim=1, keepdim=True) * 255).round() / 255
    expected = fusion_metrics(255 * fused, 255 * sources, [metric])[metric] / share
    assert float(term(fused, sources)) == pytest.approx(float(expected), abs=tolerance)


@pytest.mark.parametrize("rule", [torch.amax, torch.mean], ids=["maximum", "average"])
def test_visual_information_is_the_geometric_mean_of_what_the_metric_sums(rule) -> None:
    sources = (pair() * 255).round() / 255
    fused = (rule(sources, dim=1, keepdim=True) * 255).round() / 255
    single = [
        float(fusion_metrics(255 * fused, 255 * sources[:, [k, k]], ["vif"])["vif"]) / 2 for k in range(2)
    ]  # a source given twice
    assert float(visual_information(fused, sources)) == pytest.approx((single[0] * single[1]) ** 0.5, abs=1e-2)


def test_a_copy_of_one_source_is_no_optimum_of_visual_information() -> None:
    # the sum over sources rises when the weaker one is dropped; the mean of both terms must not be beaten by a copy
    sources = pair()
    copy, both = sources[:, :1], sources.amax(1, keepdim=True)
    assert visual_information(copy, sources) < visual_information(both, sources)
    total = {name: fusion_metrics(255 * f, 255 * sources, ["vif"])["vif"] for name, f in (("c", copy), ("b", both))}
    assert total["c"] > total["b"]


@pytest.mark.parametrize("term", [edge_preservation, visual_information, difference_correlation])
def test_terms_do_not_depend_on_the_order_of_the_sources(term) -> None:
    sources = pair(sources=3)
    fused = sources.mean(1, keepdim=True)
    torch.testing.assert_close(term(fused, sources), term(fused, sources.flip(1)))


def test_an_image_with_itself_loses_no_edges_and_no_information() -> None:
    image = pair()[:, :1]
    sources = image.expand(1, 2, -1, -1)
    assert float(edge_preservation(image, sources)) > 0.97
    assert float(visual_information(image, sources)) == pytest.approx(1, abs=1e-2)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    sources = pair()
    fused = sources.mean(1, keepdim=True)
    terms = [1 - term(fused, sources) for term in (edge_preservation, visual_information, difference_correlation)]
    expected = 1 * terms[0] + 3 * terms[1] + 0.5 * terms[2] + 2 * fusion_ssim_loss(fused, sources)
    expected = expected + 4 * fusion_intensity_loss(fused, sources, "max")
    torch.testing.assert_close(fusion_quality_loss(fused, sources, 1, 3, 0.5, 2, 4), expected)
    torch.testing.assert_close(FusionQualityLoss(1, 3, 0.5, 2, 4)(fused, sources), expected)


def test_what_lies_on_a_background_of_zeros_does_not_count() -> None:
    sources = pair()
    sources[..., :40] = 0
    fused = sources.mean(1, keepdim=True)
    spoilt = fused.clone()
    spoilt[..., :40] = 0.7
    torch.testing.assert_close(fusion_quality_loss(spoilt, sources), fusion_quality_loss(fused, sources))


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(torch.zeros(1, 2, 48, 48), id="zeros"),
        pytest.param(torch.ones(1, 2, 48, 48), id="ones"),
        pytest.param(torch.cat([torch.zeros(1, 1, 48, 48), torch.ones(1, 1, 48, 48)], 1), id="flat"),
    ],
)
def test_flat_patches_have_finite_gradients(sources: torch.Tensor) -> None:
    fused = sources.mean(1, keepdim=True).requires_grad_()
    fusion_quality_loss(fused, sources).backward()
    assert fused.grad is not None and torch.isfinite(fused.grad).all()


def test_gradients_are_right() -> None:
    sources = pair(side=48)
    fused = (sources.mean(1, keepdim=True) * 0.9).requires_grad_()
    loss = fusion_quality_loss(fused, sources)
    (gradient,) = torch.autograd.grad(loss, fused)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(fused.shape, generator=generator, dtype=fused.dtype)
    step = 1e-6
    with torch.no_grad():
        rise = fusion_quality_loss(fused + step * direction, sources) - fusion_quality_loss(
            fused - step * direction, sources
        )
    assert float(rise / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_half_precision_is_widened() -> None:
    sources = pair(dtype=torch.float32)
    fused = sources.mean(1, keepdim=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = fusion_quality_loss(fused, sources)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, fusion_quality_loss(fused, sources))


def test_small_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="too small for four scales; give 41 pixels"):
        fusion_quality_loss(torch.rand(1, 1, 40, 64), torch.rand(1, 2, 40, 64))
