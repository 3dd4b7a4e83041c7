import pytest
import torch
from scripts.conformer import APART, molecule_distances

Chem = pytest.importorskip("rdkit.Chem")


def distances(smiles: str, max_atoms: int = 16, seed: int = 0) -> torch.Tensor:
    return molecule_distances(Chem.MolFromSmiles(smiles), seed, "drug", max_atoms)


def test_benzene_by_hand() -> None:
    found = distances("c1ccccc1", 8)
    assert found.shape == (8, 8) and found.dtype == torch.float32
    # a regular hexagon: neighbours, next but one, opposite; the sides are those of MMFF94, 1.395 angstrom
    side = 1.395
    row = torch.tensor([0, side, 3**0.5 * side, 2 * side, 3**0.5 * side, side, 0, 0])
    torch.testing.assert_close(found[0], row, atol=0.02, rtol=0)


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "OB(O)c1ccccc1", "C[C@H](N)C(=O)O"])
def test_distances_are_symmetric_zero_on_the_diagonal_and_beyond_the_atoms(smiles: str) -> None:
    found = distances(smiles, 20)
    atoms = Chem.MolFromSmiles(smiles).GetNumAtoms()
    assert torch.equal(found, found.T) and not found.diagonal().any() and not found[atoms:].any()
    inside = found[:atoms, :atoms] + torch.eye(atoms) * 9
    assert inside.min() > 1.1  # no two heavy atoms are nearer than a triple bond


def test_distances_are_those_of_points_in_space() -> None:
    squared = distances("CC(=O)Oc1ccccc1C(=O)O", 13).double() ** 2
    centre = torch.eye(13) - 1 / 13
    values = torch.linalg.eigvalsh(-0.5 * centre.double() @ squared @ centre.double())  # Gram matrix of the points
    assert (values[-3:] > 0.1).all() and values[:-3].abs().max() < 1e-3 * values[-1]


def test_the_seed_fixes_the_conformer() -> None:
    smiles = "CCOCCNC(=O)CCc1ccccc1"
    assert torch.equal(distances(smiles), distances(smiles))
    assert not torch.allclose(distances(smiles), distances(smiles, seed=1), atol=0.1)


@pytest.mark.parametrize("smiles", ["C", "[He]", "[Pt+2]"])
def test_a_single_atom_has_no_distances(smiles: str) -> None:
    assert not distances(smiles, 2).any()


def test_parts_without_a_bond_are_apart() -> None:
    found = distances("CCN.Cl.[Na+]", 6)
    assert (found[:3, 3:5] == APART).all() and found[3, 4] == APART and not found[5].any()
    assert (found[:3, :3] < 4).all() and not found.diagonal().any()


def test_an_atom_without_parameters_of_the_force_field_is_embedded_all_the_same(capfd: pytest.CaptureFixture) -> None:
    assert 1.8 < distances("C[Se]C", 3)[0, 1] < 2.1 and distances("Cl[Pt]Cl", 3)[0, 1] > 1.5
    assert capfd.readouterr().err == ""


def test_the_molecule_stays() -> None:
    mol = Chem.MolFromSmiles("CCO")
    molecule_distances(mol, 0, "drug", 3)
    assert mol.GetNumAtoms() == 3 and mol.GetNumConformers() == 0


def test_what_cannot_be_embedded_names_the_drug(monkeypatch: pytest.MonkeyPatch) -> None:
    from rdkit.Chem import rdDistGeom

    monkeypatch.setattr(rdDistGeom, "EmbedMolecule", lambda mol, settings: -1)
    with pytest.raises(ValueError, match="molecule_distances: impossible has no conformer .* 'C1#CC#C1'; leave"):
        molecule_distances(Chem.MolFromSmiles("C1#CC#C1"), 0, "impossible", 8)


def test_random_coordinates_are_the_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    from rdkit.Chem import rdDistGeom

    embed, tries = rdDistGeom.EmbedMolecule, []

    def first_fails(mol: object, settings: object) -> int:
        tries.append(settings.useRandomCoords)  # type: ignore[attr-defined]
        return embed(mol, settings) if settings.useRandomCoords else -1  # type: ignore[attr-defined]

    monkeypatch.setattr(rdDistGeom, "EmbedMolecule", first_fails)
    assert distances("CCO", 3)[0, 1] > 1 and tries == [False, True]


@pytest.mark.parametrize(
    ("seed", "max_atoms", "message"),
    [
        pytest.param(-1, 8, "molecule_distances: seed is -1, it must be 0 or more", id="seed"),
        pytest.param(0, 2, "ethanol has 3 heavy atoms, there is room for 2", id="atoms"),
    ],
)
def test_bad_arguments_are_refused(seed: int, max_atoms: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        molecule_distances(Chem.MolFromSmiles("CCO"), seed, "ethanol", max_atoms)


def test_a_strained_molecule_is_embedded_by_the_bounds_of_its_distances() -> None:
    strained = Chem.MolFromSmiles("CS(=O)(=O)NCC1=CN=c2cc(C(=O)CN)cc3c2=CCCC13")
    found = molecule_distances(strained, 0, "strained", 24)
    bonded = torch.tensor([[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] for bond in strained.GetBonds()]).T
    assert float(found[bonded[0], bonded[1]].min()) > 1 and float(found[bonded[0], bonded[1]].max()) < 2.2
