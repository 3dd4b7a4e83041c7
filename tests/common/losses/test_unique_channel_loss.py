import pytest
import torch

from common.losses import unique_channel_loss


def test_hand_computed_value_of_two_of_three_channels() -> None:
    # errors of the channels: 2, 100 (not chosen), 0.5
    source = torch.zeros(1, 3, 1, 2)
    fused = torch.tensor([[[[1.0, 3.0]], [[100.0, 100.0]], [[0.5, -0.5]]]])
    assert float(unique_channel_loss(fused, source, [0, 2])) == pytest.approx((2 + 0.5) / 2)


def test_every_channel_is_absolute_error_and_none_squared() -> None:
    # absolute errors scale with the features, squared ones with their square
    fused, source = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    for k in range(4):
        one, ten = (unique_channel_loss(f * fused, f * source, [k]) for f in (1, 10))
        assert float(ten) == pytest.approx(10 * float(one), rel=1e-5)
    expected = sum(torch.nn.functional.l1_loss(fused[:, k], source[:, k]) for k in (3, 1)) / 2
    assert torch.allclose(unique_channel_loss(fused, source, torch.tensor([3, 1])), expected)


def test_no_channels_given_means_all_of_them() -> None:
    fused, source = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    assert torch.allclose(unique_channel_loss(fused, source), unique_channel_loss(fused, source, range(4)))
    assert unique_channel_loss(source, source) == 0


def test_gradients_and_half_precision() -> None:
    fused, source = torch.rand(1, 3, 2, 2, dtype=torch.float64), torch.rand(1, 3, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: unique_channel_loss(f, source, [2, 0]), (fused.requires_grad_(),))
    assert unique_channel_loss(fused.bfloat16(), source.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    "channels", [pytest.param([], id="none"), pytest.param([0, 3], id="high"), pytest.param([-1], id="negative")]
)
def test_channels_that_do_not_exist_are_refused(channels: list) -> None:
    with pytest.raises(ValueError, match=r"expected indices in 0\.\.2"):
        unique_channel_loss(torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2), channels)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(1, 3, 2, 2\) and \(1, 4, 2, 2\)"):
        unique_channel_loss(torch.rand(1, 3, 2, 2), torch.rand(1, 4, 2, 2))
