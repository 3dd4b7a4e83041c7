import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as picture

from common.data import read_fusion_table
from common.handlers import FusionReport

from .fusion_cases import case, pair, run


@pytest.fixture
def cases() -> list[dict]:
    return [case(f"c{k}", pair(k), group=f"g{k // 3}") for k in range(9)] + [case("v", pair(), section="validation")]


def report(folder: Path, **arguments: object) -> FusionReport:
    return FusionReport(str(folder), "test", "/data/toy", "clip", num_bootstrap=50, **arguments)


def test_all_files_of_a_section(tmp_path: Path, cases: list[dict], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(report(tmp_path), cases, [item["image"].amax(0, keepdim=True) for item in cases])
    rows = read_fusion_table(tmp_path / "metrics.csv")
    assert len(rows) == 9 * 4
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert sorted(metrics["baselines"]) == ["average", "laplacian_pyramid", "maximum"]
    values = [row["values"]["qabf"] for row in rows if row["method"] == "model"]
    assert metrics["qabf"]["value"] == pytest.approx(np.mean(values), abs=1e-4)
    assert metrics["qabf"]["n"] == 9
    assert metrics["ms_ssim"] == {"value": None, "low": None, "high": None, "n": 0}  # too small
    assert metrics["qabf"] == metrics["baselines"]["maximum"]["qabf"]
    assert "toy: section test; " in metrics["protocol"]
    for part in (
        "output range clip",
        "Cb and Cr kept",
        "SSIM gaussian",
        "MI in nats",
        "VIF pixel",
        "all sources are 0",
    ):
        assert part in metrics["protocol"]
    with open(tmp_path / "comparison.csv", newline="") as handle:
        lines = {(line["metric"], line["baseline"]): line for line in csv.DictReader(handle)}
    same, other = lines["sd", "maximum"], lines["sd", "average"]
    assert (same["difference"], same["p"]) == ("0", "1")
    assert (float(other["difference"]) > 0, other["p"], other["cases"], other["pairs"]) == (True, "0.25", "3", "9")
    assert (lines["rmse", "average"]["better"], other["better"]) == ("down", "up")
    assert picture.imread(tmp_path / "fusion.png").std() > 0
    assert "model: qabf" in caplog.text
    assert "results of 9 pairs" in caplog.text


def test_chosen_metrics_and_baselines_and_a_failed_case(tmp_path: Path, cases: list[dict]) -> None:
    cases[1]["error"] = "torn"
    handler = report(tmp_path, metrics=["sd", "cc"], baselines=["average"], primary="cc")
    run(handler, cases, [item["image"].amax(0, keepdim=True) for item in cases])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == ["sd", "cc", "baselines", "protocol"]
    assert list(metrics["baselines"]) == ["average"]
    assert metrics["sd"]["n"] == 8
    assert [row["error"] for row in read_fusion_table(tmp_path / "metrics.csv")].count("torn") == 1


def test_the_figure_holds_the_extremes(tmp_path: Path, cases: list[dict]) -> None:
    handler = report(tmp_path, metrics=["sd"], primary="sd")
    run(handler, cases, [item["image"].amax(0, keepdim=True) for item in cases])
    values = {row["id"]: row["values"]["sd"] for row in handler.rows if row["method"] == "model"}
    order = sorted(values, key=values.__getitem__)
    assert [shown["id"] for shown in handler.pictures] == order[:3] + order[-3:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"metrics": ["sd"]}, "primary is 'qabf'", id="primary not computed"),
        pytest.param({"metrics": ["sd", "qabf", "beauty"]}, "metrics are .*'beauty'", id="unknown metric"),
        pytest.param({"baselines": ["median"]}, "baseline 'median' is unknown", id="unknown baseline"),
    ],
)
def test_unknown_names_are_refused_before_anything_runs(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report(tmp_path, **arguments)


def test_an_empty_section_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="section 'test' has no cases"):
        run(report(tmp_path), [], [])
