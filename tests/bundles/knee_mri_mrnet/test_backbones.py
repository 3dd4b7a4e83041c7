import time

import pytest
import torch
from scripts.backbones import BACKBONES, fold_first_convolution, make_backbone
from torch import Tensor, nn

NAMES = list(BACKBONES)


def gray(count: int = 2, size: int = 64) -> Tensor:
    return torch.rand(count, 1, size, size)


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_feature_map_of_num_features(name: str) -> None:
    backbone = make_backbone(name)
    feature_map = backbone(gray())
    assert feature_map.shape[:2] == (2, backbone.num_features) and feature_map.ndim == 4


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [pytest.param("alexnet", torch.float32, 1e-5, id="alexnet-float32")]
    + [pytest.param(name, torch.float64, 1e-10, id=name) for name in NAMES],
)
def test_folding_equals_a_gray_image_repeated_three_times(name: str, dtype: torch.dtype, tolerance: float) -> None:
    image = gray().to(dtype)
    wide = make_backbone(name, in_channels=3).to(dtype).calibrate(image.repeat(1, 3, 1, 1))
    with torch.no_grad():
        expected = wide(image.repeat(1, 3, 1, 1))
        folded = fold_first_convolution(wide)(image)
    assert expected.std() > 0.01
    assert torch.allclose(folded, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_lite0"])
def test_folded_first_convolution_is_faster(name: str) -> None:
    def seconds(convolution: nn.Module, image: Tensor) -> float:
        took = []
        for _ in range(7):
            start = time.process_time()
            convolution(image)
            took.append(time.process_time() - start)
        return min(took)

    backbone, image = make_backbone(name, in_channels=3), gray(8, 256)
    first = next(module for module in backbone.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        slow = seconds(first, image.repeat(1, 3, 1, 1))
        fold_first_convolution(backbone)
        assert seconds(first, image) < 0.85 * slow


def test_alexnet_has_the_names_and_size_of_the_checkpoint() -> None:
    backbone = make_backbone("alexnet", in_channels=3)
    names = [f"features.{place}.{kind}" for place in (0, 3, 6, 8, 10) for kind in ("weight", "bias")]
    assert list(backbone.state_dict()) == names
    assert sum(p.numel() for p in backbone.parameters()) == 2_469_696
    assert backbone(torch.rand(1, 3, 256, 256)).shape == (1, 256, 7, 7)


def test_lite0_has_the_size_of_the_checkpoint_less_its_classifier() -> None:
    tensors = make_backbone("efficientnet_lite0", in_channels=3).state_dict().values()
    assert (len(tensors), sum(t.numel() for t in tensors)) == (294, 4_694_073 - 1280 * 1000 - 1000)


def test_lite0_has_no_swish() -> None:
    names = {type(module).__name__ for module in make_backbone("efficientnet_lite0").modules()}
    assert "ReLU6" in names and not names & {"Swish", "MemoryEfficientSwish"}


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        pytest.param("alexnet", 58.09 / 255, 49.73 / 255, id="alexnet-mrnet-training-set"),
        pytest.param("efficientnet_lite0", 127 / 255, 128 / 255, id="lite0"),
        pytest.param("resnet18", 0.485, 0.229, id="resnet18-imagenet"),
    ],
)
def test_normalises_by_the_stated_mean_and_deviation(name: str, mean: float, std: float) -> None:
    backbone, image = make_backbone(name).calibrate(gray()), gray()
    assert (backbone.mean, backbone.std) == pytest.approx((mean, std))
    assert torch.equal(backbone(image), backbone.features((image - mean) / std))


def test_statistics_stay_in_training() -> None:
    backbone = make_backbone("resnet18").calibrate(gray())
    before, image = {name: value.clone() for name, value in backbone.state_dict().items()}, gray()
    expected = backbone(image)
    nn.Sequential(backbone).train()
    assert torch.equal(backbone(image), expected)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_calibration_equals_the_statistics_of_the_slices(name: str) -> None:
    backbone, image = make_backbone(name), gray(4)
    norm = next(module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone.calibrate(image)
    assert torch.allclose(norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(norm.running_var, seen[0].transpose(0, 1).flatten(1).var(1), rtol=1e-4)
    assert norm.momentum is not None and not norm.training


def test_slice_features_equal_the_pooled_map_of_each_slice() -> None:
    backbone, exams = make_backbone("alexnet"), torch.rand(2, 3, 64, 64)
    exams[1, 2] = 0
    features = backbone.slice_features(exams)
    assert features.shape == (2, 3, 256)
    for exam, row in zip(exams, features, strict=True):
        for one, vector in zip(exam, row, strict=True):
            expected = backbone(one[None, None]).mean((2, 3))[0] * bool(one.any())
            assert torch.allclose(vector, expected, atol=1e-6)


def test_frozen_backbone_keeps_no_graph() -> None:
    assert make_backbone("alexnet").slice_features(torch.rand(1, 2, 64, 64)).requires_grad
    assert not make_backbone("alexnet").freeze().slice_features(torch.rand(1, 2, 64, 64)).requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_torchscript_equals_eager(name: str) -> None:
    backbone, image = make_backbone(name).calibrate(gray()), gray()
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(backbone)(image), backbone(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_lite0", "resnet18"])
def test_torch_export_takes_any_number_of_slices(name: str) -> None:
    backbone = make_backbone(name).calibrate(gray())
    program = torch.export.export(backbone, (gray(),), dynamic_shapes=({0: torch.export.Dim("n")},))
    image = gray(5)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), backbone(image), rtol=0, atol=1e-5)


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="make_backbone: name is 'vgg16', and known are .*alexnet"):
        make_backbone("vgg16")
