"""The report of an evaluation: every figure can be made again from predictions.csv and the training pairs."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine
from monai.data import list_data_collate
from scripts.cell_features import CellFeaturesd
from scripts.common.data import read_responses
from scripts.fitted_network import fit_network
from scripts.reference import load_reference
from scripts.response_metrics import response_metrics
from scripts.response_network import ResponseNetwork
from scripts.response_report import ResponseReport
from scripts.screen import Screen, pairs_of

from .small_screen import make_library, make_network, make_screen

pytest.importorskip("rdkit")

EFFECTS = {"cell": ("drug",), "drug": ("cell",), "random": ("drug", "cell")}


class Recorder:
    """A baseline that predicts one number and keeps what it was fitted on."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def fit(self, y: np.ndarray, drugs: np.ndarray, cells: np.ndarray, features: np.ndarray, bits: np.ndarray) -> Any:
        self.fitted = y, drugs, cells
        self.shapes = features.shape, bits.shape
        return self

    def predict(self, drugs: np.ndarray, cells: np.ndarray) -> np.ndarray:
        return np.full(len(drugs), self.value)


def evaluate(folder: Path, split: str = "cell", **changes: Any) -> tuple[Screen, ResponseNetwork]:
    """A run of the evaluator over both sections, as evaluate.json makes it."""
    screen, network = make_screen(split), make_network(effects=EFFECTS[split])
    library = make_library(network.layout, split)
    fit_network(network, screen, library)
    torch.save(network.state_dict(), folder / "model.pt")
    ids = {"section": "test", "calibrate_on": "validation", "data": "a screen", "num_bootstrap": 5, "page": False}
    report = ResponseReport(
        str(folder), network, changes.pop("screen", screen), library, weights=str(folder / "model.pt"), **ids | changes
    )

    @torch.no_grad()
    def step(engine: Engine, batch: dict) -> dict:
        engine.state.batch = batch
        return {"pred": network(batch["image"])}

    engine = Engine(step)
    report.attach(engine)
    features = CellFeaturesd("image", network)
    cells = [features(item) for name in (report.calibrate_on, report.section) for item in screen.items(name)]
    engine.run([list_data_collate(cells[k : k + 4]) for k in range(0, len(cells), 4)])
    return screen, network


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def values(row: dict) -> dict[str, float]:
    """Figure by name; null, a figure that the section cannot have, as NaN."""
    cells = {name: cell for name, cell in row.items() if name not in ("baselines", "protocol")}
    return {name: np.nan if cell["value"] is None else cell["value"] for name, cell in cells.items()}


def naive_by_hand(screen: Screen, pairs: pd.DataFrame) -> np.ndarray:
    y, drugs, cells = pairs_of(screen.responses["training"])
    training = pd.DataFrame(
        {"y": y, "drug": screen.drugs["drug"].to_numpy()[drugs], "cell": np.array(screen.cells)[cells]}
    )
    effects = [pairs[key].map(training.groupby(key)["y"].mean() - y.mean()).fillna(0) for key in ("drug", "cell")]
    return (y.mean() + effects[0] + effects[1]).to_numpy()


@pytest.mark.parametrize("split", EFFECTS)
def test_figures_follow_from_the_predictions(tmp_path: Path, split: str) -> None:
    screen, network = evaluate(tmp_path, split)
    pairs = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
    y, drugs, cells = pairs_of(screen.responses["test"])
    np.testing.assert_allclose(pairs["y"], y, atol=1e-4)
    assert pairs["drug"].tolist() == [screen.drugs["drug"][d] for d in drugs]
    assert pairs["cell"].tolist() == [screen.cells[c] for c in cells]
    assert pairs["group"].tolist() == screen.pair_groups[cells, drugs].tolist()
    assert pairs["id"].tolist() == (pairs["drug"] + "|" + pairs["cell"]).tolist()
    naive = naive_by_hand(screen, pairs)
    coverage = float(pairs["y"].between(pairs["low"], pairs["high"]).mean())
    expected = response_metrics(pairs["y"], pairs["pred"], naive, drugs, cells) | {"coverage": coverage}
    assert values(metrics(tmp_path)) == pytest.approx(expected, abs=2e-4, nan_ok=True)
    assert expected["rmse"] == pytest.approx(np.sqrt(np.mean((pairs["y"] - pairs["pred"]) ** 2)))
    network.eval()
    cell = CellFeaturesd("image", network)({"id": pairs["cell"][0], "image": screen.values[cells[0]]})["image"]
    assert float(network(cell[None])[0, drugs[0]]) == pytest.approx(pairs["pred"][0], abs=1e-4)


@pytest.mark.parametrize("split", EFFECTS)
def test_the_naive_row_has_no_normalised_r_and_a_normalised_r2_of_0_less_its_bias(tmp_path: Path, split: str) -> None:
    screen, _ = evaluate(tmp_path, split)
    pairs = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
    rest = pairs["y"] - naive_by_hand(screen, pairs)
    row = values(metrics(tmp_path)["baselines"]["naive"])
    assert row["normalised_r"] == 0
    assert row["normalised_r2"] == pytest.approx(-(rest.mean() ** 2) / rest.var(ddof=0), abs=1e-3)


