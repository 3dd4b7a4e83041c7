import copy

import pytest
import torch
from scripts.backbones import make_backbone
from scripts.network import MRNet
from scripts.slice_head import SliceHead
from torch import Tensor

SIZE = 64


def exams(size: int = SIZE) -> list[Tensor]:
    """Three exams of 2, 5 and 3 slices."""
    return [torch.rand(1, count, size, size) for count in (2, 5, 3)]


def padded(images: list[Tensor]) -> Tensor:
    length = max(image.shape[1] for image in images)
    return torch.cat([torch.nn.functional.pad(image, (0, 0, 0, 0, 0, length - image.shape[1])) for image in images])


def calibrated(name: str, pooling: str = "max", head: str = "linear") -> MRNet:
    return MRNet(make_backbone(name).calibrate(torch.rand(4, 1, SIZE, SIZE)), head=head, pooling=pooling)


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_padded_batch_equals_one_exam_at_a_time(name: str, pooling: str) -> None:
    network, images = calibrated(name, pooling).eval(), exams()
    with torch.no_grad():
        alone = torch.cat([network(image) for image in images])
        assert torch.allclose(network(padded(images)), alone, rtol=0, atol=1e-6)
    assert alone.std() > 1e-4


@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_gradient_of_a_padded_batch_is_the_sum_over_exams(pooling: str) -> None:
    network, images = calibrated("resnet18", pooling, "mlp").eval().double(), [image.double() for image in exams(32)]
    twin = copy.deepcopy(network)
    network(padded(images)).sum().backward()
    for image in images:
        twin(image).sum().backward()
    for (name, one), other in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        assert (one.grad - other.grad).abs().max() <= 1e-6 * max(1, float(other.grad.abs().max())), name


def test_equals_a_loop_over_slices() -> None:
    network, image = calibrated("alexnet").eval(), torch.rand(1, 4, SIZE, SIZE)
    pooled = torch.stack([network.backbone(one[None, None]).mean((2, 3))[0] for one in image[0]]).amax(0)
    assert torch.allclose(network(image)[0], network.head.classifier(pooled), atol=1e-6)


def test_head_on_stored_features_equals_the_network() -> None:
    network, image = calibrated("alexnet").eval(), padded(exams())
    assert torch.equal(network.head(network.slice_features(image)), network(image))


def test_statistics_stay_in_training() -> None:
    network = calibrated("resnet18")
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    network.train()(padded(exams())).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())
    assert network.head.training and next(network.backbone.parameters()).grad is not None


def test_frozen_backbone_gets_no_gradient_and_keeps_no_graph() -> None:
    network = MRNet("alexnet", freeze_backbone=True)
    assert not network.slice_features(torch.rand(1, 2, SIZE, SIZE)).requires_grad
    network(torch.rand(1, 2, SIZE, SIZE)).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is not None] == [
        "head.classifier.1.weight",
        "head.classifier.1.bias",
    ]


def test_default_is_efficientnet_lite0() -> None:
    assert MRNet().backbone.name == "efficientnet_lite0"


@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_torchscript_equals_eager(pooling: str) -> None:
    network, image = calibrated("alexnet", pooling, "mlp").eval(), padded(exams())
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(network)(image), network(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_torch_export_takes_any_number_of_exams_and_slices(pooling: str) -> None:
    network, image = calibrated("alexnet", pooling).eval(), padded(exams())
    dims = ({0: torch.export.Dim("exams"), 1: torch.export.Dim("slices")},)
    program = torch.export.export(network, (torch.rand(2, 3, SIZE, SIZE),), dynamic_shapes=dims)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), network(image), rtol=0, atol=1e-5)


def test_head_of_another_width_is_an_error() -> None:
    with pytest.raises(ValueError, match="MRNet: head takes 7 features and backbone alexnet gives 256"):
        MRNet("alexnet", head=SliceHead(7))
