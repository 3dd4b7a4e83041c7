import numpy as np
import pytest
import torch
from scripts.molecule_graph import ATOM_FEATURES, BOND_CODES, ELEMENTS, molecule_graph
from torch import Tensor

Chem = pytest.importorskip("rdkit.Chem")

IMATINIB = "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1"
DRUGS = {
    "imatinib": IMATINIB,
    "erlotinib": "COCCOc1cc2ncnc(Nc3cccc(C#C)c3)c2cc1OCCOC",
    "bortezomib": "CC(C)C[C@@H](B(O)O)NC(=O)[C@H](Cc1ccccc1)NC(=O)c1cnccn1",
    "axitinib": "CNC(=O)c1ccccc1Sc1ccc2c(/C=C/c3ccccn3)n[nH]c2c1",
    "cisplatin": "N.N.Cl[Pt]Cl",
    "salt": "CCN.Cl",
    "ion": "[Na+].[Cl-]",
    "bosutinib": "N#Cc1cnc2cc(OCCCN3CCN(C)CC3)c(OC)cc2c1Nc1cc(OC)c(Cl)cc1Cl",
}
GROUPS = {"element": 17, "degree": 6, "hydrogens": 5, "charge": 4, "hybridisation": 4}


def graph(smiles: str, max_atoms: int = 64) -> tuple[Tensor, Tensor]:
    return molecule_graph(Chem.MolFromSmiles(smiles), "drug", max_atoms)


def described(row: Tensor) -> dict[str, int]:
    """Place of the 1 in each group of an atom's row."""
    parts = dict(zip(GROUPS, row[:-6].split(list(GROUPS.values())), strict=True))
    return {name: int(part.argmax()) for name, part in parts.items()}


def test_number_of_features_is_the_sum_of_the_groups() -> None:
    assert ATOM_FEATURES == sum(GROUPS.values()) + 6 == 42 and BOND_CODES == 6


def test_acetate_by_hand() -> None:
    x, bonds = graph("CC(=O)[O-]", 6)
    assert bonds[:4, :4].tolist() == [[0, 1, 0, 0], [1, 0, 2, 1], [0, 2, 0, 0], [0, 1, 0, 0]]
    assert not bonds[4:].any() and not x[4:].any()
    methyl = {"element": 0, "degree": 1, "hydrogens": 3, "charge": 1, "hybridisation": 2}
    acid = {"element": 0, "degree": 3, "hydrogens": 0, "charge": 1, "hybridisation": 1}
    negative = {"element": 2, "degree": 1, "hydrogens": 0, "charge": 0, "hybridisation": 1}
    assert [described(x[atom]) for atom in (0, 1, 3)] == [methyl, acid, negative]
    assert not x[:, -6:].any()  # no ring, no stereocentre


def test_rings_by_hand() -> None:
    x, bonds = graph("c1ccc2[nH]ccc2c1", 9)  # indole: the two shared atoms are in a ring of 5 and in one of 6
    assert x[:, -6].all() and x[:, -5].all()
    assert x[:, -4].sum() == 5 and x[:, -3].sum() == 6 and (x[:, -4] * x[:, -3]).sum() == 2
    assert set(bonds.unique().tolist()) == {0, 4} and (bonds > 0).sum() == 20


@pytest.mark.parametrize("name", DRUGS)
def test_a_row_has_one_value_in_each_group_and_no_number_but_0_and_1(name: str) -> None:
    x, _ = graph(DRUGS[name])
    atoms = Chem.MolFromSmiles(DRUGS[name]).GetNumAtoms()
    assert x.dtype == torch.float32 and set(x.unique().tolist()) == {0, 1}
    for group in x[:, :-6].split(list(GROUPS.values()), dim=1):
        assert group.sum(1).tolist() == [1] * atoms + [0] * (64 - atoms)


@pytest.mark.parametrize("name", DRUGS)
def test_bonds_are_those_of_rdkit(name: str) -> None:
    mol = Chem.MolFromSmiles(DRUGS[name])
    _, bonds = graph(DRUGS[name])
    atoms = mol.GetNumAtoms()
    np.testing.assert_array_equal((bonds > 0)[:atoms, :atoms].int(), Chem.GetAdjacencyMatrix(mol))
    assert torch.equal(bonds, bonds.T) and not bonds.diagonal().any() and bonds.max() <= BOND_CODES


@pytest.mark.parametrize("name", [name for name in DRUGS if name != "ion"])
def test_atoms_and_bonds_are_those_of_pyg(name: str) -> None:
    pyg = pytest.importorskip("torch_geometric.utils").from_smiles(DRUGS[name])
    x, bonds = graph(DRUGS[name])
    numbers = [Chem.Atom(symbol).GetAtomicNum() for symbol in ELEMENTS]
    assert [numbers[described(row)["element"]] for row in x[: len(pyg.x)]] == pyg.x[:, 0].tolist()
    heavy = pyg.x[:, 2] - pyg.x[:, 4]  # PyG counts the hydrogens as neighbours
    assert [described(row)["degree"] for row in x[: len(pyg.x)]] == heavy.tolist()
    assert [described(row)["hydrogens"] for row in x[: len(pyg.x)]] == pyg.x[:, 4].tolist()
    assert torch.equal(x[: len(pyg.x), -6], pyg.x[:, 7].float()) and torch.equal(
        x[: len(pyg.x), -5], pyg.x[:, 8].float()
    )
    first, second = pyg.edge_index
    codes = {1: 1, 2: 2, 3: 3, 12: 4}  # places in PyG's list of bond types
    plain = bonds.clone()
    plain[plain > 4] = 2
    assert plain[first, second].tolist() == [codes[kind] for kind in pyg.edge_attr[:, 0].tolist()]
    assert (bonds > 0).sum() == len(first)


