from scripts.network import EMFusionNet

from common.losses import SurfaceLoss
from common.metrics import edge_preservation
from common.metrics.fusion_baselines import average
from tests.bundles.overfit import overfit, phantom_pair


def test_one_pair_is_learned_by_heart() -> None:
    sources = phantom_pair()
    losses, fused = overfit(EMFusionNet(), SurfaceLoss(), sources, steps=30, lr=1e-3)
    assert losses[-1] < losses[0] / 2.5
    assert (
        edge_preservation(255 * fused, 255 * sources) > edge_preservation(255 * average(sources), 255 * sources) + 0.1
    )
