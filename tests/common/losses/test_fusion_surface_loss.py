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
