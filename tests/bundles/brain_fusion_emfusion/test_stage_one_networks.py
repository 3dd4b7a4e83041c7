import pytest
import torch
from scripts.stage_one_networks import SOURCES, Autoencoder, ModalityPair, Translator
from torch import Tensor, nn
from torch.nn import functional


def naive(network: nn.Module, image: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Features and output from the description: mirrored border, VALID convolution."""
    weights = list(network.state_dict().values())
    x, features = image, image
    for k in range(6):
        x = functional.conv2d(functional.pad(x, (1, 1, 1, 1), "reflect"), weights[2 * k], weights[2 * k + 1])
        if k < 5:
            x = torch.where(x > 0, x, slope * x)
        if k == 2:
            features = x
    return features, torch.tanh(x) / 2 + 0.5


@pytest.mark.parametrize(
    ("make", "widths", "slope", "parameters"),
    [
        pytest.param(Translator, (32, 64, 96), 0.1, 148_321, id="translator"),
        pytest.param(Autoencoder, (32, 64, 128), 0.2, 185_217, id="autoencoder"),
    ],
)
def test_it_equals_the_description_written_out(make: type, widths: tuple, slope: float, parameters: int) -> None:
    network = make()
    assert sum(p.numel() for p in network.parameters()) == parameters
    shapes = [tuple(value.shape[:2]) for value in network.state_dict().values() if value.ndim == 4]
    one, two, three = widths
    assert shapes == [(one, 1), (two, one), (three, two), (two, three), (one, two), (1, one)]
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.06)
    image = torch.rand(2, 1, 6, 9)
    features, output = naive(network, image, slope)
    assert 0.01 < output.std() and 0.02 < output.min() and output.max() < 0.98  # tanh hides no difference at its ends
    assert torch.allclose(network(image), output, atol=1e-6)
    assert torch.allclose(network.encoder(image), features, atol=1e-5)


def test_a_frozen_encoder_gives_the_chosen_features_in_their_order() -> None:
    network, image = Autoencoder(), torch.rand(2, 1, 8, 8)
    assert network.encode(image).shape == (2, 128, 8, 8)
    frozen = network.frozen_encoder([5, 127, 0])
    assert torch.allclose(frozen(image), network.encode(image)[:, [5, 127, 0]], atol=1e-6)
    assert not frozen.training and not any(p.requires_grad for p in frozen.parameters())
    assert all(p.requires_grad for p in network.parameters())


def test_a_pair_applies_each_network_to_the_channel_of_its_source() -> None:
    pair, image = ModalityPair(Translator), torch.rand(2, 2, 6, 6)
    for channel, name in enumerate(SOURCES):
        expected = pair[name](image[:, channel : channel + 1])
        assert torch.allclose(pair(image)[:, channel : channel + 1], expected, atol=1e-6)
    assert not torch.allclose(pair["mri"](image[:, :1]), pair["functional"](image[:, :1]))
