import csv
import json
from pathlib import Path

import numpy as np
import pytest

from common.data import fusion_figures, fusion_protocol, read_fusion_table, write_fusion_results, write_fusion_table


def row(case: str, method: str = "model", group: str = "g", error: str = "", **values: float) -> dict:
    head = {"id": case, "group": group, "section": "test", "method": method}
    return head | ({"error": error} if error else {"values": values, "error": ""})


def table(count: int = 12, groups: int = 4) -> list[dict]:
    generator = np.random.default_rng(0)
    rows = []
    for k in range(count):
        qabf, rmse = generator.random(2)
        rows.append(row(f"c{k}", group=f"g{k % groups}", qabf=qabf, rmse=rmse))
        rows.append(row(f"c{k}", "maximum", f"g{k % groups}", qabf=qabf - 0.1, rmse=rmse + generator.normal()))
    return rows


def test_tables_come_back_as_written(tmp_path: Path) -> None:
    rows = [row("a", qabf=0.5, vif=float("nan")), row("a", "maximum", qabf=0.25), row("b", error='torn, "quoted"')]
    write_fusion_table(tmp_path / "m.csv", rows)
    assert (tmp_path / "m.csv").read_text().splitlines()[0] == "id,group,section,method,qabf,vif,error"
    back = read_fusion_table(tmp_path / "m.csv")
    assert back[0]["values"]["qabf"] == 0.5
    assert np.isnan([back[0]["values"]["vif"], back[1]["values"]["vif"]]).all()
    assert back[2]["error"] == 'torn, "quoted"'
    assert "values" not in back[2]


def test_a_pair_twice_and_missing_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="id a stands twice for method 'model'"):
        write_fusion_table(tmp_path / "m.csv", [row("a"), row("a")])
    assert not (tmp_path / "m.csv").exists()
    (tmp_path / "m.csv").write_text("id,qabf\na,1\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['group', 'section', 'method', 'error'\]"):
        read_fusion_table(tmp_path / "m.csv")


def test_figures_are_means_over_pairs_without_errors() -> None:
    rows = [row("a", qabf=0.2, vif=1.0), row("b", group="h", qabf=0.4), row("c", error="torn")]
    figures = fusion_figures(rows, 100)
    assert list(figures) == ["model"]
    assert figures["model"]["qabf"] == pytest.approx({"value": 0.3, "low": 0.2, "high": 0.4, "n": 2})
    assert figures["model"]["vif"]["n"] == 1
    with pytest.raises(ValueError, match="no pair of the model is without an error"):
        fusion_figures([row("c", error="torn")])


def test_comparison_is_paired_by_case(tmp_path: Path) -> None:
    rows = table()
    np.random.default_rng(1).shuffle(rows)
    write_fusion_results(tmp_path, rows, "toy: section test", 200)
    with open(tmp_path / "comparison.csv", newline="") as handle:
        lines = {line["metric"]: line for line in csv.DictReader(handle)}
    qabf, rmse = lines["qabf"], lines["rmse"]
    # the difference is .1 in every pair, however much the pairs themselves differ
    assert [float(qabf[name]) for name in ("difference", "low", "high")] == pytest.approx([0.1] * 3)
    assert qabf["p"] == "0.125"  # 2 of 2^4 patterns
    assert (qabf["cases"], qabf["pairs"], qabf["better"], qabf["baseline"]) == ("4", "12", "up", "maximum")
    assert rmse["better"] == "down"
    assert float(rmse["low"]) < float(rmse["difference"]) < float(rmse["high"])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["protocol"] == "toy: section test"
    gap = metrics["qabf"]["value"] - metrics["baselines"]["maximum"]["qabf"]["value"]
    assert gap == pytest.approx(0.1, abs=2e-4)
    assert len(read_fusion_table(tmp_path / "metrics.csv")) == 24


def test_a_metric_without_values_has_no_line(tmp_path: Path) -> None:
    nothing = float("nan")
    write_fusion_results(tmp_path, [row("a", ms_ssim=nothing), row("a", "average", ms_ssim=nothing)], "toy", 20)
    assert (tmp_path / "comparison.csv").read_text().splitlines()[1:] == []
    assert json.loads((tmp_path / "metrics.json").read_text())["ms_ssim"]["value"] is None


def test_many_pairs_take_no_time(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [
        row(f"c{k}", method, f"g{k // 40}", **{f"m{i}": generator.random() for i in range(20)})
        for k in range(400)
        for method in ("model", "average", "maximum")
    ]
    figures = write_fusion_results(tmp_path, rows, "toy", 1000)
    assert figures["model"]["m0"]["n"] == 400


def test_protocol_is_one_line_that_names_the_variants() -> None:
    line = fusion_protocol("toy: section test", "minmax", 500)
    assert "\n" not in line
    assert line.startswith("toy: section test; ")
    assert "output range minmax" in line
    assert line.endswith("95 % percentile bootstrap over groups, 500 resamples")
