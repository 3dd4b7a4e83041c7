from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scripts import drug_library as module
from scripts.conformer import molecule_distances
from scripts.drug_library import drug_library, drug_rows
from scripts.fingerprint import morgan_fingerprint
from scripts.molecule_graph import ATOM_FEATURES, molecule_graph
from scripts.pair_layout import PairLayout

Chem = pytest.importorskip("rdkit.Chem")

N = 24
FLAT = PairLayout(max_atoms=N, cell_features=3)
SPATIAL = PairLayout(max_atoms=N, cell_features=3, fingerprint_bits=128, conformer=True)
PARENTS = {"aspirin": "CC(=O)Oc1ccccc1C(=O)O", "ethylamine": "CCN", "methane": "C", "twin": "CCN"}


def table(parents: dict[str, str] = PARENTS) -> pd.DataFrame:
    """Smiles are salts and must not be looked at."""
    smiles = [f"{parent}.Cl" for parent in parents.values()]
    return pd.DataFrame({"drug": list(parents), "smiles": smiles, "parent": list(parents.values())})


def test_rows_and_fingerprints_are_those_of_each_parent() -> None:
    library = drug_library(table(), SPATIAL)
    assert library.names == list(PARENTS) and library.parents == list(PARENTS.values())
    assert library.rows.shape == (4, N, SPATIAL.width) and library.fingerprints.shape == (4, 128)
    assert library.rows.dtype == library.fingerprints.dtype == torch.float32
    for index, (name, parent) in enumerate(PARENTS.items()):
        mol = Chem.MolFromSmiles(parent)
        x, bonds = molecule_graph(mol, name, N)
        distances = molecule_distances(mol, 0, name, N)
        assert torch.equal(library.rows[index], torch.cat([x, bonds, distances], dim=1))
        assert torch.equal(library.fingerprints[index], morgan_fingerprint(mol, 128))


def test_without_conformers_none_is_computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "molecule_distances", None)
    library = drug_library(table(), FLAT, cache_dir=str(tmp_path))
    assert library.rows.shape == (4, N, ATOM_FEATURES + N) and library.fingerprints.shape == (4, 0)
    assert not list(tmp_path.iterdir())


def test_two_names_of_one_parent_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setattr(
        module, "molecule_distances", lambda *args: computed.append(args[2]) or molecule_distances(*args)
    )
    library = drug_library(table(), SPATIAL)
    assert computed == ["aspirin", "ethylamine", "methane"]
    assert torch.equal(library.rows[1], library.rows[3])


def test_rows_of_one_molecule_pack_into_an_image() -> None:
    rows = drug_rows(Chem.MolFromSmiles("CCN"), "ethylamine", SPATIAL)
    assert torch.equal(rows, drug_library(table(), SPATIAL).rows[1])
    assert SPATIAL.pack(rows, torch.zeros(SPATIAL.vector_length)).shape == SPATIAL.shape


class TestCache:
    def test_the_second_time_nothing_is_computed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = drug_library(table(), SPATIAL, cache_dir=str(tmp_path / "new" / "folder"))
        assert len(list((tmp_path / "new" / "folder").glob("*.npz"))) == 3
        monkeypatch.setattr(module, "molecule_distances", None)
        again = drug_library(table(), SPATIAL, cache_dir=str(tmp_path / "new" / "folder"))
        assert torch.equal(first.rows, again.rows)
        assert torch.equal(first.rows, drug_library(table(), SPATIAL, cache_dir=str(tmp_path / "new/folder")).rows)

    def test_the_size_of_the_padding_is_no_part_of_it(self, tmp_path: Path) -> None:
        small, large = SPATIAL, PairLayout(max_atoms=N + 9, cell_features=3, conformer=True)
        drug_library(table(), small, cache_dir=str(tmp_path))
        rows = drug_library(table(), large, cache_dir=str(tmp_path)).rows
        assert len(list(tmp_path.iterdir())) == 3 and torch.equal(rows, drug_library(table(), large).rows)

    @pytest.mark.parametrize("change", ["seed", "version", "recipe", "order"])
    def test_it_is_not_read_for(self, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mol = Chem.MolFromSmiles("CCCCO")
        drug_rows(mol, "butanol", SPATIAL, 0, str(tmp_path))
        if change == "version":
            monkeypatch.setattr("rdkit.rdBase.rdkitVersion", "1900.01.1")
        elif change == "recipe":
            monkeypatch.setattr(module, "_RECIPE", "another")
        elif change == "order":
            mol = Chem.RenumberAtoms(mol, [4, 3, 2, 1, 0])
        drug_rows(mol, "butanol", SPATIAL, 1 if change == "seed" else 0, str(tmp_path))
        assert len(list(tmp_path.iterdir())) == 2

    def test_an_interrupted_write_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(path: Path, **arrays: np.ndarray) -> None:
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(np, "savez_compressed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            drug_rows(Chem.MolFromSmiles("CCN"), "ethylamine", SPATIAL, 0, str(tmp_path))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("drugs", "message"),
    [
        pytest.param(
            table().drop(columns="parent"), "drug_library: column 'parent' is missing, the table", id="column"
        ),
        pytest.param(table({}), "drug_library: the table has no drugs", id="no rows"),
        pytest.param(pd.concat([table(), table()]), "drug_library: aspirin stands twice", id="twice"),
        pytest.param(table({"good": "C", "odd": "C1CC("}), r"'odd'.*C1CC\(", id="no molecule"),
        pytest.param(table({"odd": ""}), "'odd'", id="empty"),
        pytest.param(table({"long": "C" * 25}), "long has 25 heavy atoms, there is room for 24", id="too large"),
    ],
)
def test_errors_name_the_drug(drugs: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drug_library(drugs, SPATIAL)


def test_a_drug_without_a_conformer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from rdkit.Chem import rdDistGeom

    monkeypatch.setattr(rdDistGeom, "EmbedMolecule", lambda mol, settings: -1)
    with pytest.raises(ValueError, match="odd has no conformer"):
        drug_library(table({"odd": "CCO"}), SPATIAL)


def test_numbers_may_be_names() -> None:
    drugs = table({"1": "C", "2": "CC"}).astype({"drug": int})
    assert drug_library(drugs, FLAT).names == ["1", "2"]


@pytest.mark.parametrize(("layout", "shown"), [(SPATIAL, True), (FLAT, False)])
def test_a_bar_shows_conformers_of_many_drugs(layout: PairLayout, shown: bool, capfd: pytest.CaptureFixture) -> None:
    drug_library(table({f"drug {index}": "C" for index in range(20)}), layout)
    assert ("drugs: 100%" in capfd.readouterr().err) == shown
