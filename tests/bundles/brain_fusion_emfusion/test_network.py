import pytest
import torch
from scripts.network import EMFusionNet
from torch import Tensor
from torch.nn import functional


def naive(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    """The network from its description: mirrored border, VALID convolution, newest features first."""

    def convolve(name: str, x: Tensor) -> Tensor:
        return functional.conv2d(
            functional.pad(x, (1, 1, 1, 1), "reflect"), weights[f"{name}.weight"], weights[f"{name}.bias"]
        )

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    old = leaky(convolve("conv1", image))
    for name in ("conv2", "conv3", "conv4"):
        old = torch.cat((leaky(convolve(name, old)), old), 1)
    return torch.tanh(convolve("conv8", leaky(convolve("conv7", leaky(convolve("conv6", old)))))) / 2 + 0.5


def test_it_equals_the_description_written_out() -> None:
    network = EMFusionNet().double()
    for parameter in network.parameters():  # biases other than 0
        torch.nn.init.normal_(parameter, std=0.06)
    image = torch.rand(2, 2, 9, 7, dtype=torch.float64)
    fused = network(image)
    assert 0.01 < fused.std() and 0.02 < fused.min() and fused.max() < 0.98  # tanh hides no difference at its ends
    assert torch.allclose(fused, naive(network.state_dict(), image), atol=1e-12)


def test_parameters_have_the_count_names_and_shapes_of_the_authors() -> None:
    network = EMFusionNet()
    assert sum(p.numel() for p in network.parameters()) == 148_545
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items() if name.endswith("weight")}
    widths = {1: (2, 32), 2: (32, 32), 3: (64, 32), 4: (96, 32), 6: (128, 64), 7: (64, 32), 8: (32, 1)}
    assert list(shapes.items()) == [(f"conv{k}.weight", (o, i, 3, 3)) for k, (i, o) in widths.items()]


def test_initial_kernels_are_a_normal_cut_at_two_deviations_and_biases_are_0() -> None:
    for name, value in EMFusionNet().state_dict().items():
        if name.endswith("bias"):
            assert not value.any()
        else:
            assert value.abs().max() <= 0.1
    assert float(EMFusionNet().conv6.weight.detach().std()) == pytest.approx(
        0.05 * 0.8796, rel=0.02
    )  # of the cut normal


@pytest.mark.parametrize("size", [(2, 2), (2, 9), (17, 5), (64, 64)])
@pytest.mark.parametrize("count", [2, 4])
def test_any_size_and_number_of_images(size: tuple[int, int], count: int) -> None:
    fused = EMFusionNet(count)(torch.rand(3, count, *size))
    assert fused.shape == (3, 1, *size)
    assert 0 < fused.min() and fused.max() < 1


def test_a_pixel_depends_on_its_15_by_15_surroundings_alone() -> None:
    network = EMFusionNet(features=4).double()
    image = torch.rand(1, 2, 31, 31, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, 15, 15].backward()
    rows, columns = image.grad[0].abs().sum(0).nonzero().T
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (8, 22, 8, 22)


def test_images_of_a_batch_do_not_see_each_other_and_training_equals_evaluation() -> None:
    network = EMFusionNet()
    image = torch.rand(3, 2, 8, 8)
    alone = torch.cat([network(image[k : k + 1]) for k in range(3)])
    assert torch.allclose(network(image), alone, atol=1e-6)
    assert torch.equal(network(image), network.eval()(image))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_is_kept(dtype: torch.dtype) -> None:
    assert EMFusionNet().to(dtype)(torch.rand(1, 2, 8, 8).to(dtype)).dtype == dtype


def test_script_and_export_equal_eager() -> None:
    network = EMFusionNet().eval()
    scripted = torch.jit.script(network)
    height, width = torch.export.Dim("height", min=4), torch.export.Dim("width", min=4)
    exported = torch.export.export(
        network, (torch.rand(1, 2, 16, 16),), dynamic_shapes=({2: height, 3: width},)
    ).module()
    image = torch.rand(1, 2, 11, 19)
    assert torch.equal(scripted(image), network(image))
    assert torch.allclose(exported(image), network(image), atol=1e-6)


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="image has 3 channels, in_channels is 2; stack as many images"):
        EMFusionNet()(torch.rand(1, 3, 8, 8))
