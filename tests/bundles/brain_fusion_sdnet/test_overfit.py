import pytest
import torch
from scripts.sdnet import SDNet

from common.losses import SDNetLoss
from common.metrics import edge_preservation
from common.metrics.fusion_baselines import average
from tests.bundles.overfit import overfit, phantom_pair


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_pair_is_learned_by_heart(seed: int) -> None:
    sources = phantom_pair()
    torch.manual_seed(seed)
    losses, fused = overfit(SDNet(), SDNetLoss(), sources, steps=60, lr=2e-3, with_sources=True)
    assert losses[-1] < losses[0] / 3
    assert edge_preservation(255 * fused, 255 * sources) > edge_preservation(255 * average(sources), 255 * sources)
    assert fused[(sources == 0).all(1, keepdim=True)].mean() < 0.1


def test_the_sources_are_found_in_the_fused_image() -> None:
    sources = phantom_pair()
    network = SDNet()
    overfit(network, SDNetLoss(), sources, steps=60, lr=2e-3, with_sources=True)
    decoded = network(sources, with_sources=True)[:, 1:]
    error = (decoded - sources).square().mean(dim=(0, 2, 3))
    crossed = (decoded - sources.flip(1)).square().mean(dim=(0, 2, 3))
    flat = sources.var(dim=(0, 2, 3))  # what one gray level would miss
    assert (error < flat / 2).all() and (error < crossed).all()
