"""Drawn molecules: both formats, colours that mean one thing, and every kind of molecule."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.image import imread

pytest.importorskip("rdkit")
from rdkit import Chem
from scripts.molecule_drawing import atom_colours, draw_attributions

MOLECULE = Chem.MolFromSmiles("c1ccccc1S(=O)(=O)NC")
VALUES = torch.linspace(-1, 1, 11)


def has_colour(picture: np.ndarray, red: bool) -> bool:
    """Does the place of the molecule hold pixels that are clearly red, or blue?"""
    middle = picture[60:540]
    excess = middle[..., 0] - middle[..., 2]
    return bool(((excess if red else -excess) > 0.3).any())


@pytest.mark.parametrize(
    ("smiles", "title"),
    [
        pytest.param("c1ccccc1S(=O)(=O)NC", "drug 0001 on cell 0002: ln IC50 -0.42", id="drug"),
        pytest.param("[Na+]", "", id="one-atom"),
        pytest.param("CC(=O)[O-].[Na+]", "two parts", id="salt"),
        pytest.param("CC[C@H](C)[C@@H](N)C(=O)O", "a long title " * 12, id="stereo"),
        pytest.param("C" * 96, "", id="largest"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_every_molecule_is_drawn(tmp_path: Path, smiles: str, title: str, suffix: str) -> None:
    mol, path = Chem.MolFromSmiles(smiles), tmp_path / f"drug{suffix}"
    draw_attributions(mol, np.linspace(-1, 1, mol.GetNumAtoms()), path, title)
    if suffix == ".png":
        picture = imread(path)
        assert picture.shape[:2] == (640, 720) and picture[0, 0, :3].min() == 1  # white, not clear
    else:
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg") and len(list(root)) > 60
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("sign", "red"), [(1, True), (-1, False)], ids=["raises", "lowers"])
def test_red_raises_and_blue_lowers(tmp_path: Path, sign: int, red: bool) -> None:
    draw_attributions(MOLECULE, [sign * 1.0] * 11, tmp_path / "one.png")
    picture = imread(tmp_path / "one.png")
    assert has_colour(picture, red) and not has_colour(picture, not red)


def test_small_numbers_are_pale_under_a_common_limit(tmp_path: Path) -> None:
    draw_attributions(MOLECULE, VALUES * 0.01, tmp_path / "pale.png", limit=1.0)
    picture = imread(tmp_path / "pale.png")
    assert not has_colour(picture, True) and not has_colour(picture, False)


def test_zeros_are_drawn_without_colour(tmp_path: Path) -> None:
    draw_attributions(MOLECULE, torch.zeros(11), tmp_path / "zero.png")
    picture = imread(tmp_path / "zero.png")
    assert not has_colour(picture, True) and not has_colour(picture, False)


def test_the_same_call_writes_the_same_file_and_leaves_the_molecule(tmp_path: Path) -> None:
    before = Chem.MolToMolBlock(MOLECULE)
    for name in ("one.svg", "two.svg"):
        draw_attributions(MOLECULE, VALUES, tmp_path / name, "title")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert Chem.MolToMolBlock(MOLECULE) == before


def test_colours_mirror_in_strength_and_end_at_the_limit() -> None:
    low, zero, high, beyond = atom_colours(np.array([-2.0, 0.0, 2.0, 9.0]), 2.0)
    assert low[2] > low[0] and high[0] > high[2] and min(zero) > 0.95 and beyond == high


@pytest.mark.parametrize(
    ("values", "name", "limit", "message"),
    [
        pytest.param([1.0], "a.png", None, "there are 1 numbers and 11 atoms", id="count"),
        pytest.param([np.nan, *[0.0] * 10], "a.png", None, "number of atom 0 is nan, it must be finite", id="nan"),
        pytest.param([0.0] * 11, "a.jpg", None, r"a.jpg ends in '.jpg', it must end in .png or .svg", id="suffix"),
        pytest.param([0.0] * 11, "a.png", 0.0, "limit is 0.0, it must be above 0", id="limit"),
    ],
)
def test_bad_input_is_refused(
    tmp_path: Path, values: list[float], name: str, limit: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw_attributions(MOLECULE, values, tmp_path / name, limit=limit)
    assert not list(tmp_path.iterdir())


def test_a_missing_rdkit_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, *_: Any) -> None:
        return None

    monkeypatch.setattr("scripts.common.data.molecules.find_spec", missing)
    with pytest.raises(ValueError, match="draw_attributions: rdkit is not installed; pip install rdkit=="):
        draw_attributions(MOLECULE, VALUES, tmp_path / "a.png")
