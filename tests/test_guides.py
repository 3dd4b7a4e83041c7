"""Guides in docs: their code runs, their figures and links exist, the tests that they name too."""

import ast
import doctest
import re
from pathlib import Path

import pytest
import torch

from benchmarks.graph_figures import FIGURES

ROOT = Path(__file__).parents[1]
GUIDES = ["graph_convolutions.md"]


@pytest.mark.parametrize("name", GUIDES)
def test_code_blocks_give_what_they_show(name: str) -> None:
    default = torch.get_default_dtype()
    try:
        options = doctest.ELLIPSIS | doctest.REPORT_NDIFF
        result = doctest.testfile(str(ROOT / "docs" / name), module_relative=False, optionflags=options)
    finally:
        torch.set_default_dtype(default)
    assert result.failed == 0 and result.attempted > 10


@pytest.mark.parametrize("name", GUIDES)
def test_links_and_figures_exist(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs" / name).read_text())
    assert links and not [link for link in links if not (ROOT / "docs" / link).is_file()]


@pytest.mark.parametrize("name", GUIDES)
def test_the_tests_it_names_exist(name: str) -> None:
    rows = [
        line.split("|")[-2]
        for line in (ROOT / "docs" / name).read_text().splitlines()
        if "`test_" in line and line[0] == "|"
    ]
    named = [(file, test) for row in rows for part in row.split(";") for file, test in pairs(part)]
    assert len(named) >= 10
    for file, test in named:
        tree = ast.parse((ROOT / "tests/common/layers" / file).read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file} lacks {test}"


def pairs(cell: str) -> list[tuple[str, str]]:
    """File and function of a cell ``file.py``: ``test``, ``test``."""
    file, *tests = re.findall(r"`(test_\w+(?:\.py)?)`", cell)
    return [(file, test) for test in tests]


def test_the_figures_are_drawn_by_the_script_and_small() -> None:
    drawn = {f"graph_{draw.__name__}.png" for draw in FIGURES}
    stored = {path.name: path.stat().st_size for path in (ROOT / "docs/figures").glob("graph_*.png")}
    assert drawn == stored.keys() and max(stored.values()) < 200_000
    assert all(f"figures/{name}" in (ROOT / "docs/graph_convolutions.md").read_text() for name in drawn)
