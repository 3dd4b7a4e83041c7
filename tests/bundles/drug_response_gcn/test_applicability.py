import pytest
import torch
from scripts.applicability import FINGERPRINT_BITS, nearest_drug, tanimoto_similarity
from scripts.fingerprint import morgan_fingerprint

Chem = pytest.importorskip("rdkit.Chem")

TRAINING = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "gefitinib": "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "methane": "C",
}
ERLOTINIB = "COCCOc1cc2ncnc(Nc3cccc(C#C)c3)c2cc1OCCOC"


def test_similarity_by_hand() -> None:
    first = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    second = torch.tensor([[1.0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    expected = torch.tensor([[1 / 3, 1, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(tanimoto_similarity(first, second), expected)


@pytest.mark.parametrize("smiles", [*TRAINING.values(), ERLOTINIB, "CCO", "[Na+]"])
def test_distance_is_that_of_rdkit(smiles: str) -> None:
    from rdkit.Chem import rdFingerprintGenerator
    from rdkit.DataStructs import TanimotoSimilarity

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048, includeChirality=True)
    molecule, *known = (generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in (smiles, *TRAINING.values()))
    similarity = [TanimotoSimilarity(molecule, other) for other in known]
    distance, name = nearest_drug(smiles, TRAINING)
    assert distance == pytest.approx(1 - max(similarity), abs=1e-6) and 0 <= distance <= 1
    assert similarity[list(TRAINING).index(name)] == max(similarity)


def test_a_drug_like_another_is_near_to_it() -> None:
    distance, name = nearest_drug(ERLOTINIB, TRAINING)
    assert name == "gefitinib" and 0.3 < distance < 0.7


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_drug_has_distance_0_in_any_atom_order_and_as_a_salt(name: str) -> None:
    mol = Chem.MolFromSmiles(TRAINING[name])
    backwards = Chem.RenumberAtoms(mol, list(range(mol.GetNumAtoms()))[::-1])
    assert nearest_drug(mol, TRAINING) == nearest_drug(backwards, TRAINING) == (0, name)
    if name != "methane":
        assert nearest_drug(f"{TRAINING[name]}.Cl", TRAINING) == (0, name)


def test_nothing_shared_is_distance_1() -> None:
    assert nearest_drug("[Na+]", TRAINING)[0] == 1


def test_of_equally_near_drugs_the_first_is_named() -> None:
    assert nearest_drug("CCO", {"one": "CCO", "two": "OCC"}) == (0, "one")
    assert nearest_drug("CCO", {"two": "OCC", "one": "CCO"}) == (0, "two")


def test_similarity_of_many_is_that_of_each() -> None:
    prints = torch.stack([morgan_fingerprint(Chem.MolFromSmiles(text), FINGERPRINT_BITS) for text in TRAINING.values()])
    every = tanimoto_similarity(prints, prints)
    assert torch.equal(every, every.T) and torch.equal(every.diagonal(), torch.ones(len(prints)))
    assert torch.equal(every[1:2], tanimoto_similarity(prints[1:2], prints))


@pytest.mark.parametrize(
    ("molecule", "training", "message"),
    [
        pytest.param("CCO", {}, "nearest_drug: training has no drugs, it must have 1 or more", id="no drugs"),
        pytest.param("C1CC(", TRAINING, r"C1CC\(", id="no molecule"),
        pytest.param("CCO", {"odd": "C1CC("}, r"odd.*C1CC\(", id="no training molecule"),
    ],
)
def test_bad_input_is_refused(molecule: str, training: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_drug(molecule, training)
