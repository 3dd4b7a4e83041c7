import pytest
import torch
from scripts.graph_tower import GRAPH_ENCODERS, AtomAttention, GraphTower
from scripts.molecule_graph import ATOM_FEATURES as F
from scripts.molecule_graph import BOND_CODES
from scripts.packed_library import pack_library
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GINEConv, global_max_pool, global_mean_pool

N, H, L, O = 12, 16, 3, 8  # noqa: E741
SIZES = (9, 1, 12, 0, 5)  # the last has two parts; one atom, and no molecule at all, among them
VECTOR = torch.zeros(len(SIZES), 3)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tower(encoder: str, dropout: float = 0.0) -> GraphTower:
    net = GraphTower(encoder, F, BOND_CODES, H, L, O, dropout)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net.eval()


def molecules() -> Tensor:
    """Rows (5, N, F + N) of ring-like molecules with random atoms and bonds."""
    rows = torch.zeros(len(SIZES), N, F + N)
    for drug, size in enumerate(SIZES):
        rows[drug, torch.arange(size), torch.randint(0, 17, (size,))] = 1
        rows[drug, :size, 17:F] = (torch.rand(size, F - 17) < 0.3).float()
        codes = torch.randint(1, BOND_CODES + 1, (N, N)) * ((torch.rand(N, N) < 0.2) | torch.eye(N).roll(1, 1).bool())
        codes = codes.triu(1)[:size, :size]
        rows[drug, :size, F : F + size] = (codes + codes.T).float()
    rows[4, :2, F + 2 :] = 0
    rows[4, 2:, F : F + 2] = 0
    return rows


@pytest.mark.parametrize("encoder", GRAPH_ENCODERS)
def test_the_packed_library_gives_the_same_output_and_gradients(encoder: str) -> None:
    net, rows = tower(encoder), molecules()
    dense = net(rows, VECTOR)
    packed = net.forward_packed(*pack_library(rows), len(SIZES), VECTOR)
    assert dense.isfinite().all() and dense.std() > 0.1
    assert torch.allclose(packed, dense, rtol=0, atol=1e-5)
    wanted, weight = list(net.parameters()), torch.randn(len(SIZES), O)
    one = torch.autograd.grad((dense * weight).sum(), wanted)
    other = torch.autograd.grad((packed * weight).sum(), wanted)
    for (name, _), left, right in zip(net.named_parameters(), one, other, strict=True):
        assert torch.allclose(left, right, rtol=1e-3, atol=1e-3), name


def test_gine_equals_layers_of_pyg() -> None:
    net, rows = tower("gine"), molecules()[[0, 1, 2, 4]]
    graphs = []
    for row in rows:
        atoms = row[:, :F].any(1)
        target, source = row[:, F:].nonzero(as_tuple=True)
        code = row[target, F + source].long()
        graphs.append(Data(x=row[atoms, :F], edge_index=torch.stack([source, target]), edge_attr=code))
    batch = Batch.from_data_list(graphs)
    h, pooled = net.embed(batch.x), []
    for conv, norm in zip(net.convs, net.norms, strict=True):
        twin = GINEConv(torch.nn.Identity())
        h = h + norm(conv.network(twin(h, batch.edge_index, conv.bond[batch.edge_attr - 1]))).relu()
        pooled += [global_mean_pool(h, batch.batch), global_max_pool(h, batch.batch)]
    assert torch.allclose(net(rows, VECTOR[:4]), net.head(torch.cat(pooled, 1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", GRAPH_ENCODERS)
def test_a_molecule_does_not_see_the_others_of_its_batch_nor_the_padding(encoder: str) -> None:
    net, rows = tower(encoder, dropout=0.5), molecules()
    out = net(rows, VECTOR)
    for drug, size in enumerate(SIZES):
        size = max(size, 1)
        alone = torch.cat([rows[drug, :size, :F], rows[drug, :size, F : F + size]], 1)
        assert torch.allclose(net(alone[None], VECTOR[:1])[0], out[drug], rtol=0, atol=1e-5)
    x, bonds, molecule = pack_library(rows[:2])
    first = net.forward_packed(x, bonds, molecule, 2, VECTOR[:2])
    assert torch.allclose(first, out[:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", GRAPH_ENCODERS)
def test_the_order_of_the_atoms_does_not_matter(encoder: str) -> None:
    net, rows, order = tower(encoder), molecules(), torch.randperm(N)
    moved = torch.cat([rows[:, order, :F], rows[:, order, F:][:, :, order]], 2)
    assert torch.allclose(net(moved, VECTOR), net(rows, VECTOR), rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", GRAPH_ENCODERS)
def test_only_gine_sees_the_kind_of_a_bond_and_all_see_that_there_is_one(encoder: str) -> None:
    net, rows = tower(encoder), molecules()[:1]
    kinds, none = rows.clone(), rows.clone()
    kinds[..., F:] = (rows[..., F:] != 0) * 2
    none[..., F:] = 0
    same = torch.allclose(net(kinds, VECTOR[:1]), net(rows, VECTOR[:1]), rtol=0, atol=1e-5)
    assert same == (encoder != "gine")
    assert not torch.allclose(net(none, VECTOR[:1]), net(rows, VECTOR[:1]), rtol=0, atol=1e-3)


@pytest.mark.parametrize("encoder", GRAPH_ENCODERS)
def test_training_gives_finite_gradients_everywhere(encoder: str) -> None:
    net, rows = tower(encoder, dropout=0.3).train(), molecules()
    net.forward_packed(*pack_library(rows), len(SIZES), VECTOR).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_attention_joins_parts_without_a_bond() -> None:
    rows = molecules()[4:]
    other = rows.clone()
    other[0, 0, :F] = other[0, 0, :F].flip(0)  # an atom of the small part
    for encoder, hears in (("gat", False), ("gat_transformer", True)):
        net = tower(encoder)
        states = []
        for image in (rows, other):
            h, present = net.embed(image[..., :F]), image[..., :F].any(2)
            for conv, norm in zip(net.convs, net.norms, strict=True):
                h = h + norm(conv(h, image[..., F:])).relu()
            states.append((h if net.attention is None else net.attention(h, present))[0, 2:5])
        assert (not torch.allclose(*states, rtol=0, atol=1e-4)) == hears


def test_attention_equals_multihead_attention_of_torch() -> None:
    net, x = AtomAttention(H, 0.0), torch.randn(2, 5, H)
    present = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    twin = torch.nn.TransformerEncoderLayer(H, 4, 2 * H, 0.0, batch_first=True, norm_first=True)
    names = {"norm1": net.norm, "self_attn.out_proj": net.join, "norm2": net.network[0]}
    names |= {"linear1": net.network[1], "linear2": net.network[3]}
    state = {f"{key}.{part}": getattr(value, part) for key, value in names.items() for part in ("weight", "bias")}
    state |= {"self_attn.in_proj_weight": net.project.weight, "self_attn.in_proj_bias": net.project.bias}
    twin.load_state_dict(state)
    expected = twin(x, src_key_padding_mask=~present)
    assert torch.allclose(net(x, present)[present], expected[present], rtol=0, atol=1e-5)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="GraphTower: encoder is 'sage', choose one of"):
        GraphTower("sage", F, 6, H, L, O, 0.0)
    with pytest.raises(ValueError, match="GraphTower: num_layers is 0, it must be 1 or more"):
        GraphTower("gine", F, 6, H, 0, O, 0.0)
    with pytest.raises(ValueError, match="GraphTower: hidden_channels is 18, gat needs a multiple of its 4 heads"):
        GraphTower("gat", F, 6, 18, L, O, 0.0)
