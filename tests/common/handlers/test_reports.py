import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from common.data.results import load_operating_point
from common.handlers import ClassificationReport, PredictionWriter


def run(handler: object, batch: list[dict], output: list[dict]) -> None:
    engine = Engine(lambda e, b: None)
    handler.attach(engine)
    engine.fire_event(Events.STARTED)
    engine.state.batch, engine.state.output = batch, output
    engine.fire_event(Events.ITERATION_COMPLETED)
    engine.fire_event(Events.COMPLETED)


def case(number: int, section: str = "test", label: int = 0, error: str = "") -> dict:
    return {"id": f"case{number}", "group": f"g{number}", "section": section, "label": label, "error": error}


def test_a_broken_case_keeps_its_row_and_its_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    batch = [case(0, label=1), case(1, label=-1, error="no such file"), case(2, label=-1)]
    output = [{"pred": torch.tensor(p)} for p in ([0.2, 0.8], [0.5, 0.5], [0.6, 0.4])]
    with caplog.at_level(logging.INFO):
        run(PredictionWriter(str(tmp_path), ["no", "yes"], threshold=0.3), batch, output)
    rows = list(csv.DictReader(open(tmp_path / "predictions.csv")))
    assert [row["pred"] for row in rows] == ["1", "", "1"]
    assert [row["label"] for row in rows] == ["1", "", ""]
    assert [row["error"] for row in rows] == ["", "no such file", ""]
    assert rows[0]["prob_yes"] == "0.800000"
    assert rows[1]["prob_yes"] == ""
    assert "1 of them with an error" in caplog.text


def report(tmp_path: Path, **arguments: object) -> ClassificationReport:
    torch.save({}, tmp_path / "model.pt")
    return ClassificationReport(
        str(tmp_path), ["no", "yes"], "test", str(tmp_path / "model.pt"), "toy", num_bootstrap=50, **arguments
    )


def scored(section: str, count: int, shift: float, seed: int) -> tuple[list[dict], list[dict]]:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    scores = generator.normal(size=count) + 3 * labels + shift
    batch = [case(f"{section}{k}", section, int(label)) for k, label in enumerate(labels)]
    return batch, [
        {"logits": torch.tensor([0.0, 5 * s]), "label": torch.eye(2)[int(y)]}
        for s, y in zip(scores, labels, strict=True)
    ]


def test_threshold_and_temperature_come_from_validation_and_figures_from_the_section(tmp_path: Path) -> None:
    # scores are shifted by +4: argmax calls every case positive, a threshold from validation does not
    validation, test = scored("validation", 60, 4, 0), scored("test", 40, 4, 1)
    baseline = {"coin": lambda ids: np.full((len(ids), 2), 0.5)}
    run(report(tmp_path, baselines=baseline), validation[0] + test[0], validation[1] + test[1])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["auroc"]["n"] == 40
    assert metrics["balanced_accuracy"]["value"] > 0.85
    assert metrics["baselines"]["coin"]["auroc"]["value"] == 0.5
    assert metrics["auroc"]["low"] <= metrics["auroc"]["value"] <= metrics["auroc"]["high"]
    point = load_operating_point(tmp_path / "model.pt")
    assert point["temperature"] > 1.5
    assert point["threshold"] > 0.5
    assert {row["section"] for row in csv.DictReader(open(tmp_path / "predictions.csv"))} == {"test"}
    assert (tmp_path / "classification.png").is_file()
    assert (tmp_path / "baselines/coin.csv").is_file()


def test_a_threshold_fixed_beforehand_is_not_chosen_again(tmp_path: Path) -> None:
    (first, outputs), (second, more) = scored("validation", 40, 4.0, 0), scored("test", 40, 4.0, 1)
    handler = report(tmp_path, threshold=0.5, calibrate=False)
    run(handler, first + second, outputs + more)
    assert load_operating_point(tmp_path / "model.pt") == {"temperature": 1.0, "threshold": 0.5}
    protocol = json.loads((tmp_path / "metrics.json").read_text())["protocol"]
    assert "temperature 1.000 kept, threshold 0.500 (fixed)" in protocol


def test_an_operating_point_of_other_weights_is_not_used(tmp_path: Path) -> None:
    validation, test = scored("validation", 20, 0, 0), scored("test", 20, 0, 1)
    run(report(tmp_path), validation[0] + test[0], validation[1] + test[1])
    torch.save({"other": torch.ones(1)}, tmp_path / "model.pt")
    point = load_operating_point(tmp_path / "model.pt")
    assert point == {"temperature": 1.0, "threshold": None}


def test_an_empty_section_is_named(tmp_path: Path) -> None:
    validation = scored("validation", 20, 0, 0)
    with pytest.raises(ValueError, match="section 'test' has no cases"):
        run(report(tmp_path), *validation)
