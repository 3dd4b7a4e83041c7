"""The table of an inference run: one row a pair, with interval, distance and, where something failed, the reason."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine
from scripts.common.data import read_responses
from scripts.drug_library import DrugLibrary
from scripts.fitted_network import fit_network
from scripts.inference_screen import InferenceScreen
from scripts.intervals import ResponseIntervals
from scripts.network import DrugResponseNet
from scripts.reference import Reference, save_reference
from scripts.response_writer import ResponseWriter

from .small_screen import make_library, make_network, make_screen, part_of

pytest.importorskip("rdkit")

CELLS = ["A549", "697", "NA"]
TRAINED = 8  # of the 12 drugs


def network_and_library(effects: tuple[str, ...]) -> tuple[DrugResponseNet, DrugLibrary]:
    network = make_network(effects=effects)
    library = make_library(network.layout)
    fit_network(network, make_screen(), library)
    return network, library


def training_drugs(library: DrugLibrary) -> list[int]:
    return np.flatnonzero(np.isfinite(make_screen().responses["training"]).any(axis=0)).tolist()


def make_inference_screen(library: DrugLibrary, failed: Mapping[str, str]) -> InferenceScreen:
    """Every pair is new but that of the first drug and the first cell."""
    shape = (len(CELLS), len(library.names))
    measured, sections = np.full(shape, np.nan), np.full(shape, "new", dtype=object)
    measured[0, 0], sections[0, 0] = 1.25, "test"
    groups = np.repeat(np.array(CELLS, dtype=object)[:, None], shape[1], axis=1)
    table = pd.DataFrame({"drug": library.names, "smiles": library.parents, "parent": library.parents})
    return InferenceScreen(table, dict(failed), CELLS, np.zeros((3, 1)), measured, sections, groups)


def write(
    folder: Path,
    effects: tuple[str, ...] = ("cell",),
    reference: bool = True,
    errors: Mapping[str, str] | None = None,
    failed: Mapping[str, str] | None = None,
    drugs: list[int] | None = None,
) -> tuple[pd.DataFrame, np.ndarray, DrugLibrary]:
    """Rows, the numbers that the engine handed out (C, D), and the library."""
    network, library = network_and_library(effects)
    (folder / "model.pt").write_bytes(b"weights")
    if reference:
        names = {library.names[d]: library.parents[d] for d in training_drugs(library)}
        scales = {library.parents[training_drugs(library)[0]]: 0.5}
        intervals = ResponseIntervals(0.9, 2.0, 3.0, 1.0, scales)
        save_reference(folder / "model.pt", Reference(names, [], intervals))
    library = part_of(library, drugs or list(range(len(library.names))))
    pred = np.random.default_rng(0).normal(size=(len(CELLS), len(library.names))).astype(np.float32)
    screen = make_inference_screen(library, failed or {})
    writer = ResponseWriter(str(folder), network, screen, library, str(folder / "model.pt"))

    def step(engine: Engine, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"pred": torch.from_numpy(pred[CELLS.index(case["id"])])} for case in batch]

    engine = Engine(step)
    writer.attach(engine)
    cases = [{"id": cell, "error": (errors or {}).get(cell, "")} for cell in CELLS]
    engine.run([cases[:2], cases[2:]])
    return pd.DataFrame(read_responses(folder / "predictions.csv")), pred, library


def test_there_is_a_row_for_every_drug_on_every_cell(tmp_path: Path) -> None:
    rows, pred, library = write(tmp_path)
    assert rows["id"].tolist() == [f"{drug}|{cell}" for cell in CELLS for drug in library.names]
    np.testing.assert_allclose(rows["pred"], pred.ravel(), rtol=1e-5)
    assert rows["y"].notna().sum() == 1 and rows["y"][0] == 1.25
    assert rows["section"].tolist() == ["test"] + ["new"] * (rows.shape[0] - 1)
    assert rows["group"].tolist() == rows["cell"].tolist() and not rows["error"].any()


def test_intervals_are_those_of_the_reference(tmp_path: Path) -> None:
    rows, _, library = write(tmp_path)
    scaled = rows["drug"] == library.names[training_drugs(library)[0]]
    np.testing.assert_allclose(rows["pred"] - rows["low"], np.where(scaled, 2 * 0.5, 3.0), atol=1e-4)
    np.testing.assert_allclose(rows["high"] - rows["pred"], np.where(scaled, 2 * 0.5, 3.0), atol=1e-4)


def test_training_drugs_have_distance_0_and_the_others_more(tmp_path: Path) -> None:
    rows, _, library = write(tmp_path)
    trained = rows["drug"].isin([library.names[d] for d in training_drugs(library)])
    distance = rows["distance"].astype(float)
    assert trained.sum() == TRAINED * len(CELLS)
    assert (distance[trained] == 0).all() and distance[~trained].between(0.01, 1).all()
    assert (rows["nearest_drug"] == rows["drug"])[trained].all()
    assert set(rows["nearest_drug"]) <= {library.names[d] for d in training_drugs(library)}


@pytest.mark.parametrize("kind", ["none", "of other weights"])
def test_without_a_reference_there_is_a_warning_and_no_interval(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    if kind == "of other weights":
        (tmp_path / "model.pt").write_bytes(b"others")
        save_reference(tmp_path / "model.pt", Reference({"a": "C"}, [], ResponseIntervals(0.9, 1.0, 1.0, 1.0, {})))
    with caplog.at_level(logging.WARNING):
        rows, pred, _ = write(tmp_path, reference=False)
    assert "no intervals and no distances: load_reference: " in caplog.text
    assert rows[["low", "high"]].isna().all(axis=None)
    assert not rows["distance"].any() and not rows["nearest_drug"].any()
    np.testing.assert_allclose(rows["pred"], pred.ravel(), rtol=1e-5)


def test_what_failed_keeps_its_rows_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        rows, _, library = write(tmp_path, errors={"697": "no values"}, failed={"odd": "no molecule"})
    assert len(rows) == (len(library.names) + 1) * len(CELLS)
    bad = rows["error"] != ""
    expected = ["no molecule" if drug == "odd" else "no values" for drug in rows["drug"][bad]]
    assert rows["error"][bad].tolist() == expected
    assert set(rows["cell"][bad & (rows["drug"] != "odd")]) == {"697"}
    assert bad.sum() == len(library.names) + len(CELLS) and rows["pred"][~bad].notna().all()
    assert f"{len(rows)} pairs, {bad.sum()} of them with an error" in caplog.text


def test_a_run_of_nothing_but_failures_is_written_too(tmp_path: Path) -> None:
    rows, _, _ = write(tmp_path, errors=dict.fromkeys(CELLS, "no values"))
    assert (rows["error"] == "no values").all()


@pytest.mark.parametrize(
    ("effects", "known_only", "warned"),
    [
        pytest.param(("drug",), False, True, id="unknown drugs, effects drug"),
        pytest.param(("drug", "cell"), False, True, id="unknown drugs, both effects"),
        pytest.param(("cell",), False, False, id="unknown drugs, effects cell"),
        pytest.param(("drug",), True, False, id="known drugs, effects drug"),
    ],
)
def test_unknown_drugs_are_warned_of_where_weights_know_the_potency_of_drugs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, effects: tuple[str, ...], known_only: bool, warned: bool
) -> None:
    drugs = training_drugs(make_library(make_network().layout)) if known_only else None
    with caplog.at_level(logging.WARNING):
        rows, _, _ = write(tmp_path, effects, drugs=drugs)
    found = [record.getMessage() for record in caplog.records if "were not in training" in record.getMessage()]
    assert len(found) == warned
    if warned:
        assert found[0].startswith("4 of 12 drugs were not in training") and "split_drug.json" in found[0]
    without = set(rows["drug"][rows["low"].isna()])
    assert len(without) == (4 if warned else 0) and (rows["low"].isna() == rows["high"].isna()).all()
    assert (rows["distance"][rows["drug"].isin(without)].astype(float) > 0).all()


def test_a_second_run_forgets_the_first(tmp_path: Path) -> None:
    network, library = network_and_library(("cell",))
    screen = replace(make_inference_screen(library, {}), cells=CELLS)
    writer = ResponseWriter(str(tmp_path), network, screen, library, str(tmp_path / "none.pt"))
    engine = Engine(lambda engine, batch: [{"pred": torch.zeros(len(library.names))} for _ in batch])
    writer.attach(engine)
    for error in ("no values", ""):
        engine.run([[{"id": cell, "error": error} for cell in CELLS]])
    assert not any(row["error"] for row in read_responses(tmp_path / "predictions.csv"))
