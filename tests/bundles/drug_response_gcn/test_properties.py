"""Molecular properties: known values of known molecules."""

import pytest
import torch

pytest.importorskip("rdkit")
from rdkit import Chem
from rdkit.Chem import Descriptors
from scripts.properties import PROPERTIES, molecular_properties

DESCRIPTORS = (
    *("MolLogP", "TPSA", "RingCount", "NumAromaticRings", "NumHDonors", "NumHAcceptors"),
    *("NumRotatableBonds", "MolWt", "FractionCSP3"),
)


def named(smiles: str) -> dict[str, float]:
    return dict(zip(PROPERTIES, molecular_properties(Chem.MolFromSmiles(smiles)).tolist(), strict=True))


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        pytest.param("CCO", {"rings": 0, "hydrogen_donors": 1, "weight": 46.069, "fraction_sp3": 1}, id="ethanol"),
        pytest.param("c1ccccc1", {"logp": 1.6866, "rings": 1, "aromatic_rings": 1, "polar_surface": 0}, id="benzene"),
        pytest.param("C1CCC2CCCCC2C1", {"rings": 2, "aromatic_rings": 0, "fraction_sp3": 1}, id="decalin"),
        pytest.param("CCCC", {"rotatable_bonds": 1, "hydrogen_acceptors": 0}, id="butane"),
        pytest.param(
            "CC(=O)Oc1ccccc1C(=O)O",
            {"hydrogen_donors": 1, "hydrogen_acceptors": 3, "polar_surface": 63.6},
            id="aspirin",
        ),
        pytest.param("[Na+]", {"weight": 22.99, "fraction_sp3": 0, "rings": 0}, id="one-atom"),
    ],
)
def test_known_molecules_have_known_properties(smiles: str, expected: dict[str, float]) -> None:
    found = named(smiles)
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-2)


def test_properties_are_those_of_the_list_of_descriptors() -> None:
    mol = Chem.MolFromSmiles("CC(C)Cc1ccc(cc1)[C@H](C)C(=O)NS(=O)(=O)c1ccncc1")
    expected = [getattr(Descriptors, name)(mol) for name in DESCRIPTORS]
    torch.testing.assert_close(molecular_properties(mol), torch.tensor(expected, dtype=torch.float32))


def test_mirror_images_have_equal_properties() -> None:
    assert named("C[C@H](N)C(=O)O") == named("C[C@@H](N)C(=O)O")


def test_a_missing_rdkit_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    mol = Chem.MolFromSmiles("C")
    monkeypatch.setattr("scripts.common.data.molecules.find_spec", lambda *_: None)
    with pytest.raises(ValueError, match="molecular_properties: rdkit is not installed"):
        molecular_properties(mol)
