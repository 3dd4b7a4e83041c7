import ast
from pathlib import Path

import pytest

pytest.importorskip("rdkit")
from rdkit import Chem

from common.data import molecules
from common.data.molecules import parent_molecule, parent_smiles, read_molecule, require_rdkit


@pytest.mark.parametrize(
    ("smiles", "parent"),
    [
        pytest.param("[Na+].[O-]C(C)=O", "CC(=O)[O-]", id="salt off, charge kept"),
        pytest.param("Cl.CCN", "CCN", id="hydrochloride"),
        pytest.param("CCO.O.O", "CCO", id="solvent off"),
        pytest.param("OCC", "CCO", id="canonical"),
        pytest.param("CCO.CCS", "CCS", id="equal size: the heavier"),
        pytest.param("CCCO.CC(C)O", "CCCO", id="equal weight: the last by SMILES"),
        pytest.param("CC(C)O.CCCO", "CCCO", id="equal weight: in any order"),
        pytest.param("CCN.CCN", "CCN", id="one kind of fragment twice"),
        pytest.param("[Na+].[Cl-]", "[Cl-]", id="single atoms"),
        pytest.param("C", "C", id="one atom"),
    ],
)
def test_the_parent_is_the_largest_fragment(smiles: str, parent: str) -> None:
    found = parent_smiles(read_molecule(smiles, "x"))
    assert found == parent
    assert parent_smiles(read_molecule(found, "x")) == found
    assert parent_molecule(read_molecule(smiles, "x")).GetNumAtoms() == read_molecule(parent, "x").GetNumAtoms()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", id="mirror images"),
        pytest.param("F/C=C/F", "F/C=C\\F", id="double bond"),
    ],
)
def test_stereo_isomers_are_different_parents(one: str, other: str) -> None:
    parents = [parent_smiles(read_molecule(f"{smiles}.Cl", "x")) for smiles in (one, other)]
    assert parents[0] != parents[1]
    assert parents == [Chem.CanonSmiles(one), Chem.CanonSmiles(other)]


@pytest.mark.parametrize(
    "smiles",
    [
        pytest.param("", id="empty"),
        pytest.param("  ", id="blank"),
        pytest.param("C1CC", id="open ring"),
        pytest.param("CN(C)(C)(C)C", id="valence"),
        pytest.param("c1cccc1", id="not aromatic"),
        pytest.param("aspirin", id="a name"),
        pytest.param(None, id="no text"),
    ],
)
def test_an_invalid_smiles_is_an_error_that_names_drug_and_text(smiles: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="SMILES of drug 'Drug 7' is .*no valid molecule") as caught:
        read_molecule(smiles, "Drug 7")
    assert repr(smiles) in str(caught.value)
    assert capfd.readouterr().err == ""


def test_an_invalid_smiles_is_an_empty_graph_elsewhere() -> None:
    """What the check is for: the usual helper of graph libraries goes on without a word."""
    from torch_geometric.utils import from_smiles

    assert from_smiles("C1CC").num_nodes == 0


def test_without_rdkit_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_rdkit("Anything")
    monkeypatch.setattr(molecules, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^Anything: rdkit is not installed; pip install rdkit==2026.9.1 \(require"):
        require_rdkit("Anything")
    with pytest.raises(ValueError, match="^read_molecule: rdkit is not installed"):
        read_molecule("C", "x")


@pytest.mark.parametrize("module", ["molecules", "drug_response", "gdsc", "response_tables"])
def test_rdkit_is_not_imported_with_the_module(module: str) -> None:
    tree = ast.parse(Path(molecules.__file__).with_name(f"{module}.py").read_text())
    found = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert found and not [line for line in found if "rdkit" in line.split()[1]]
