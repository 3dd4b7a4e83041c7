import pytest
import torch
from scripts.ha_fusion_network import HAFusionNet

from common.losses import FusionQualityLoss, SurfaceLoss
from common.metrics import edge_preservation
from tests.bundles.overfit import overfit, phantom_pair


@pytest.mark.parametrize("seed", [0, 1])
def test_one_pair_is_learned_by_heart(seed: int) -> None:
    sources = phantom_pair()
    torch.manual_seed(seed)
    losses, _ = overfit(HAFusionNet(), SurfaceLoss(), sources, steps=60, lr=4e-3)
    assert losses[-1] < 0.65 * losses[0]  # the first is that of the pixelwise maximum


@pytest.mark.parametrize("seed", [0, 1])
def test_the_quality_loss_leaves_the_maximum_behind(seed: int) -> None:
    sources = phantom_pair()
    torch.manual_seed(seed)
    losses, fused = overfit(HAFusionNet(), FusionQualityLoss(), sources, steps=60, lr=4e-3)
    assert losses[-1] < losses[0] - 0.2
    maximum = sources.amax(1, keepdim=True)
    assert edge_preservation(255 * fused, 255 * sources) > edge_preservation(255 * maximum, 255 * sources) + 0.005
