import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import ResNet
from scripts.network import initialize

CONFIGS = Path(__file__).parents[3] / "bundles/lung_ct_resnet3d/configs"


def network(*overrides: str, **ids: object) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("inference.json", *overrides)])
    parser.update(ids)
    return parser.get_parsed_content("network_def")


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("override", "parameters"),
    [
        pytest.param("resnet18.json", 33_161_026, id="18"),
        pytest.param("resnet34.json", 63_470_658, id="34"),
        pytest.param("resnet50.json", 46_159_170, id="50"),
    ],
)
def test_full_width_networks_have_the_known_size(override: str, parameters: int) -> None:
    with torch.device("meta"):
        assert count(network(override)) == parameters


def test_the_default_fits_into_a_file_of_25_mb() -> None:
    assert 4 * count(network()) < 25e6


def test_the_first_convolution_halves_the_volume() -> None:
    # MONAI's default stride of 1 costs 8.4 times as much
    assert network().conv1.stride == (2, 2, 2)


@pytest.mark.parametrize("num_classes", [1, 3])
def test_any_number_of_classes_and_channels(num_classes: int) -> None:
    output = network(num_classes=num_classes, in_channels=2).eval()(torch.zeros(2, 2, 32, 32, 32))
    assert output.shape == (2, num_classes)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_zero_initialised_residual_branches_pass_the_identity(block: str) -> None:
    net = ResNet(block, [1, 1, 1, 1], [4, 4, 4, 4], n_input_channels=1, num_classes=2, bias_downsample=False)
    initialize(net, zero_init_residual=True).eval()
    block_in = torch.rand(1, net.layer1[0].conv1.in_channels, 4, 4, 4)
    skip = net.layer1[0].downsample or torch.nn.Identity()
    assert torch.allclose(net.layer1[0](block_in), torch.relu(skip(block_in)))


def small(num_classes: int = 2, width: int = 4) -> ResNet:
    return ResNet("basic", [1, 1, 1, 1], [width] * 4, n_input_channels=1, num_classes=num_classes)


def test_pretrained_weights_load_under_medicalnet_names_and_skip_another_classifier(tmp_path: Path) -> None:
    source = small(5)
    state = {"state_dict": {f"module.{name}": value for name, value in source.state_dict().items()}}
    torch.save(state, tmp_path / "w.pth")
    target = initialize(small(2), pretrained_path=str(tmp_path / "w.pth"))
    assert torch.equal(target.layer4[0].conv2.weight, source.layer4[0].conv2.weight)
    assert target.fc.weight.shape == (2, 4)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save(small(width=8).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"does not fit the network at conv1.weight and \d+ further"):
        initialize(small(), pretrained_path=str(tmp_path / "w.pt"))
    with pytest.raises(FileNotFoundError, match="pretrained_path .* does not exist"):
        initialize(small(), pretrained_path=str(tmp_path / "absent.pt"))


def test_network_and_preprocessing_are_the_same_in_training_and_inference() -> None:
    train, inference = (json.loads((CONFIGS / f"{name}.json").read_text()) for name in ("train", "inference"))
    shared = set(train) & set(inference) - {"datalist", "network", "initialize", "run"}
    assert {"network_def", "load_transforms", "final_transforms", "window_hu", "image_size"} <= shared
    assert {name for name in shared if train[name] != inference[name]} == set()
