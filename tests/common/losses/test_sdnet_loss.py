import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from torch import Tensor

from common.losses import SDNetLoss, adaptive_gradient_loss
from common.losses.sdnet_loss import strongest_source

LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=float)
GAUSS = np.array([[0.0947, 0.1183, 0.0947], [0.1183, 0.1478, 0.1183], [0.0947, 0.1183, 0.0947]])


def filtered(image: Tensor, *kernels: np.ndarray) -> Tensor:
    """Convolution of every image with the kernels, one after the other; the border pixel repeated."""
    found = image.double().numpy()
    for kernel in kernels:
        found = convolve(found, kernel[None, None], mode="nearest")
    return torch.from_numpy(found)


def spike(value: float = 1.0) -> Tensor:
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = value
    return image


@pytest.mark.parametrize("count", [2, 3])
def test_the_edges_equal_the_description_written_out(count: int) -> None:
    fused, sources = torch.rand(2, 1, 8, 7), torch.rand(2, count, 8, 7)
    score = filtered(sources, GAUSS, LAPLACE).abs()
    chosen = score == score.amax(1, keepdim=True)
    assert torch.equal(chosen.sum(1), torch.ones(2, 8, 7, dtype=torch.int64))  # no ties in random images
    expected = (chosen * (filtered(fused, LAPLACE) - filtered(sources, LAPLACE)).square()).sum(1).mean()
    assert torch.allclose(adaptive_gradient_loss(fused, sources).double(), expected, rtol=1e-5)


@pytest.mark.parametrize("order", [pytest.param((0, 1), id="first"), pytest.param((1, 0), id="second")])
def test_one_bright_pixel_missing_from_the_fused_image_costs_20_of_25(order: tuple[int, int]) -> None:
    # its Laplacian is -4 there and 1 at the four sides; the other source is flat
    sources = torch.cat([spike(), torch.zeros(1, 1, 5, 5)], 1)[:, list(order)]
    assert float(adaptive_gradient_loss(torch.zeros(1, 1, 5, 5), sources)) == pytest.approx(20 / 25)
    assert float(adaptive_gradient_loss(spike(), sources)) == pytest.approx(0)
    assert float(adaptive_gradient_loss(spike(0.5), sources)) == pytest.approx(5 / 25)


def test_each_pixel_follows_the_source_with_the_stronger_edge() -> None:
    sources = torch.zeros(1, 2, 6, 12)
    sources[:, 0, :, 3:] = 0.3  # a weak step on the left
    sources[:, 1, :, 9:] = 0.8  # a strong one on the right
    chosen = strongest_source(sources)
    assert chosen.shape == (1, 1, 6, 12)
    assert chosen[0, 0, 0].tolist() == [0] * 7 + [1] * 4 + [0]  # as far as the low pass carries; ties to the first
    assert torch.equal(strongest_source(sources.flip(1))[..., 1:5], torch.ones(1, 1, 6, 4, dtype=torch.int64))


