import pytest
import torch
from scripts.distance_tower import DistanceTower, Interaction, radial_basis
from torch import Tensor
from torch_geometric.nn.models.schnet import GaussianSmearing, InteractionBlock

F, N, H = 6, 9, 16
VECTOR = torch.zeros(3, 2)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tower(layers: int = 2) -> DistanceTower:
    net = DistanceTower(F, H, layers, 8, 0.0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net.eval()


def rows(points: Tensor, x: Tensor) -> Tensor:
    """Rows (1, N, F + 2 N) of atoms at points (n, 3)."""
    image = torch.zeros(1, N, F + 2 * N)
    size = len(points)
    image[0, :size, :F] = x
    image[0, :size, F + N : F + N + size] = (points[:, None] - points).norm(dim=2)
    return image


def atoms(size: int = 7) -> tuple[Tensor, Tensor]:
    return 2 * torch.randn(size, 3), torch.eye(F)[torch.randint(0, F, (size,))]


def test_an_interaction_equals_pyg() -> None:
    layer, (points, _), x = Interaction(H, 5.0, 10), atoms(), torch.randn(7, H)
    twin = InteractionBlock(H, 10, H, 5.0)
    names = {
        "mlp.0": layer.filter[0],
        "mlp.2": layer.filter[2],
        "conv.nn.0": layer.filter[0],
        "conv.nn.2": layer.filter[2],
    }
    names |= {"conv.lin2": layer.network[0], "lin": layer.network[2]}
    state = {f"{key}.{part}": getattr(value, part) for key, value in names.items() for part in ("weight", "bias")}
    twin.load_state_dict(state | {"conv.lin1.weight": layer.project.weight})
    distances = (points[:, None] - points).norm(dim=2)
    near = (distances < 5.0) & ~torch.eye(7, dtype=torch.bool)
    index = near.nonzero().T
    expected = x + twin(x, index, distances[near], GaussianSmearing(0.0, 5.0, 10)(distances[near]))
    first, second = near.triu(1).nonzero(as_tuple=True)
    assert torch.allclose(layer(x, first, second, distances[first, second]), expected, rtol=0, atol=1e-5)


def test_the_radial_basis_is_1_at_its_centres_and_falls_by_its_spacing() -> None:
    basis = radial_basis(torch.tensor([0.0, 2.5, 5.0]), 5.0, 3)
    near, far = torch.exp(torch.tensor([-0.5, -2.0])).tolist()
    assert basis.flatten().tolist() == pytest.approx([1, near, far, near, 1, near, far, near, 1])


def test_turning_shifting_and_mirroring_do_not_matter_but_bending_does() -> None:
    net, (points, x) = tower(), atoms()
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    out = net(rows(points, x), VECTOR[:1])
    for moved in (points @ turn, points + 5, points * torch.tensor([1.0, 1.0, -1.0])):
        assert torch.allclose(net(rows(moved, x), VECTOR[:1]), out, rtol=0, atol=1e-4)
    points[0] += torch.tensor([0.5, 0.0, 0.0])
    assert not torch.allclose(net(rows(points, x), VECTOR[:1]), out, rtol=0, atol=1e-3)


def test_enantiomers_of_a_real_molecule_are_the_same_to_distances() -> None:
    pytest.importorskip("rdkit")
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](N)C(=O)O"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    points = torch.tensor(Chem.RemoveHs(mol).GetConformer().GetPositions(), dtype=torch.float32)
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0])
    x = torch.eye(F)[torch.arange(len(points)) % F]
    volumes = [torch.linalg.det(p[1:4] - p[0]).item() for p in (points, mirrored)]
    assert volumes[0] == pytest.approx(-volumes[1]) and abs(volumes[0]) > 0.1  # a rotation cannot turn one to the other
    net = tower()
    assert torch.allclose(net(rows(mirrored, x), VECTOR[:1]), net(rows(points, x), VECTOR[:1]), rtol=0, atol=1e-4)


def test_the_order_of_the_atoms_does_not_matter() -> None:
    net, (points, x), order = tower(), atoms(), torch.randperm(7)
    moved = net(rows(points[order], x[order]), VECTOR[:1])
    assert torch.allclose(moved, net(rows(points, x), VECTOR[:1]), rtol=0, atol=1e-5)


def test_single_atoms_absent_molecules_and_the_rest_of_the_batch_do_not_disturb() -> None:
    net, images = tower(), torch.cat([rows(*atoms()), rows(*atoms(1)), torch.zeros(1, N, F + 2 * N)])
    out = net(images, VECTOR)
    assert out.isfinite().all()
    for drug in range(3):
        assert torch.allclose(net(images[drug : drug + 1], VECTOR[:1])[0], out[drug], rtol=0, atol=1e-5)


def test_atoms_at_the_cutoff_fade_out_and_an_unknown_distance_is_none() -> None:
    net, x = tower(), torch.eye(F)[:2]
    apart = [torch.tensor([[0.0, 0.0, 0.0], [d, 0.0, 0.0]]) for d in (4.999, 5.001, 100.0, 0.0, 2.0)]
    out = [net(rows(points, x), VECTOR[:1]) for points in apart]
    assert torch.allclose(out[0], out[1], rtol=0, atol=1e-4)
    assert torch.equal(out[1], out[2]) and torch.equal(out[1], out[3])
    assert not torch.allclose(out[4], out[1], rtol=0, atol=1e-3)


def test_gradients_are_finite_and_no_layer_is_refused() -> None:
    net = tower()
    net(torch.cat([rows(*atoms()), rows(*atoms(1))]), VECTOR[:2]).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())
    with pytest.raises(ValueError, match="DistanceTower: num_layers is 0, it must be 1 or more"):
        DistanceTower(F, H, 0, 8, 0.0)
