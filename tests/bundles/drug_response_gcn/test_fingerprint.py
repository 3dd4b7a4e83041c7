import numpy as np
import pytest
import torch
from scripts.fingerprint import morgan_fingerprint

Chem = pytest.importorskip("rdkit.Chem")
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.mark.parametrize("bits", [64, 1024, 2048])
def test_bits_are_those_of_rdkit(bits: int) -> None:
    from rdkit.Chem import rdFingerprintGenerator

    mol = Chem.MolFromSmiles(ASPIRIN)
    expected = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=bits, includeChirality=True)
    found = morgan_fingerprint(mol, bits)
    assert found.dtype == torch.float32 and found.shape == (bits,)
    np.testing.assert_array_equal(found.nonzero()[:, 0], list(expected.GetFingerprint(mol).GetOnBits()))


def test_methane_has_one_neighbourhood() -> None:
    assert morgan_fingerprint(Chem.MolFromSmiles("C"), 2048).sum() == 1


def test_the_order_of_the_atoms_does_not_matter() -> None:
    mol = Chem.MolFromSmiles(ASPIRIN)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    assert torch.equal(morgan_fingerprint(mol, 512), morgan_fingerprint(Chem.RenumberAtoms(mol, order), 512))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", id="R and S"),
        pytest.param("F/C=C/Cl", r"F/C=C\Cl", id="E and Z"),
    ],
)
def test_stereo_isomers_differ(first: str, second: str) -> None:
    a, b = (morgan_fingerprint(Chem.MolFromSmiles(smiles), 2048) for smiles in (first, second))
    assert not torch.equal(a, b)


def test_no_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="morgan_fingerprint: bits is 0, it must be 1 or more"):
        morgan_fingerprint(Chem.MolFromSmiles("C"), 0)
