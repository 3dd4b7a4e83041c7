import pytest
import torch

from common.losses.fusion_inputs import fusion_inputs, source_weights_or_mean


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(torch.float16, torch.float32, id="half"),
        pytest.param(torch.bfloat16, torch.float32, id="bfloat16"),
        pytest.param(torch.float32, torch.float32, id="single"),
        pytest.param(torch.float64, torch.float64, id="double"),
    ],
)
def test_half_precision_is_widened_and_the_rest_kept(given: torch.dtype, expected: torch.dtype) -> None:
    fused, sources = fusion_inputs("loss", torch.rand(1, 1, 3, 3).to(given), torch.rand(1, 2, 3, 3).to(given))
    assert fused.dtype == sources.dtype == expected


def test_weights_are_equal_by_default() -> None:
    sources = torch.rand(2, 4, 3, 3)
    assert source_weights_or_mean("loss", None, sources).tolist() == [[0.25] * 4] * 2


def test_the_message_names_the_loss_and_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"my_loss: fused has shape \(1, 3, 3\) and sources \(1, 2, 3, 3\)"):
        fusion_inputs("my_loss", torch.rand(1, 3, 3), torch.rand(1, 2, 3, 3))
    with pytest.raises(ValueError, match=r"my_loss: weights have shape \(1, 3\), expected \(B, N\) = \(1, 2\)"):
        source_weights_or_mean("my_loss", torch.rand(1, 3), torch.rand(1, 2, 3, 3))
