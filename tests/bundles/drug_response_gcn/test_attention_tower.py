import pytest
import torch
from scripts.attention_tower import OmicsAttention
from torch import Tensor

PARTS, H, OUT = [6, 4, 5], 8, 3


def tower(parts: list[int] = PARTS, **settings: int) -> OmicsAttention:
    torch.manual_seed(0)
    return OmicsAttention(parts, H, OUT, 0.5, **settings).eval()


def cells(width: int = 15, count: int = 4) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1))


def naive(net: OmicsAttention, x: Tensor) -> Tensor:
    """Attention of one head, cell by cell and token by token."""
    attention = net.attention
    q_weight, k_weight, v_weight = attention.in_proj_weight.chunk(3)
    rows = []
    for cell in x:
        tokens = [layer(part).view(-1, H) for layer, part in zip(net.tokens, cell.split(net.parts), strict=True)]
        memory = torch.cat(tokens[1:]) if len(tokens) > 1 else tokens[0]
        out = []
        for token in tokens[0]:
            score = (memory @ k_weight.T) @ (q_weight @ token) / H**0.5
            heard = score.softmax(0) @ (memory @ v_weight.T)
            out.append(net.norm(token + attention.out_proj(heard)))
        rows.append(net.out(torch.cat(out)) + net.skip(cell))
    return torch.stack(rows)


@pytest.mark.parametrize("parts", [pytest.param([6, 4, 5], id="cross"), pytest.param([6], id="expression alone")])
def test_one_head_equals_a_loop_over_tokens(parts: list[int]) -> None:
    net = tower(parts, num_heads=1, num_tokens=2)
    x = cells(sum(parts))
    assert torch.allclose(net(x), naive(net, x), atol=1e-5)
    assert torch.allclose(torch.jit.script(net)(x), naive(net, x), atol=1e-5)
    with torch.no_grad():  # where torch may take another way through the attention
        assert torch.allclose(net(x), naive(net, x), atol=1e-5)


def test_expression_hears_the_other_kinds() -> None:
    net = tower()
    torch.nn.init.zeros_(net.skip.weight)
    x = cells()
    changed = x.clone()
    changed[:, 6:] += 1
    assert (net(x) - net(changed)).abs().max() > 1e-3


def test_order_of_the_other_kinds_does_not_matter() -> None:
    net, other = tower(), tower([6, 5, 4])
    order = torch.cat([torch.arange(6), torch.arange(10, 15), torch.arange(6, 10)])
    weights = net.state_dict()
    for name in ("weight", "bias"):
        weights[f"tokens.1.{name}"], weights[f"tokens.2.{name}"] = (
            weights[f"tokens.2.{name}"],
            weights[f"tokens.1.{name}"],
        )
    weights["skip.weight"] = weights["skip.weight"][:, order]
    other.load_state_dict(weights)
    assert torch.allclose(net(cells()), other(cells()[:, order]), atol=1e-5)


def test_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_channels is 8, it must be a multiple of the 3 heads"):
        tower(num_heads=3)
