import pytest
import torch

from common.losses import SurfaceLoss, fusion_gradient_loss, fusion_intensity_loss, ssim_index


@pytest.mark.parametrize("operator", ["sobel", "finite_difference"])
def test_it_is_20_intensity_100_gradient_and_50_structure(operator: str) -> None:
    fused, sources = torch.rand(2, 1, 14, 12), torch.rand(2, 2, 14, 12)
    ssim = ssim_index(fused, sources)
    expected = (
        20 * fusion_intensity_loss(fused, sources, "max")
        + 100 * fusion_gradient_loss(fused, sources, operator)
        + 50 * (1 - (0.5 * ssim[:, 0] + 0.5 * ssim[:, 1])).mean()
    )
    loss = SurfaceLoss(operator=operator)
    assert torch.allclose(loss(fused, sources), expected)
    assert set(loss.terms) == {"intensity", "gradient", "ssim"}


def test_the_weights_can_be_set() -> None:
    fused, sources = torch.rand(1, 1, 12, 12), torch.rand(1, 3, 12, 12)
    found = SurfaceLoss(intensity=1, gradient=0, ssim=0)(fused, sources)
    assert torch.allclose(found, fusion_intensity_loss(fused, sources, "max"))


def test_autocast_changes_neither_type_nor_value() -> None:
    fused, sources = torch.rand(1, 1, 12, 12), torch.rand(1, 2, 12, 12)
    plain = SurfaceLoss()(fused, sources)
    with torch.autocast("cpu", torch.bfloat16):
        loss = SurfaceLoss()(fused, sources)
    assert loss.dtype == torch.float32 and torch.equal(loss, plain)


def test_source_weights_weigh_the_structural_term_by_their_share() -> None:
    fused, sources = torch.rand(2, 1, 14, 12), torch.rand(2, 2, 14, 12)
    ssim = ssim_index(fused, sources)
    found = SurfaceLoss(intensity=0, gradient=0, ssim=10, source_weights=[6, 2])(fused, sources)
    assert torch.allclose(found, 10 * (1 - 0.75 * ssim[:, 0] - 0.25 * ssim[:, 1]).mean())


def test_equal_source_weights_are_the_default() -> None:
    fused, sources = torch.rand(2, 1, 12, 12), torch.rand(2, 3, 12, 12)
    assert torch.allclose(SurfaceLoss(source_weights=[2, 2, 2])(fused, sources), SurfaceLoss()(fused, sources))


def test_the_image_that_keeps_the_heavier_source_costs_less() -> None:
    sources = torch.rand(1, 2, 16, 16)
    loss = SurfaceLoss(source_weights=[3, 1])
    assert loss(sources[:, :1], sources) < loss(sources[:, 1:], sources)


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], []])
def test_source_weights_that_are_negative_or_all_0_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"SurfaceLoss: source_weights is .* not all 0, or None"):
        SurfaceLoss(source_weights=weights)


def test_source_weights_for_another_number_of_sources_are_refused() -> None:
    with pytest.raises(ValueError, match=r"source_weights is \[3, 1\] for 3 sources; give one weight per source"):
        SurfaceLoss(source_weights=[3, 1])(torch.rand(1, 1, 12, 12), torch.rand(1, 3, 12, 12))
