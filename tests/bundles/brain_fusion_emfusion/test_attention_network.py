import pytest
import torch
from scripts.attention_network import AttentionFusionNet, AttentionGate, ConvBlock
from torch import nn

NORMS = [pytest.param("none", id="none"), pytest.param("instance", id="instance")]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [(5, 5), (7, 12), (33, 50), (64, 64)])
def test_any_size_from_5_on_is_kept(norm: str, size: tuple[int, int]) -> None:
    fused = AttentionFusionNet(norm=norm)(torch.rand(2, 2, *size))
    assert fused.shape == (2, 1, *size)
    assert 0 < fused.min() and fused.max() < 1


@pytest.mark.parametrize(
    ("in_channels", "features"),
    [
        pytest.param(4, (8, 16, 32), id="four_images"),
        pytest.param(2, (4, 8), id="two_scales"),
        pytest.param(2, [4, 4, 8, 8], id="four_scales"),
    ],
)
def test_number_of_images_and_scales(in_channels: int, features: tuple) -> None:
    network = AttentionFusionNet(in_channels, features)
    assert network(torch.rand(1, in_channels, 17, 20)).shape == (1, 1, 17, 20)
    assert len(network.encoder) == len(features) == len(network.decoder) + 1


@pytest.mark.parametrize("norm", NORMS)
def test_training_equals_evaluation_for_one_image_and_for_a_batch(norm: str) -> None:
    # batch normalisation breaks both: other values in evaluation, and images that depend on each other
    network = AttentionFusionNet(norm=norm)
    image = torch.rand(3, 2, 20, 20)
    training = network.train()(image)
    network.eval()
    assert torch.equal(network(image), training)
    alone = torch.cat([network.train()(image[k : k + 1]) for k in range(3)])
    assert torch.allclose(alone, training, atol=1e-6)


def test_there_is_no_batch_normalisation_and_no_dark_border() -> None:
    modules = list(AttentionFusionNet(norm="instance").modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in modules)
    assert {m.padding_mode for m in modules if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)} == {"reflect"}
    flat = ConvBlock(1, 3)(torch.full((1, 1, 6, 6), 0.7))
    assert torch.allclose(flat, flat[..., 3:4, 3:4].expand_as(flat), atol=1e-6)


def test_the_gate_is_resampled_to_the_skip_connection_and_weighs_each_pixel_by_0_to_1() -> None:
    gate = AttentionGate(6, 4, 2)
    skip = torch.rand(2, 4, 11, 9)
    for size in ((11, 9), (6, 5), (1, 1)):
        alpha = gate(torch.rand(2, 6, *size), skip) / skip
        assert torch.allclose(alpha, alpha[:, :1].expand_as(alpha), atol=1e-5)  # one weight for all channels
        assert 0 < alpha.min() and alpha.max() < 1


def test_the_gate_equals_its_equations_written_out() -> None:
    gate, g, x = AttentionGate(3, 2, 5), torch.rand(1, 3, 4, 4), torch.rand(1, 2, 4, 4)
    for i, j in ((0, 0), (1, 3)):
        inner = gate.skip.weight[:, :, 0, 0] @ x[0, :, i, j] + gate.gate.weight[:, :, 0, 0] @ g[0, :, i, j]
        q = gate.psi.weight[0, :, 0, 0] @ (inner + gate.gate.bias).clamp(min=0) + gate.psi.bias
        assert torch.allclose(gate(g, x)[0, :, i, j], torch.sigmoid(q) * x[0, :, i, j], atol=1e-6)


def test_every_parameter_gets_a_gradient() -> None:
    network = AttentionFusionNet()
    network(torch.rand(2, 2, 16, 16)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("norm", NORMS)
def test_script_and_export_equal_eager(norm: str) -> None:
    network = AttentionFusionNet(norm=norm).eval()
    scripted = torch.jit.script(network)
    for size in ((16, 16), (13, 22)):
        image = torch.rand(1, 2, *size)
        assert torch.allclose(scripted(image), network(image), atol=1e-6)
        assert torch.allclose(torch.export.export(network, (image,)).module()(image), network(image), atol=1e-6)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"norm is 'batch', choose one of \['none', 'instance'\]"):
        AttentionFusionNet(norm="batch")
    with pytest.raises(ValueError, match=r"features are \(16,\), give one width for each of at least 2 scales"):
        AttentionFusionNet(features=(16,))
    with pytest.raises(ValueError, match="image has 3 channels, in_channels is 2"):
        AttentionFusionNet()(torch.rand(1, 3, 8, 8))
