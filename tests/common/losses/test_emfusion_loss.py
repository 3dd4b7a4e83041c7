import pytest
import torch
from torch import nn

from common.losses import (
    EMFusionLoss,
    abundance_saliency_weights,
    fusion_intensity_loss,
    fusion_ssim_loss,
    unique_channel_loss,
)


class Encoders:
    """Stage one with two small random encoders; counts how often it is asked."""

    def __init__(self, count: int = 2) -> None:
        self.modules = [nn.Conv2d(1, 3, 3).requires_grad_(False) for _ in range(count)]
        self.asked = 0

    def encoders(self) -> list[nn.Module]:
        self.asked += 1
        return self.modules


def images(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(2, 1, 12, 13, dtype=dtype), torch.rand(2, 2, 12, 13, dtype=dtype)


def test_it_is_structure_and_10_squared_error_and_half_the_unique_features() -> None:
    fused, sources = images()
    stage = Encoders()
    weights = abundance_saliency_weights(sources)
    deep = sum(unique_channel_loss(e(fused), e(sources[:, k : k + 1])) for k, e in enumerate(stage.modules))
    surface = fusion_ssim_loss(fused, sources, weights) + 10 * fusion_intensity_loss(fused, sources, "mse", weights)
    loss = EMFusionLoss(stage)
    assert torch.allclose(loss(fused, sources), surface + 0.5 * deep)
    assert set(loss.terms) == {"ssim", "mse", "unique"}
    assert torch.allclose(loss.terms["unique"], deep)


def test_weights_and_temperature_can_be_set() -> None:
    fused, sources = images()
    expected = 3 * fusion_intensity_loss(fused, sources, "mse", abundance_saliency_weights(sources, 2.0))
    assert torch.allclose(EMFusionLoss(ssim=0, mse=3, unique=0, c=2.0)(fused, sources), expected)


def test_the_encoders_are_asked_for_in_forward_only_and_not_without_weight() -> None:
    stage = Encoders()
    loss = EMFusionLoss(stage)
    assert stage.asked == 0
    loss(*images())
    EMFusionLoss(stage, unique=0)(*images())
    assert stage.asked == 1


def test_the_gradient_reaches_the_fused_image_and_no_encoder() -> None:
    fused, sources = images(torch.float64)
    stage = Encoders()
    for encoder in stage.modules:
        encoder.double()
    fused = fused[:1, :, :11, :11].requires_grad_()
    assert torch.autograd.gradcheck(lambda f: EMFusionLoss(stage)(f, sources[:1, :, :11, :11]), (fused,))
    assert all(p.grad is None for encoder in stage.modules for p in encoder.parameters())


def test_autocast_changes_neither_type_nor_value() -> None:
    fused, sources = images()
    loss = EMFusionLoss(Encoders())
    plain = loss(fused, sources)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(fused, sources)
        assert loss(fused.bfloat16(), sources).dtype == torch.float32
    assert found.dtype == torch.float32 and torch.equal(found, plain)


def test_more_than_two_sources_work_without_the_deep_term() -> None:
    fused, sources = torch.rand(2, 1, 12, 12), torch.rand(2, 4, 12, 12)
    assert EMFusionLoss(unique=0)(fused, sources).isfinite()
    with pytest.raises(ValueError, match="sources are 4 but stage_one has 2 encoders"):
        EMFusionLoss(Encoders())(fused, sources)


def test_a_deep_term_without_encoders_is_refused() -> None:
    with pytest.raises(ValueError, match="unique is 0.5 without stage_one; give one, or set unique to 0"):
        EMFusionLoss()
