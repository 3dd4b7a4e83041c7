import math
import time
from pathlib import Path

import numpy as np
import pytest

from common.data import is_response_table, read_responses, write_predictions, write_responses


def row(**changes: object) -> dict:
    numbers = {"y": 1.5, "pred": 1.25, "low": -0.5, "high": 3.0}
    return {"id": "a", "group": "g", "section": "test", **numbers, "error": ""} | changes


def test_responses_come_back_as_written(tmp_path: Path) -> None:
    failed = {"id": "d", "group": "g", "section": "test", "y": 2.0, "error": 'torn, "quoted"'}
    rows = [
        row(drug="Olaparib", cell="A, 549"),
        row(id="b", y=None, low=None, high=math.nan),
        row(id="c", high=None),
        failed,
    ]
    write_responses(tmp_path / "p.csv", rows, ["drug", "cell"])
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "id,group,section,y,pred,low,high,drug,cell,error"
    assert lines[2] == "b,g,test,,1.25,,,,,"
    first, unmeasured, one_sided, error = read_responses(tmp_path / "p.csv")
    assert first == row(drug="Olaparib", cell="A, 549")
    assert all(math.isnan(unmeasured[name]) for name in ("y", "low", "high"))
    assert (one_sided["low"], math.isnan(one_sided["high"])) == (-0.5, True)
    assert error == failed | {"drug": "", "cell": ""}


def test_what_was_read_can_be_written_again(tmp_path: Path) -> None:
    rows = [row(), row(id="b", y=None), {"id": "c", "group": "g", "section": "test", "error": "torn"}]
    write_responses(tmp_path / "p.csv", rows)
    write_responses(tmp_path / "q.csv", read_responses(tmp_path / "p.csv"))
    assert (tmp_path / "p.csv").read_text() == (tmp_path / "q.csv").read_text()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([row(id="b"), row(), row()], "id a stands twice", id="repeated id"),
        pytest.param([row(y=math.inf)], "case a has y inf; give a finite number", id="infinite y"),
        pytest.param([row(pred=math.nan)], "case a has pred nan", id="no prediction"),
        pytest.param([row(pred=None)], "case a has pred nan; give .* or an error", id="empty prediction"),
        pytest.param([row(low=-math.inf)], "case a has low -inf", id="open interval"),
        pytest.param([row(low=2.0)], r"pred 1.25 outside of its interval 2 to 3; low <= pred", id="below the interval"),
        pytest.param([row(low=None, high=1.0)], "pred 1.25 outside of its interval nan to 1", id="above the interval"),
    ],
)
def test_rows_that_break_the_schema_are_refused_by_name(tmp_path: Path, rows: list[dict], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_responses(tmp_path / "p.csv", rows)
    assert not (tmp_path / "p.csv").exists()


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,group,section,pred,low,high\na,g,test,1,0,2\n")
    with pytest.raises(ValueError, match=r"p.csv lacks the columns \['y', 'error'\]; expected"):
        read_responses(tmp_path / "p.csv")


def test_tables_are_told_by_their_header(tmp_path: Path) -> None:
    write_responses(tmp_path / "y.csv", [])
    case = {"id": "a", "group": "g", "section": "test", "label": 0, "pred": 0, "prob": [1.0]}
    write_predictions(tmp_path / "label.csv", [case], ["only"])
    (tmp_path / "empty.csv").touch()
    found = [is_response_table(tmp_path / f"{name}.csv") for name in ("y", "label", "empty", "missing")]
    assert found == [True, False, False, False]


def test_a_whole_screen_takes_a_moment(tmp_path: Path) -> None:
    y = np.random.default_rng(0).normal(size=184_000).tolist()
    rows = [row(id=f"drug {k // 919}|cell {k % 919}", y=y[k], drug=k // 919) for k in range(len(y))]
    start = time.process_time()
    write_responses(tmp_path / "p.csv", rows, ["drug"])
    between = time.process_time()
    back = read_responses(tmp_path / "p.csv")
    assert max(between - start, time.process_time() - between) < 4  # about 1 s each on an idle core
    np.testing.assert_allclose([r["y"] for r in back], y, rtol=1e-5)
