import itertools
from pathlib import Path

import pytest
import torch
from scripts.sdnet import DecodedSDNet, SDNet
from torch import Tensor, nn
from torch.nn import functional

PADDING = {"reflect": "reflect", "zeros": "constant"}


def naive(weights: dict[str, Tensor], image: Tensor, padding_mode: str) -> Tensor:
    """Network and decoder from their description, two sources: padded border, VALID convolution, oldest map first."""

    def convolve(name: str, x: Tensor) -> Tensor:
        kernel = weights[f"{name}.weight"]
        x = functional.pad(x, (kernel.shape[-1] // 2,) * 4, PADDING[padding_mode])
        return functional.conv2d(x, kernel, weights[f"{name}.bias"])

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    maps: dict[str, list[Tensor]] = {"A": [], "B": []}
    for k, source in enumerate("AB"):
        signed = (image[:, k : k + 1] - 0.5) / 0.5
        for layer in range(1, 5):
            seen = signed if layer == 1 else torch.cat(maps[source], 1)
            maps[source].append(leaky(convolve(f"branches.{k}.conv{layer}", seen)))
    ordered = [maps[source][layer] for layer in range(4) for source in "AB"]
    fused = torch.tanh(convolve("squeeze", torch.cat(ordered, 1)))
    images = [fused]
    for k in range(2):
        x = leaky(convolve("spread", fused))
        x = leaky(convolve(f"decoders.{k}.2", leaky(convolve(f"decoders.{k}.0", x))))
        images.append(torch.tanh(convolve(f"decoders.{k}.4", x)))
    return torch.cat(images, 1) / 2 + 0.5


@pytest.mark.parametrize("padding_mode", ["reflect", "zeros"])
def test_it_equals_the_description_written_out(padding_mode: str) -> None:
    network = SDNet(padding_mode=padding_mode).double()
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, std=0.06 if name.endswith("bias") else 1.2 / parameter[0].numel() ** 0.5)
    image = torch.rand(2, 2, 9, 7, dtype=torch.float64)
    output = network(image, with_sources=True)
    assert output.std(dim=(0, 2, 3)).min() > 0.01 and 0.02 < output.min() and output.max() < 0.98  # tanh hides nothing
    assert torch.allclose(output, naive(network.state_dict(), image, padding_mode), atol=1e-12)


@pytest.mark.parametrize("count", [2, 3])
def test_the_squeeze_sees_1a_1b_2a_2b_and_so_on(count: int) -> None:
    # block k of its input is layer k // N of source k % N: it depends on that source alone, on 5 + 2 layer pixels
    network = SDNet(count).double()
    for k in range(4 * count):
        layer, source = divmod(k, count)
        image = torch.rand(1, count, 21, 21, dtype=torch.float64, requires_grad=True)
        with torch.no_grad():
            network.squeeze.weight.zero_()
            network.squeeze.weight[:, 16 * k : 16 * (k + 1)] = torch.rand(1, 16, 1, 1) / 50
        network(image)[0, 0, 10, 10].backward()
        seen, rows, columns = image.grad[0].nonzero().T
        assert seen.unique().tolist() == [source]
        reach = 2 + layer
        assert [int(rows.min()), int(rows.max())] == [10 - reach, 10 + reach]
        assert [int(columns.min()), int(columns.max())] == [10 - reach, 10 + reach]


def test_no_two_sources_share_a_branch_or_a_decoder() -> None:
    network = SDNet(3)
    for parts in (network.branches, network.decoders):
        owned = [id(p) for part in parts for p in part.parameters()]
        assert len(owned) == len(set(owned)) == 3 * len(list(parts[0].parameters()))


@pytest.mark.parametrize("decoded", [1, 2])
def test_a_decoded_source_trains_every_branch(decoded: int) -> None:
    network = SDNet()
    network(torch.rand(1, 2, 12, 12), with_sources=True)[:, decoded].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.branches.parameters())


def test_parameters_have_the_count_and_shapes_of_the_authors() -> None:
    network = SDNet()
    assert sum(value.numel() for value in network.state_dict().values()) == 67_091
    assert network.num_inference_parameters() == 28_705
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items() if name.endswith("weight")}
    expected: dict[str, tuple[int, ...]] = {}
    for k in range(2):
        widths = {1: (1, 5), 2: (16, 3), 3: (32, 3), 4: (48, 3)}
        expected |= {f"branches.{k}.conv{n}.weight": (16, i, side, side) for n, (i, side) in widths.items()}
        expected |= {f"decoders.{k}.{n}.weight": (o, i, 3, 3) for n, i, o in ((0, 128, 16), (2, 16, 4), (4, 4, 1))}
    assert shapes == expected | {"squeeze.weight": (1, 128, 1, 1), "spread.weight": (128, 1, 1, 1)}


