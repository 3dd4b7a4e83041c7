import json
from pathlib import Path

import pytest

from common.data.results import read_predictions, write_metrics, write_predictions


def row(**changes: object) -> dict:
    return {"id": "a", "group": "g", "section": "test", "label": 1, "pred": 0, "prob": [0.75, 0.25]} | changes


def test_predictions_come_back_as_written(tmp_path: Path) -> None:
    rows = [row(), row(id="b", label=-1), {"id": "c", "group": "g", "section": "test", "label": -1, "error": "torn"}]
    write_predictions(tmp_path / "p.csv", rows, ["no", "yes"])
    back, names = read_predictions(tmp_path / "p.csv")
    assert names == ["no", "yes"]
    assert [r["label"] for r in back] == [1, -1, -1]
    assert back[0]["prob"] == [0.75, 0.25]
    assert back[2]["error"] == "torn"
    assert "prob" not in back[2]
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "id,group,section,label,pred,prob_no,prob_yes,error"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([row(), row()], "id a stands twice", id="repeated id"),
        pytest.param([row(label=2)], "case a has label 2", id="unknown class"),
        pytest.param([row(pred=5)], "case a has pred 5", id="unknown prediction"),
        pytest.param([row(prob=[0.5, 0.4])], "sum to 1", id="no distribution"),
        pytest.param([row(prob=[1.0])], "expected 2 numbers", id="missing class"),
    ],
)
def test_rows_that_break_the_schema_are_refused_by_name(tmp_path: Path, rows: list[dict], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_predictions(tmp_path / "p.csv", rows, ["no", "yes"])
    assert not (tmp_path / "p.csv").exists()


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,score\na,1\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        read_predictions(tmp_path / "p.csv")


def test_metrics_follow_the_schema(tmp_path: Path) -> None:
    entry = {"value": 0.51234, "low": float("nan"), "high": 1.0, "n": 3}
    write_metrics(tmp_path / "m.json", {"auroc": entry}, {"forest": {"auroc": entry}}, "toy, section test")
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["auroc"] == {"value": 0.5123, "low": None, "high": 1.0, "n": 3}
    assert content["baselines"]["forest"]["auroc"]["n"] == 3
    with pytest.raises(ValueError, match="model.auroc has"):
        write_metrics(tmp_path / "m.json", {"auroc": {"value": 1.0}}, {}, "toy")
    with pytest.raises(ValueError, match="protocol must be one line"):
        write_metrics(tmp_path / "m.json", {}, {}, "two\nlines")