@pytest.mark.parametrize("name", DRUGS)
def test_a_permutation_of_the_atoms_permutes_the_graph(name: str) -> None:
    mol = Chem.MolFromSmiles(DRUGS[name])
    x, bonds = graph(DRUGS[name], mol.GetNumAtoms())
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    permuted_x, permuted_bonds = molecule_graph(Chem.RenumberAtoms(mol, order), "drug", mol.GetNumAtoms())
    assert torch.equal(permuted_x, x[order]) and torch.equal(permuted_bonds, bonds[order][:, order])


@pytest.mark.parametrize(
    ("first", "second", "features", "codes"),
    [
        pytest.param("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", {"R", "S"}, set(), id="R and S"),
        pytest.param("F/C=C/Cl", r"F/C=C\Cl", set(), {5, 6}, id="E and Z"),
        pytest.param("C[C@H]1CC[C@@H](O)CC1", "C[C@H]1CC[C@H](O)CC1", {"R", "S"}, set(), id="cis and trans of a ring"),
        pytest.param("C[C@H](N)C(=O)O", "CC(N)C(=O)O", {"R"}, set(), id="R and unspecified"),
        pytest.param("F/C=C/Cl", "FC=CCl", set(), {2, 5}, id="E and unspecified"),
    ],
)
def test_stereo_isomers_differ(first: str, second: str, features: set, codes: set) -> None:
    (x, bonds), (other_x, other_bonds) = graph(first, 16), graph(second, 16)
    places = {int(place) for place in (x != other_x).any(0).nonzero()}
    assert places <= {ATOM_FEATURES - 2, ATOM_FEATURES - 1} and bool(places) == bool(features)
    changed = bonds != other_bonds
    assert {*bonds[changed].tolist(), *other_bonds[changed].tolist()} == codes


def test_r_and_s_stand_where_they_are_said_to() -> None:
    s, _ = graph("C[C@H](N)C(=O)O", 6)  # L-alanine is S
    r, _ = graph("C[C@@H](N)C(=O)O", 6)
    assert s[1, -2:].tolist() == [0, 1] and r[1, -2:].tolist() == [1, 0]
    assert graph("C/C=C/C", 4)[1].max() == 5 and graph(r"C/C=C\C", 4)[1].max() == 6


def test_a_salt_has_its_atoms_and_no_bond() -> None:
    x, bonds = graph("[Na+].[Cl-]", 4)
    assert not bonds.any() and x.any(1).tolist() == [True, True, False, False]
    assert [described(row)["charge"] for row in x[:2]] == [2, 0]


@pytest.mark.parametrize("smiles", ["C", "[Pt+2]", "[Fe+3]", "[He]", "[2H]"])
def test_a_single_atom_is_not_padding(smiles: str) -> None:
    x, bonds = graph(smiles, 3)
    assert x[0].sum() >= 5 and not x[1:].any() and not bonds.any()


def test_unknown_kinds_are_other() -> None:
    x, bonds = graph("c1ccccc1->[Fe+3]", 8)
    assert described(x[6])["element"] == 16 and described(x[6])["charge"] == 3
    assert bonds[5, 6] == bonds[6, 5] == 1  # a dative bond is a single one


def test_the_molecule_stays() -> None:
    mol = Chem.MolFromSmiles("C[C@H]1CC[C@@H](O)CC1")
    graph_before = [sorted(atom.GetPropsAsDict(True)) for atom in mol.GetAtoms()]
    molecule_graph(mol, "drug", 8)
    assert [sorted(atom.GetPropsAsDict(True)) for atom in mol.GetAtoms()] == graph_before


def test_too_many_atoms_name_drug_and_both_numbers() -> None:
    with pytest.raises(ValueError, match="molecule_graph: imatinib has 37 heavy atoms, there is room for 36; raise"):
        molecule_graph(Chem.MolFromSmiles(IMATINIB), "imatinib", 36)
    molecule_graph(Chem.MolFromSmiles(IMATINIB), "imatinib", 37)


def test_pyg_gives_an_empty_graph_for_no_molecule_and_this_does_not() -> None:
    pyg = pytest.importorskip("torch_geometric.utils").from_smiles("C1CC(")
    assert pyg.x.shape == (0, 9)  # the mistake: no error, and a network would give a number for it
    with pytest.raises(ValueError, match="molecule_graph: nothing has no atoms"):
        molecule_graph(Chem.Mol(), "nothing", 8)