def test_fusion_uses_the_counted_parameters_and_training_uses_all() -> None:
    network = SDNet()
    image = torch.rand(2, 2, 16, 16)

    def used(with_sources: bool) -> int:
        network.zero_grad()
        network(image, with_sources).square().sum().backward()
        return sum(p.numel() for p in network.parameters() if p.grad is not None and p.grad.any())

    assert used(False) == network.num_inference_parameters()
    assert used(True) == sum(p.numel() for p in network.parameters())


def test_the_decoder_sees_the_fused_image_alone() -> None:
    network = SDNet()
    first, second = torch.rand(2, 1, 2, 12, 12)
    with torch.no_grad():
        network.squeeze.weight.zero_()
        network.squeeze.bias.fill_(0.3)  # a fused image that holds nothing
    assert torch.equal(network(first, True), network(second, True))


def test_initial_kernels_are_a_normal_cut_at_two_deviations_and_biases_are_0() -> None:
    network = SDNet()
    for name, value in network.state_dict().items():
        if name.endswith("bias"):
            assert not value.any()
        else:
            assert value.abs().max() <= 0.1
    kernel = network.decoders[0][0].weight.detach()
    assert float(kernel.std()) == pytest.approx(0.05 * 0.8796, rel=0.02)  # of the cut normal


@pytest.mark.parametrize("size", [(3, 3), (3, 9), (17, 5), (64, 64)])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_any_size_from_3_on_and_number_of_images(size: tuple[int, int], count: int) -> None:
    network = SDNet(count)
    image = torch.rand(3, count, *size)
    fused, output = network(image), network(image, with_sources=True)
    assert fused.shape == (3, 1, *size) and output.shape == (3, 1 + count, *size)
    assert torch.equal(output[:, :1], fused)
    assert output.min() >= 0 and output.max() <= 1


def test_a_mirrored_border_makes_no_frame_of_a_dark_background_and_zeros_make_one() -> None:
    dark = torch.zeros(1, 2, 16, 16)
    for padding_mode, frame in (("reflect", False), ("zeros", True)):
        output = SDNet(padding_mode=padding_mode)(dark, with_sources=True)
        assert torch.allclose(output, output[..., 8:9, 8:9].expand_as(output), atol=1e-6) is not frame


def test_images_of_a_batch_do_not_see_each_other_and_training_equals_evaluation() -> None:
    network = SDNet()
    image = torch.rand(3, 2, 8, 8)
    alone = torch.cat([network(image[k : k + 1], True) for k in range(3)])
    assert torch.allclose(network(image, True), alone, atol=1e-6)
    assert torch.equal(network(image, True), network.eval()(image, True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_is_kept(dtype: torch.dtype) -> None:
    assert SDNet().to(dtype)(torch.rand(1, 2, 8, 8).to(dtype), True).dtype == dtype


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("count", [2, 3])
def test_script_trace_and_export_equal_eager(count: int) -> None:
    network = SDNet(count).eval()
    example = torch.rand(1, count, 16, 16)
    height, width = torch.export.Dim("height", min=4), torch.export.Dim("width", min=4)
    exported = torch.export.export(network, (example,), dynamic_shapes=({2: height, 3: width},)).module()
    scripted, traced = torch.jit.script(network), torch.jit.trace(network, example)
    image = torch.rand(1, count, 11, 19)
    for other in (scripted, traced, exported):
        assert torch.allclose(other(image), network(image), atol=1e-6)
    assert torch.allclose(scripted(image, True), network(image, True), atol=1e-6)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_onnx_equals_eager(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = SDNet().eval()
    path = str(tmp_path / "sdnet.onnx")
    torch.onnx.export(network, (torch.rand(1, 2, 16, 16),), path, input_names=["image"], dynamo=False)
    image = torch.rand(1, 2, 16, 16)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"image": image.numpy()})
    assert torch.allclose(torch.from_numpy(found), network(image), atol=1e-5)


def test_the_decoded_network_passes_on_the_sources_and_shares_the_parameters() -> None:
    network = SDNet()
    image = torch.rand(2, 2, 8, 8)
    decoded = DecodedSDNet(network)
    assert torch.equal(decoded(image), network(image, with_sources=True))
    pairs = itertools.zip_longest(decoded.parameters(), network.parameters())
    assert all(own is other for own, other in pairs)


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="image has 3 channels, in_channels is 2; stack as many images"):
        SDNet()(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"in_channels": 1}, "in_channels is 1; fusion needs at least 2 images", id="one_image"),
        pytest.param({"padding_mode": "circular"}, "padding_mode is 'circular', choose one of", id="padding"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SDNet(**settings)