def test_on_its_own_pairs_the_naive_row_has_a_normalised_r2_of_0(tmp_path: Path) -> None:
    evaluate(tmp_path, section="training")  # where the mean effects have no bias
    assert values(metrics(tmp_path)["baselines"]["naive"])["normalised_r2"] == pytest.approx(0, abs=1e-4)


def test_baselines_are_fitted_on_training_alone(tmp_path: Path) -> None:
    baseline = Recorder()
    screen, network = evaluate(tmp_path, baselines={"one": baseline})
    for found, expected in zip(baseline.fitted, pairs_of(screen.responses["training"]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert baseline.shapes == ((40, network.omics.num_features), (12, 2048))
    assert list(metrics(tmp_path)["baselines"]) == ["naive", "one"]


def test_the_mean_of_model_and_ridge_is_reported(tmp_path: Path) -> None:
    evaluate(tmp_path, baselines={"ridge": Recorder(1.0)})
    pairs = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
    expected = np.sqrt(np.mean((pairs["y"] - (pairs["pred"] + 1) / 2) ** 2))
    row = metrics(tmp_path)["baselines"]["mean of model and ridge"]
    assert row["rmse"]["value"] == pytest.approx(expected, abs=1e-4)


def test_intervals_hold_their_share_where_they_were_fitted(tmp_path: Path) -> None:
    widths, shares = [], []
    for level in (0.5, 0.8):
        evaluate(tmp_path, section="validation", level=level)
        pairs = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
        widths.append(float((pairs["high"] - pairs["low"]).mean()))
        shares.append(values(metrics(tmp_path))["coverage"])
        assert set(pairs["section"]) == {"validation"}
    assert widths[0] < widths[1]
    assert 0.5 <= shares[0] < 0.75 and 0.8 <= shares[1] <= 1


@pytest.mark.parametrize(("split", "seen"), [pytest.param("drug", 8, id="drug"), pytest.param("cell", 12, id="cell")])
def test_the_reference_of_the_weights_is_written(tmp_path: Path, split: str, seen: int) -> None:
    screen, _ = evaluate(tmp_path, split)
    reference = load_reference(tmp_path / "model.pt")
    drugs = screen.drugs.set_index("drug")["parent"]
    trained = np.unique(pairs_of(screen.responses["training"])[1])
    assert dict(reference.drugs) == {name: drugs[name] for name in screen.drugs["drug"][trained]}
    assert len(reference.drugs) == seen
    assert reference.features[0] == f"expression:{screen.features[0]}"
    assert reference.features[-1] == f"mutation:{screen.features[-1]}"
    assert len(set(reference.features)) == len(screen.features) > len(set(screen.features))
    pairs = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
    low, high = reference.intervals.interval(pairs["pred"].to_numpy(), [drugs[name] for name in pairs["drug"]])
    np.testing.assert_allclose(np.c_[low, high], pairs[["low", "high"]], atol=1e-4)
    content = json.loads((tmp_path / "model.reference.json").read_text())
    assert content["weights_sha256"] == hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()


def test_labels_of_the_reported_section_change_neither_predictions_nor_intervals(tmp_path: Path) -> None:
    evaluate(tmp_path)
    first = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
    screen = make_screen("cell")
    turned = screen.responses | {"test": -screen.responses["test"]}
    evaluate(tmp_path, screen=Screen(**vars(screen) | {"responses": turned}))
    second = pd.DataFrame(read_responses(tmp_path / "predictions.csv"))
    pd.testing.assert_frame_equal(first.drop(columns="y"), second.drop(columns="y"))
    assert (first["y"] == -second["y"]).all()


def test_the_page_is_written_when_asked_for(tmp_path: Path) -> None:
    evaluate(tmp_path)
    assert not (tmp_path / "report.html").exists() and (tmp_path / "responses.png").stat().st_size > 10_000
    evaluate(tmp_path, page=True)
    page = (tmp_path / "report.html").read_text()
    assert "a screen: section test" in page and metrics(tmp_path)["protocol"] in page


@pytest.mark.parametrize("absent", [pytest.param(True, id="absent"), pytest.param(False, id="empty")])
@pytest.mark.parametrize("section", ["validation", "test"])
def test_a_section_without_pairs_is_named(tmp_path: Path, section: str, absent: bool) -> None:
    screen = make_screen("cell")
    rest = {name: table for name, table in screen.responses.items() if name != section or not absent}
    if not absent:
        rest[section] = np.full_like(rest[section], np.nan)
    bare = Screen(**vars(screen) | {"responses": rest})
    with pytest.raises(ValueError, match=f"ResponseReport: section '{section}' has no measured pair"):
        evaluate(tmp_path, screen=bare)
    with pytest.raises(ValueError, match=f"Screen: section '{section}' has no measured pair, .*check dataset.json"):
        bare.items(section)
