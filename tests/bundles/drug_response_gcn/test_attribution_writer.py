"""Drawings of the strongest predicted responses: the right drugs, each on its best cell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.image import imread
from scripts import attribution_writer as module
from scripts.attribution import atom_attributions
from scripts.attribution_writer import AttributionWriter
from scripts.common.data import read_molecule
from scripts.drug_library import DrugLibrary
from scripts.fitted_network import fit_network
from scripts.network import DrugResponseNet

from .small_screen import cells_of, make_library, make_network, make_screen

pytest.importorskip("rdkit")

CELLS = ["A 549", "HCC/78", "697", "broken"]


def fitted(effects: tuple[str, ...] = ("cell",)) -> tuple[DrugResponseNet, DrugLibrary, torch.Tensor]:
    """Network, library, and the vectors of four cells."""
    network = make_network(effects=effects)
    library = make_library(network.layout)
    fit_network(network, make_screen(), library)
    return network, library, cells_of(network, make_screen())[0][:4]


def draw(folder: Path, number: int, pred: np.ndarray | None = None, cells: int = 4) -> np.ndarray:
    """Predictions (C, D) of the cells without an error; the last of four is broken."""
    network, library, images = fitted()
    if pred is None:
        pred = network(images).detach().numpy()
    writer = AttributionWriter(str(folder), network, library, number)

    def step(engine: Engine, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"pred": torch.from_numpy(pred[CELLS.index(case["id"])])} for case in batch]

    engine = Engine(step)
    writer.attach(engine)
    names = zip(CELLS[:cells], images, strict=False)
    engine.run([[{"id": cell, "image": x, "error": "bad" * (cell == "broken")} for cell, x in names]])
    return pred[: min(cells, 3)]


def deep(pairs: dict[tuple[int, int], float]) -> np.ndarray:
    """Predictions of drugs of very different potency with some falls below the drug's mean."""
    pred = np.zeros((4, 12), dtype=np.float32) + 5 * np.arange(12, dtype=np.float32)
    for (cell, drug), fall in pairs.items():
        pred[cell, drug] -= fall
    return pred


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "attributions").glob("*")}


def test_the_drugs_with_the_largest_fall_below_their_mean_are_drawn_on_their_best_cell(tmp_path: Path) -> None:
    falls = {(0, 3): 4.0, (1, 3): 4.5, (2, 7): 3.0, (1, 9): 2.0, (3, 5): 90.0}  # cell 3 is broken
    draw(tmp_path, 2, deep(falls))
    stems = ("drug_0003_HCC_78", "drug_0007_697")
    assert files(tmp_path) == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")}


def test_with_one_cell_the_lowest_predictions_are_drawn(tmp_path: Path) -> None:
    draw(tmp_path, 1, deep({(0, 3): 50.0}), cells=1)
    assert files(tmp_path) == {"drug_0003_A_549.png", "drug_0003_A_549.svg"}


@pytest.mark.parametrize(("number", "drawn"), [(0, 0), (1, 1), (12, 12), (50, 12)])
def test_as_many_drugs_are_drawn_as_asked_for(
    tmp_path: Path, number: int, drawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    monkeypatch.setattr(module, "draw_attributions", lambda mol, values, path, title, limit: calls.append(path))
    pred = draw(tmp_path, number)
    assert len(calls) == 2 * drawn and len(set(calls)) == 2 * drawn
    order = (pred - pred.mean(axis=0)).min(axis=0).argsort()[:drawn]
    assert [path.name[:9] for path in calls[::2]] == [f"drug_{d:04d}" for d in order]


def test_what_is_drawn_is_the_effect_of_each_atom_on_the_predicted_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple] = []
    monkeypatch.setattr(module, "draw_attributions", lambda *args: calls.append(args))
    pred = draw(tmp_path, 3)
    network, library, images = fitted()
    assert {args[4] for args in calls} == {max(0.1, *(float(args[1].abs().max()) for args in calls))}
    for mol, values, path, title, _ in calls:
        d = int(path.name[5:9])
        best = int(pred[:, d].argmin())
        mean = pred[:, d].mean()
        assert title == f"drug {d:04d} on {CELLS[best]}: ln IC50 {pred[best, d]:.2f}, mean of the cells {mean:.2f}"
        pair = network.packed_pair(library.rows[d], d, images[best])
        assert float(network(pair[None])) == pytest.approx(pred[best, d], abs=1e-4)
        torch.testing.assert_close(values, atom_attributions(network, pair, network.layout))
        assert mol.GetNumAtoms() == len(values) == read_molecule(library.parents[d], "").GetNumAtoms()
        assert values.abs().max() > 1e-3


def test_both_files_are_whole_pictures(tmp_path: Path) -> None:
    draw(tmp_path, 1)
    (picture,) = (tmp_path / "attributions").glob("*.png")
    assert imread(picture)[..., :3].std() > 0.05
    text = picture.with_suffix(".svg").read_text()
    assert "<svg" in text and text.rstrip().endswith("</svg>")


def test_nothing_is_drawn_where_every_cell_failed(tmp_path: Path) -> None:
    network, library, images = fitted()
    writer = AttributionWriter(str(tmp_path), network, library, 3)
    engine = Engine(lambda engine, batch: [{"pred": torch.zeros(12)} for _ in batch])
    writer.attach(engine)
    engine.run([[{"id": "A", "image": images[0], "error": "bad"}]])
    assert not files(tmp_path)