def test_noise_that_the_low_pass_removes_is_not_taken_for_an_edge() -> None:
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    noise = 0.1 * ((rows + columns) % 2)  # |Laplacian| 0.4, after the low pass 0.02
    edge = 0.15 * (columns // 2 == 2)  # 0.15, after the low pass 0.06
    sources = torch.stack([noise, edge])[None]
    assert filtered(sources, LAPLACE).abs().argmax(1)[0, 4, 4] == 0  # without the low pass
    assert strongest_source(sources)[0, 0, 4, 4] == 1


def test_equal_sources_go_to_the_first() -> None:
    assert not strongest_source(torch.rand(1, 1, 6, 6).expand(1, 3, 6, 6)).any()


def test_gray_level_alone_is_no_edge_also_at_the_border() -> None:
    # zeros around the image would make one
    fused, sources = torch.full((1, 1, 6, 6), 0.2), torch.full((1, 2, 6, 6), 0.9)
    assert float(adaptive_gradient_loss(fused, sources)) == 0
    fused, sources = torch.rand(1, 1, 6, 6).double(), torch.rand(1, 2, 6, 6).double()
    moved = adaptive_gradient_loss(fused + 0.5, sources - 0.25)
    assert torch.allclose(moved, adaptive_gradient_loss(fused, sources))


def test_flat_images_give_the_squared_errors_in_minus_1_to_1() -> None:
    sources = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    output = torch.tensor([0.75, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    loss = SDNetLoss()
    # fused 0.5 to 1 and -1: 0.25 + 0.5 * 2.25; decoded 0 to 1 and -1 to -1: 1
    assert float(loss(output, sources)) == pytest.approx(0.25 + 1.125 + 1)
    expected = {"intensity": 1.375, "gradient": 0.0, "decomposition": 1.0}
    assert {name: float(term) for name, term in loss.terms.items()} == pytest.approx(expected)


def test_it_is_intensity_and_10_edges_and_decomposition() -> None:
    output, sources = torch.rand(2, 3, 8, 9), torch.rand(2, 2, 8, 9)
    fused, decoded = output[:, :1], output[:, 1:]
    intensity = 4 * ((fused - sources[:, :1]) ** 2).mean() + 0.5 * 4 * ((fused - sources[:, 1:]) ** 2).mean()
    gradient = 4 * adaptive_gradient_loss(fused, sources)
    decomposition = (
        4 * ((decoded[:, 0] - sources[:, 0]) ** 2).mean() + 4 * ((decoded[:, 1] - sources[:, 1]) ** 2).mean()
    )
    loss = SDNetLoss()
    assert torch.allclose(loss(output, sources), intensity + 10 * gradient + decomposition)
    assert set(loss.terms) == {"intensity", "gradient", "decomposition"}
    for name, term in {"intensity": intensity, "gradient": gradient, "decomposition": decomposition}.items():
        assert torch.allclose(loss.terms[name], term)


def test_the_weights_can_be_set_for_any_number_of_sources() -> None:
    output, sources = torch.rand(1, 4, 6, 6), torch.rand(1, 3, 6, 6)
    weights = [3.0, 0.0, 0.25]
    errors = 4 * (output[:, :1] - sources).square().mean(dim=(0, 2, 3))
    found = SDNetLoss(intensity=weights, gradient=0, decomposition=0)(output, sources)
    assert torch.allclose(found, 3 * errors[0] + 0.25 * errors[2])
    found = SDNetLoss(intensity=[0, 0, 0], gradient=2, decomposition=0)(output, sources)
    assert torch.allclose(found, 8 * adaptive_gradient_loss(output[:, :1], sources))
    found = SDNetLoss(intensity=[0, 0, 0], gradient=0, decomposition=0.5)(output, sources)
    assert torch.allclose(found, 0.5 * 4 * (output[:, 1:] - sources).square().mean(dim=(0, 2, 3)).sum())


def test_sources_change_places_with_their_weights() -> None:
    output, sources = torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)
    swapped = SDNetLoss(intensity=(0.5, 1.0))(output[:, [0, 2, 1]], sources.flip(1))
    assert torch.allclose(swapped, SDNetLoss()(output, sources))
    assert not torch.allclose(SDNetLoss()(output[:, [0, 2, 1]], sources.flip(1)), swapped)


def test_nothing_is_lost_when_all_images_are_equal() -> None:
    image = torch.rand(2, 1, 8, 8)
    assert float(SDNetLoss()(image.expand(2, 4, 8, 8)[:, :3], image.expand(2, 2, 8, 8))) == 0


def test_the_gradient_reaches_the_fused_image_and_the_decoded_sources() -> None:
    sources = torch.rand(1, 2, 6, 6, dtype=torch.float64)
    output = torch.rand(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: SDNetLoss()(x, sources), (output,))
    for decomposition, reached in ((1.0, [True, True, True]), (0.0, [True, False, False])):
        (slope,) = torch.autograd.grad(SDNetLoss(decomposition=decomposition)(output, sources), output)
        assert [bool(channel.any()) for channel in slope[0]] == reached


def test_autocast_changes_neither_type_nor_value() -> None:
    output, sources = torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)
    plain = SDNetLoss()(output, sources)
    with torch.autocast("cpu", torch.bfloat16):
        loss = SDNetLoss()(output, sources)
    assert loss.dtype == torch.float32 and torch.equal(loss, plain)
    assert SDNetLoss()(output.bfloat16(), sources).dtype == torch.float32


@pytest.mark.parametrize(
    ("output", "sources", "message"),
    [
        pytest.param((1, 1, 8, 8), (1, 2, 8, 8), "the fused image alone; .* with_sources=True", id="fused_alone"),
        pytest.param((1, 4, 8, 8), (1, 2, 8, 8), r"expected \(B, 1 \+ N, H, W\)", id="too_many"),
        pytest.param((3, 8, 8), (2, 8, 8), r"expected \(B, 1 \+ N, H, W\)", id="no_batch"),
        pytest.param((1, 3, 8, 8), (1, 2, 9, 8), "fused has shape", id="size"),
        pytest.param((1, 4, 8, 8), (1, 3, 8, 8), r"intensity is \(1.0, 0.5\) for 3 sources; give one", id="weights"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(output: tuple, sources: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SDNetLoss()(torch.rand(output), torch.rand(sources))
