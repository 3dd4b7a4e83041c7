import pytest
import torch
from scripts.gine_conv import GINEConv
from torch import Tensor, nn
from torch_geometric.nn import GINEConv as PygGINEConv

N, F, O, T = 9, 5, 4, 6  # noqa: E741


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def layer() -> GINEConv:
    conv = GINEConv(nn.Sequential(nn.Linear(F, 8), nn.Tanh(), nn.Linear(8, O)), F, T).double()
    nn.init.normal_(conv.bond)
    return conv


def graph(kind: str = "bonds") -> tuple[Tensor, Tensor]:
    """Features (N, F) and bond codes (N, N)."""
    codes = torch.randint(1, T + 1, (N, N)) * (torch.rand(N, N) < 0.4)
    codes = codes.triu(1)
    codes = codes + codes.T
    if kind == "directed":
        codes = codes.tril()
    if kind == "alone":
        codes[0] = codes[:, 0] = 0
    return torch.randn(N, F).double(), (codes * (kind != "none")).double()


def edge_list(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    target, source = codes.nonzero(as_tuple=True)
    return source, target, codes[target, source].long()


@pytest.mark.parametrize("kind", ["bonds", "directed", "alone", "none"])
def test_both_forms_equal_pyg(kind: str) -> None:
    conv, (x, codes) = layer(), graph(kind)
    source, target, code = edge_list(codes)
    expected = PygGINEConv(conv.network)(x, torch.stack([source, target]), conv.bond[code - 1])
    assert torch.allclose(conv(x[None], codes[None])[0], expected, rtol=0, atol=1e-12)
    assert torch.allclose(conv.forward_packed(x, source, target, code), expected, rtol=0, atol=1e-12)


def test_a_hand_computed_molecule() -> None:
    conv = GINEConv(nn.Identity(), 1, 2)
    with torch.no_grad():
        conv.bond.copy_(torch.tensor([[10.0], [-5.0]]))
    codes = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    out = conv(torch.tensor([[[1.0], [2.0], [3.0]]]), codes[None])
    assert out.flatten().tolist() == [1 + 12 + 0, 2 + 11, 3 + 0]  # relu(3 - 5) and relu(1 - 5) are 0


def test_two_single_bonds_are_not_a_double_bond() -> None:
    conv, x = layer(), torch.ones(1, 3, F).double()
    single = torch.zeros(1, 3, 3).double()
    single[0, 0, 1] = 1
    double = 2 * single
    assert not torch.allclose(conv(x, single)[0, 0], conv(x, double)[0, 0])
    single[0, 0, 2] = 1
    assert not torch.allclose(conv(x, single)[0, 0], conv(x, double)[0, 0])


def test_gradients_of_both_forms() -> None:
    conv, (x, codes) = layer(), graph("alone")
    names, x = [name for name, _ in conv.named_parameters()], x.requires_grad_()

    def output(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(conv, dict(zip(names, weights, strict=True)), (x[None], codes[None]))

    assert torch.autograd.gradcheck(output, (x, *conv.parameters()))
    wanted = [x, *conv.parameters()]
    dense = torch.autograd.grad(conv(x[None], codes[None]).square().sum(), wanted)
    packed = torch.autograd.grad(conv.forward_packed(x, *edge_list(codes)).square().sum(), wanted)
    for one, other in zip(dense, packed, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10)


def test_permuting_the_atoms_permutes_the_output() -> None:
    conv, (x, codes), order = layer(), graph(), torch.randperm(N)
    out = conv(x[None], codes[None])[0]
    assert torch.allclose(conv(x[order][None], codes[order][:, order][None])[0], out[order], rtol=0, atol=1e-12)
