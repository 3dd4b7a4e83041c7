import pytest
import torch
from scripts.sized_by_data import SizedByData
from torch import nn


class Holder(SizedByData):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(0, 0))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.linear = nn.Linear(2, 1)


def filled(rows: int) -> nn.Module:
    module = nn.Sequential(Holder())
    module[0].table = torch.arange(2.0 * rows).reshape(rows, 2)
    module[0].count = torch.tensor(rows)
    return module


@pytest.mark.parametrize(("mine", "theirs"), [(0, 3), (5, 3), (3, 3), (3, 0)])
def test_buffers_take_the_shapes_of_the_file(mine: int, theirs: int) -> None:
    module, other = filled(mine), filled(theirs)
    other[0].linear.weight.data.fill_(7)
    module.load_state_dict(other.state_dict())
    assert torch.equal(module[0].table, other[0].table) and int(module[0].count) == theirs
    assert torch.equal(module[0].linear.weight, other[0].linear.weight)
    assert "table" in dict(module[0].named_buffers())


def test_loaded_buffers_are_copies() -> None:
    module, other = filled(0), filled(3)
    module.load_state_dict(other.state_dict())
    module[0].table += 1
    assert int(other[0].table[0, 0]) == 0


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        pytest.param("0.linear.weight", torch.zeros(1, 9), "size mismatch for 0.linear.weight", id="parameter"),
        pytest.param("0.table", None, "Missing key.*0.table", id="missing"),
        pytest.param("0.tabel", torch.zeros(2), "Unexpected key.*0.tabel", id="unexpected"),
    ],
)
def test_everything_else_is_as_strict_as_ever(name: str, value: torch.Tensor | None, match: str) -> None:
    state = filled(3).state_dict()
    state[name] = value
    if value is None:
        del state[name]
    with pytest.raises(RuntimeError, match=f"(?s){match}"):
        filled(0).load_state_dict(state)
