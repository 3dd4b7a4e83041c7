import numpy as np
import pytest
import torch
from scripts.ha_fusion_network import DepthwiseSeparableBlock, HAFusionNet, SelectiveAggregation
from torch import Tensor, nn
from torch.nn import functional


def drawn(network: nn.Module) -> nn.Module:
    """Random weights everywhere, as after training: the last layer is not 0 any more."""
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 1 / parameter[0].numel() ** 0.5)
    return network


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def naive(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    """The network from its description: two sources or more, three scales, two blocks each."""

    def convolve(name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        padded = functional.pad(x, (kernel.shape[-1] // 2,) * 4, "reflect")
        return functional.conv2d(padded, kernel, weights[f"{name}.bias"], stride, groups=groups)

    def block(name: str, x: Tensor, stride: int = 1) -> Tensor:
        each = leaky(convolve(f"{name}.depthwise", x, stride, groups=x.shape[1]))
        y = leaky(convolve(f"{name}.pointwise", each))
        return x + y if x.shape == y.shape else y

    full = block("stages.0.1", block("stages.0.0", image))
    half = block("stages.1.1", block("stages.1.0", full, stride=2))
    quarter = block("stages.2.1", block("stages.2.0", half, stride=2))
    maps = [convolve(f"laterals.{k}", x) for k, x in enumerate((full, half, quarter))]
    parts = {name.removeprefix("aggregation."): value.numpy() for name, value in weights.items()}
    maps = [torch.from_numpy(one) for one in naive_aggregation(parts, [one.numpy() for one in maps])]
    total = maps[2]
    for finer in (maps[1], maps[0]):
        total = finer + functional.interpolate(total, finer.shape[2:], mode="bilinear", align_corners=False)
    head = leaky(convolve("head.0", leaky(convolve("smooth", torch.cat([total, image], 1)))))
    start = image.max(1, keepdim=True).values.clamp(0.02, 0.98)
    return 1 / (1 + torch.exp(-convolve("head.2", head)) * (1 - start) / start)


def naive_aggregation(weights: dict[str, np.ndarray], maps: list[np.ndarray]) -> list[np.ndarray]:
    """Weights of each scale, case by case and channel by channel."""
    result = [np.empty_like(one) for one in maps]
    scales, channels = len(maps), maps[0].shape[1]
    for b in range(len(maps[0])):
        s = sum(one[b].mean((1, 2)) for one in maps)
        z = np.maximum(weights["squeeze.weight"] @ s + weights["squeeze.bias"], 0)
        logits = weights["select.weight"] @ z + weights["select.bias"]
        for c in range(channels):
            scores = np.exp([logits[scale * channels + c] for scale in range(scales)])
            for scale in range(scales):
                result[scale][b, c] = scales * scores[scale] / scores.sum() * maps[scale][b, c]
    return result


@pytest.mark.parametrize("size", [(9, 14), (16, 12)])
@pytest.mark.parametrize("count", [2, 3])
def test_it_equals_the_description_written_out(count: int, size: tuple[int, int]) -> None:
    network = drawn(HAFusionNet(count)).double()
    image = torch.rand(2, count, *size, dtype=torch.float64)
    with torch.no_grad():
        fused = network(image)
        assert (fused - image.amax(1, keepdim=True)).abs().mean() > 0.02  # more than the maximum is compared
        assert torch.allclose(fused, naive(network.state_dict(), image), atol=1e-12)


def test_it_is_light() -> None:
    parameters = sum(p.numel() for p in HAFusionNet().parameters())
    assert parameters == 22_525
    assert parameters < 60_000


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("size", [(5, 5), (45, 39), (50, 62), (64, 64)])
def test_an_untrained_network_is_the_pixelwise_maximum_at_any_size(count: int, size: tuple[int, int]) -> None:
    # maps enlarged by a fixed factor of 2 and 4 fit neither each other nor the image at 45 x 39
    image = torch.rand(2, count, *size)
    image[0, :, :2] = torch.tensor([0.0, 1.0])[:, None]  # both ends, whose logit is infinite
    fused = HAFusionNet(count)(image)
    assert fused.shape == (2, 1, *size)
    assert torch.allclose(fused, image.amax(1, keepdim=True).clamp(0.02, 0.98), atol=1e-6)


@pytest.mark.parametrize("size", [(45, 39), (7, 5), (64, 64)])
def test_each_scale_has_its_size_and_the_sum_has_that_of_the_image(size: tuple[int, int]) -> None:
    network = drawn(HAFusionNet())
    sizes: list[tuple[int, ...]] = []
    hooked = [*network.laterals, network.smooth]
    for module in hooked:
        module.register_forward_hook(lambda _, args, __: sizes.append(tuple(args[0].shape[2:])))
    assert network(torch.rand(1, 2, *size)).shape == (1, 1, *size)
    halves = [tuple(-(-side // factor) for side in size) for factor in (1, 2, 4)]
    assert sizes == [*halves, size]


def test_the_full_resolution_stage_feeds_the_finest_map_of_the_pyramid() -> None:
    # with one scale alone, a pixel of the result sees only as far as that scale does: a pyramid in the wrong order,
    # or one that takes the quarter size for the finest map, sees farther
    reach = []
    for scale in range(3):
        network = drawn(HAFusionNet()).double()
        with torch.no_grad():
            for parameter in (network.aggregation.select.weight, network.aggregation.select.bias):
                parameter.zero_()  # no weight depends on the whole image
            for k, lateral in enumerate(network.laterals):
                if k != scale:
                    lateral.weight.zero_()
        image = torch.rand(1, 2, 81, 81, dtype=torch.float64, requires_grad=True)
        network(image)[0, 0, 40, 40].backward()
        rows = image.grad[0].abs().sum((0, 2)).nonzero()
        reach.append((40 - int(rows.min()), int(rows.max()) - 40))
    assert reach[0] == (5, 5)  # two blocks, the smoothing and two convolutions of the head, 1 pixel each
    assert sum(reach[0]) < sum(reach[1]) < sum(reach[2])


def test_every_scale_takes_part() -> None:
    network = drawn(HAFusionNet())
    image = torch.rand(1, 2, 20, 20)
    before = network(image)
    for lateral in network.laterals:
        kept = lateral.weight.detach().clone()
        with torch.no_grad():
            lateral.weight.zero_()
        assert (network(image) - before).abs().max() > 1e-4
        with torch.no_grad():
            lateral.weight.copy_(kept)


def test_aggregation_equals_its_equations_written_out() -> None:
    aggregation = drawn(SelectiveAggregation(6, 3)).double()
    maps = [torch.randn(2, 6, *size, dtype=torch.float64) for size in ((8, 6), (4, 3), (2, 2))]
    with torch.no_grad():
        found = aggregation(maps)
    weights = {name: value.numpy() for name, value in aggregation.state_dict().items()}
    for one, expected in zip(found, naive_aggregation(weights, [one.numpy() for one in maps]), strict=True):
        np.testing.assert_allclose(one.numpy(), expected, atol=1e-12)


def test_weights_of_a_channel_sum_to_the_number_of_scales_and_differ() -> None:
    aggregation = drawn(SelectiveAggregation(6, 3))
    maps = [torch.rand(2, 6, *size) + 0.5 for size in ((8, 6), (4, 3), (2, 2))]
    weights = torch.stack([(new / old)[..., 0, 0] for new, old in zip(aggregation(maps), maps, strict=True)])
    assert torch.allclose(weights.sum(0), torch.full((2, 6), 3.0), atol=1e-5)
    assert weights.std(0).min() > 0.01


def test_an_undecided_aggregation_passes_what_it_gets() -> None:
    aggregation = SelectiveAggregation(6, 2)
    for parameter in aggregation.select.parameters():
        nn.init.zeros_(parameter)
    maps = [torch.rand(2, 6, 8, 6), torch.rand(2, 6, 4, 3)]
    for new, old in zip(aggregation(maps), maps, strict=True):
        assert torch.allclose(new, old, atol=1e-6)


def test_the_first_convolution_of_a_block_sees_each_channel_by_itself() -> None:
    block = DepthwiseSeparableBlock(6, 10, multiplier=3)
    shapes = {name: tuple(value.shape) for name, value in block.state_dict().items()}
    assert shapes == {
        "depthwise.weight": (18, 1, 3, 3),
        "depthwise.bias": (18,),
        "pointwise.weight": (10, 18, 1, 1),
        "pointwise.bias": (10,),
    }
    for k in range(18):
        image = torch.rand(1, 6, 5, 5, requires_grad=True)
        block.depthwise(image)[0, k].sum().backward()
        assert image.grad.abs().sum((0, 2, 3)).nonzero().ravel().tolist() == [k // 3]


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "added"),
    [
        pytest.param(6, 6, 1, True, id="same_shape"),
        pytest.param(6, 8, 1, False, id="other_width"),
        pytest.param(6, 6, 2, False, id="other_size"),
    ],
)
def test_the_input_is_added_where_shapes_fit(in_channels: int, out_channels: int, stride: int, added: bool) -> None:
    block = DepthwiseSeparableBlock(in_channels, out_channels, stride)
    for parameter in block.pointwise.parameters():
        nn.init.zeros_(parameter)
    image = torch.rand(2, in_channels, 7, 6)
    result = block(image)
    assert result.shape == (2, out_channels, -(-7 // stride), -(-6 // stride))
    assert torch.equal(result, image) if added else not result.any()


def test_images_of_a_batch_do_not_see_each_other_and_training_equals_evaluation() -> None:
    network = drawn(HAFusionNet())
    assert not any("Norm" in type(module).__name__ for module in network.modules())
    image = torch.rand(3, 2, 13, 10)
    alone = torch.cat([network.train()(image[k : k + 1]) for k in range(3)])
    assert torch.allclose(network(image), alone, atol=1e-5)
    assert torch.equal(network(image), network.eval()(image))


def test_a_flat_image_gets_no_frame() -> None:
    fused = drawn(HAFusionNet())(torch.full((1, 2, 21, 18), 0.4))
    assert torch.allclose(fused, fused[..., 9:10, 9:10].expand_as(fused), atol=1e-5)


def test_every_parameter_gets_a_gradient_after_the_first_step() -> None:
    network = HAFusionNet()
    image = torch.rand(2, 2, 20, 20)
    nn.init.normal_(network.head[-1].weight, std=0.01)  # 0 at the start: nothing before it has a gradient yet
    network(image).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_is_kept(dtype: torch.dtype) -> None:
    assert HAFusionNet().to(dtype)(torch.rand(1, 2, 8, 8).to(dtype)).dtype == dtype


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("count", [2, 4])
def test_script_trace_and_export_equal_eager(count: int) -> None:
    network = drawn(HAFusionNet(count)).eval()
    example = torch.rand(1, count, 16, 16)
    scripted, traced = torch.jit.script(network), torch.jit.trace(network, example)
    exported = torch.export.export(network, (example,)).module()
    for other in (scripted, traced, exported):
        assert torch.allclose(other(example), network(example), atol=1e-5)
    image = torch.rand(2, count, 45, 39)
    assert torch.allclose(scripted(image), network(image), atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"features": (8, 12), "blocks": (0, 2)}, {"features": (4, 4, 8, 8), "blocks": [1] * 4}]
)
def test_number_of_scales_and_blocks(settings: dict) -> None:
    network = drawn(HAFusionNet(pyramid_channels=8, **settings))
    assert network(torch.rand(1, 2, 19, 22)).shape == (1, 1, 19, 22)
    assert [len(stage) - 1 for stage in network.stages] == list(settings["blocks"])


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="image has 3 channels, in_channels is 2; stack as many images"):
        HAFusionNet()(torch.rand(1, 3, 8, 8))
