"""The same cases, several runs, paired intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.commands.compare import compare
from common.data.results import write_predictions


def run(folder: Path, signal: float, ids: range = range(80), seed: int = 0) -> str:
    generator = np.random.default_rng(seed)
    rows = []
    for k in ids:
        value = 1 / (1 + np.exp(-(signal * (k % 2 - 0.5) + generator.normal())))
        names = {"id": f"case{k}", "group": f"patient{k}", "section": "test", "label": k % 2}
        rows.append(names | {"prob": [1 - value, value], "pred": int(value > 0.5), "error": ""})
    folder.mkdir()
    write_predictions(folder / "predictions.csv", rows, ["control", "patient"])
    return str(folder)


def test_rows_are_named_after_runs_and_differ_from_the_first(tmp_path: Path) -> None:
    strong, weak, same = run(tmp_path / "a", 4.0), run(tmp_path / "b", 0.0, seed=1), run(tmp_path / "c", 4.0)
    compare(strong, weak, same, output=str(tmp_path / "docs" / "table.csv"), num_bootstrap=200)
    table = pd.read_csv(tmp_path / "docs" / "table.csv", index_col="run")
    assert list(table.index) == ["a", "b", "c"]
    assert table.auroc["a"] > 0.95 and table.auroc["b"] < 0.7
    assert table.difference["b"] == pytest.approx(table.auroc["b"] - table.auroc["a"], abs=0.0011)
    assert table.difference_high["b"] < 0
    assert table.difference_low["c"] == table.difference_high["c"] == 0  # paired: equal runs never differ
    assert (table.n == 80).all()


def test_a_file_of_a_baseline_is_a_run_too(tmp_path: Path) -> None:
    strong = run(tmp_path / "a", 4.0)
    ridge = (tmp_path / "a" / "predictions.csv").rename(tmp_path / "ridge.csv")
    compare(str(ridge), run(tmp_path / "b", 1.0, seed=2), output=str(tmp_path / "t.csv"), num_bootstrap=20)
    assert list(pd.read_csv(tmp_path / "t.csv").run) == ["ridge", "b"] and strong


def test_other_cases_are_refused(tmp_path: Path) -> None:
    runs = run(tmp_path / "a", 4.0), run(tmp_path / "b", 4.0, range(2, 82))
    with pytest.raises(ValueError, match="has other cases or labels than .*; compare runs on one section"):
        compare(*runs, output=str(tmp_path / "t.csv"))


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 run given, two or more"):
        compare(run(tmp_path / "a", 1.0), output="t.csv")
    with pytest.raises(FileNotFoundError, match="missing/predictions.csv does not exist; run evaluate.json"):
        compare(str(tmp_path / "a"), str(tmp_path / "missing"), output="t.csv")
    ones = run(tmp_path / "ones", 1.0, range(1, 9, 2))
    with pytest.raises(ValueError, match="labels of one class only"):
        compare(ones, ones, output="t.csv")
