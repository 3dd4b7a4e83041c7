"""Phantom molecules: valid, different, reproducible, and a rule that the neighbourhood of an atom shows and counts hide."""

import numpy as np
import pytest

pytest.importorskip("rdkit")
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from scripts.phantom_molecules import (
    AMIDES,
    DECORATIONS,
    PHARMACOPHORE_SMARTS,
    POTENCY_SMARTS,
    SCAFFOLDS,
    SULFONAMIDES,
    phantom_molecules,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

MOLECULES = phantom_molecules(300, 0)
MOLS = [Chem.MolFromSmiles(one.smiles) for one in MOLECULES]
PAIRS = [pytest.param(*pair, PHARMACOPHORE_SMARTS, id=pair[0]) for pair in SULFONAMIDES.items()]
PAIRS += [pytest.param(*pair, POTENCY_SMARTS, id=pair[0]) for pair in AMIDES.items()]


def area(features: np.ndarray, truth: np.ndarray) -> float:
    """Cross-validated ROC AUC of a logistic regression."""
    model = LogisticRegression(max_iter=1000)
    scores = cross_val_predict(model, StandardScaler().fit_transform(features), truth, cv=5, method="decision_function")
    return float(roc_auc_score(truth, scores))


def test_every_smiles_is_one_valid_fragment_of_8_to_30_atoms() -> None:
    assert all(mol is not None for mol in MOLS)
    assert all(len(Chem.GetMolFrags(mol)) == 1 for mol in MOLS)
    assert all(8 <= mol.GetNumAtoms() <= 30 for mol in MOLS)


@pytest.mark.parametrize("scaffold", SCAFFOLDS)
@pytest.mark.parametrize("decoration", DECORATIONS)
def test_every_scaffold_takes_every_decoration(scaffold: str, decoration: str) -> None:
    first, second = next(iter(SULFONAMIDES)), next(iter(AMIDES))
    assert Chem.MolFromSmiles(scaffold.format(first, second, decoration)) is not None


def test_molecules_differ() -> None:
    assert len({Chem.MolToSmiles(mol) for mol in MOLS}) == len(MOLS)


@pytest.mark.parametrize(("planted", "decoy", "smarts"), PAIRS)
def test_a_decoy_is_an_isomer_without_the_planted_bond(planted: str, decoy: str, smarts: str) -> None:
    one, other = (Chem.MolFromSmiles(f"c1ccccc1{group}") for group in (planted, decoy))
    assert CalcMolFormula(one) == CalcMolFormula(other)
    pattern = Chem.MolFromSmarts(smarts)
    assert one.HasSubstructMatch(pattern) and not other.HasSubstructMatch(pattern)


@pytest.mark.parametrize("smarts", [PHARMACOPHORE_SMARTS, POTENCY_SMARTS], ids=["pharmacophore", "potency"])
def test_the_flags_say_what_the_smarts_find(smarts: str) -> None:
    name = "pharmacophore" if smarts == PHARMACOPHORE_SMARTS else "potency"
    found = [len(mol.GetSubstructMatches(Chem.MolFromSmarts(smarts), uniquify=True)) > 0 for mol in MOLS]
    assert found == [getattr(one, name) for one in MOLECULES]


def test_both_groups_have_their_share_in_every_stretch_and_are_independent() -> None:
    flags = np.array([[one.pharmacophore, one.potency] for one in MOLECULES])
    for start in range(0, 275, 25):
        np.testing.assert_allclose(flags[start : start + 25].mean(axis=0), [0.45, 0.5], atol=0.1)
    assert abs(np.corrcoef(flags.T)[0, 1]) < 0.1


@pytest.mark.parametrize("name", ["pharmacophore", "potency"])
def test_counts_of_elements_hide_the_rule_and_neighbourhoods_show_it(name: str) -> None:
    truth = np.array([getattr(one, name) for one in MOLECULES])
    symbols = ("C", "N", "O", "S", "F", "Cl", "Br")
    counts = np.array([[sum(atom.GetSymbol() == s for atom in mol.GetAtoms()) for s in symbols] for mol in MOLS])
    hydrogens = np.array([sum(atom.GetTotalNumHs() for atom in mol.GetAtoms()) for mol in MOLS])
    assert area(np.c_[counts, hydrogens], truth) < 0.6
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    assert area(np.array([generator.GetFingerprintAsNumPy(mol) for mol in MOLS], dtype=float), truth) > 0.98


def test_the_first_molecules_do_not_depend_on_the_number() -> None:
    assert phantom_molecules(20, 0) == MOLECULES[:20]


def test_another_seed_gives_other_molecules() -> None:
    assert len({one.smiles for one in phantom_molecules(50, 1)} & {one.smiles for one in MOLECULES}) < 25


def test_the_largest_number_can_be_drawn() -> None:
    assert len({one.smiles for one in phantom_molecules(3000, 0)}) == 3000


@pytest.mark.parametrize("number", [-1, 3001])
def test_a_number_outside_its_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"number is {number}, it must lie in 0 .. 3000"):
        phantom_molecules(number, 0)
