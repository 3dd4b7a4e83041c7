import pytest
import torch

from common.losses import FusionIntensityLoss, fusion_intensity_loss

FUSED = torch.tensor([[[[0.5, 0.5]]]])
SOURCES = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.0]]]])


@pytest.mark.parametrize(
    ("mode", "weights", "expected"),
    [
        # squared errors: source 1 (.25 + .25) / 2, source 2 (0 + .25) / 2
        pytest.param("mse", None, 0.5 * 0.25 + 0.5 * 0.125, id="mse_equal"),
        pytest.param("mse", [[0.9, 0.1]], 0.9 * 0.25 + 0.1 * 0.125, id="mse_weighted"),
        # maximum (.5, 1): errors 0 and .5
        pytest.param("max", None, 0.25, id="max"),
    ],
)
def test_hand_computed_values(mode: str, weights: list | None, expected: float) -> None:
    given = None if weights is None else torch.tensor(weights)
    assert float(fusion_intensity_loss(FUSED, SOURCES, mode, given)) == pytest.approx(expected)


def test_mse_equals_a_loop_over_images_and_sources() -> None:
    fused, sources, weights = torch.rand(3, 1, 4, 5), torch.rand(3, 4, 4, 5), torch.rand(3, 4)
    expected = sum(
        weights[b, n] * torch.nn.functional.mse_loss(sources[b, n], fused[b, 0]) for b in range(3) for n in range(4)
    )
    assert torch.allclose(fusion_intensity_loss(fused, sources, "mse", weights), expected / 3)


def test_the_pixelwise_maximum_costs_nothing_with_max_and_the_mean_least_with_mse() -> None:
    sources = torch.rand(2, 3, 6, 6)
    assert fusion_intensity_loss(sources.amax(1, keepdim=True), sources, "max") == 0
    mean = sources.mean(1, keepdim=True)
    assert fusion_intensity_loss(mean, sources) < fusion_intensity_loss(mean + 0.01, sources)


def test_the_module_does_the_same() -> None:
    for mode in ("mse", "max"):
        assert FusionIntensityLoss(mode)(FUSED, SOURCES) == fusion_intensity_loss(FUSED, SOURCES, mode)


@pytest.mark.parametrize("mode", ["mse", "max"])
def test_gradients_and_autocast(mode: str) -> None:
    fused, sources = torch.rand(2, 1, 3, 4, dtype=torch.float64), torch.rand(2, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: fusion_intensity_loss(f, sources, mode), (fused.requires_grad_(),))
    plain = fusion_intensity_loss(fused.float(), sources.float(), mode)
    with torch.autocast("cpu", torch.bfloat16):
        loss = fusion_intensity_loss(fused.float(), sources.float(), mode)
        assert fusion_intensity_loss(fused.bfloat16(), sources.bfloat16(), mode).dtype == torch.float32
    assert loss.dtype == torch.float32 and torch.equal(loss, plain)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mode is 'l2', choose one of \['mse', 'max'\]"):
        fusion_intensity_loss(FUSED, SOURCES, "l2")
    with pytest.raises(ValueError, match="weights go with mode 'mse' only"):
        fusion_intensity_loss(FUSED, SOURCES, "max", torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"weights have shape \(1, 3\)"):
        fusion_intensity_loss(FUSED, SOURCES, "mse", torch.ones(1, 3))
