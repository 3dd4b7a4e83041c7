import pytest
import torch
from torch import Tensor

from common.losses import FusionGradientLoss, fusion_gradient_loss

VERTICAL_STEP = torch.tensor([[0.0, 0, 1, 1]]).expand(4, 4)  # an edge between the second and the third column


def stack(*images: Tensor) -> Tensor:
    return torch.stack(images)[None]


def naive_sobel(image: Tensor) -> Tensor:
    height, width = image.shape
    found = torch.zeros(height - 2, width - 2, dtype=image.dtype)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            across = sum(k * (image[i + d, j + 1] - image[i + d, j - 1]) for d, k in ((-1, 1), (0, 2), (1, 1)))
            down = sum(k * (image[i + 1, j + d] - image[i - 1, j + d]) for d, k in ((-1, 1), (0, 2), (1, 1)))
            found[i - 1, j - 1] = abs(across) + abs(down)
    return found


def test_sobel_equals_a_loop_over_pixels() -> None:
    fused, sources = torch.rand(2, 1, 5, 6).double(), torch.rand(2, 3, 5, 6).double()
    errors = []
    for b in range(2):
        strongest = torch.stack([naive_sobel(sources[b, n]) for n in range(3)]).amax(0)
        errors.append((naive_sobel(fused[b, 0]) - strongest).abs().mean())
    assert torch.allclose(fusion_gradient_loss(fused, sources), torch.stack(errors).mean())


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        pytest.param("sobel", 4.0, id="sobel"),  # 1 + 2 + 1 at both inner columns
        pytest.param("finite_difference", 1 / 3, id="finite_difference"),  # one of three neighbours a row
    ],
)
@pytest.mark.parametrize("turned", [pytest.param(False, id="vertical"), pytest.param(True, id="horizontal")])
def test_a_lost_edge_costs_the_same_in_both_directions(operator: str, expected: float, turned: bool) -> None:
    # a form that lost one of its two terms gives 0 for one of the directions
    edge = VERTICAL_STEP.T if turned else VERTICAL_STEP
    flat = torch.zeros(4, 4)
    assert float(fusion_gradient_loss(stack(flat), stack(edge, flat), operator)) == pytest.approx(expected)
    assert float(fusion_gradient_loss(stack(edge), stack(edge, flat), operator)) == 0


def test_finite_differences_are_the_sum_of_both_directions() -> None:
    fused, sources = torch.rand(2, 1, 5, 7), torch.rand(2, 2, 5, 7)
    terms = []
    for dim in (-1, -2):
        strongest = torch.maximum(sources[:, :1].diff(dim=dim).abs(), sources[:, 1:].diff(dim=dim).abs())
        terms.append(torch.nn.functional.l1_loss(fused.diff(dim=dim).abs(), strongest))
    assert torch.allclose(fusion_gradient_loss(fused, sources, "finite_difference"), terms[0] + terms[1])


@pytest.mark.parametrize("operator", ["sobel", "finite_difference"])
def test_a_bright_border_is_no_edge_and_the_strongest_source_counts(operator: str) -> None:
    bright, flat = torch.ones(4, 4), torch.zeros(4, 4)
    assert fusion_gradient_loss(stack(flat), stack(bright, flat), operator) == 0
    weak = 0.3 * VERTICAL_STEP
    strong = fusion_gradient_loss(stack(VERTICAL_STEP), stack(weak, VERTICAL_STEP), operator)
    assert strong == 0 < fusion_gradient_loss(stack(weak), stack(weak, VERTICAL_STEP), operator)


@pytest.mark.parametrize("operator", ["sobel", "finite_difference"])
def test_gradients_autocast_and_the_module(operator: str) -> None:
    fused, sources = torch.rand(1, 1, 4, 5, dtype=torch.float64), torch.rand(1, 2, 4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: fusion_gradient_loss(f, sources, operator), (fused.requires_grad_(),))
    plain = fusion_gradient_loss(fused.float(), sources.float(), operator)
    with torch.autocast("cpu", torch.bfloat16):
        loss = FusionGradientLoss(operator)(fused.float(), sources.float())
        assert fusion_gradient_loss(fused.bfloat16(), sources, operator).dtype == torch.float64
    assert loss.dtype == torch.float32 and torch.equal(loss, plain)


def test_bad_input_is_refused() -> None:
    fused, sources = torch.rand(1, 1, 2, 4), torch.rand(1, 2, 2, 4)
    with pytest.raises(ValueError, match=r"operator is 'prewitt', choose one of \['sobel', 'finite_difference'\]"):
        fusion_gradient_loss(fused, sources, "prewitt")
    with pytest.raises(ValueError, match="images are 2 x 4, sobel needs at least 3 pixels a side"):
        fusion_gradient_loss(fused, sources)
    assert fusion_gradient_loss(fused, sources, "finite_difference") > 0
