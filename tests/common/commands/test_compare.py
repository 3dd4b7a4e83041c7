"""The same cases, several runs, paired intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.commands.compare import compare
from common.data.response_results import write_responses
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


def regression(folder: Path, rmse: list[float], repeats: int = 1, cases: int = 12, **figures: list[float]) -> str:
    """A cross-validation in which fold k of each repeat has the k-th value of each figure."""
    folds = len(rmse)
    lines = []
    for name, shift in (("model", 0.0), ("naive", 1.0)):
        for r in range(repeats):
            for k in range(folds):
                values = {figure: numbers[k] for figure, numbers in figures.items()}
                head = {"name": name, "repeat": r, "fold": k, "n": cases // folds}
                lines.append(head | {"rmse": rmse[k] + shift + r} | values)
    rows = [
        {"id": f"pair{k}", "group": f"cell{k}", "section": f"fold{k % folds}", "y": 0.0, "pred": 0.0}
        for k in range(cases)
    ]
    write_responses(folder / "predictions.csv", rows)
    pd.DataFrame(lines).to_csv(folder / "folds.csv", index=False)
    return str(folder)


def test_regressions_are_compared_fold_by_fold(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first = regression(tmp_path / "a", [1.0, 2.0, 3.0], drug_r=[0.5, 0.5, 0.5], mae=[1.0, 1.0, 4.0])
    # better by .1 in every fold, however much the folds differ; worse by .3, better by .1, equal
    other = regression(tmp_path / "b", [0.9, 1.9, 2.9], drug_r=[0.2, 0.6, 0.5], mae=[1.0, 1.0, 1.0])
    compare(first, other, output=str(tmp_path / "docs" / "t.csv"), num_bootstrap=200)
    table = pd.read_csv(tmp_path / "docs" / "t.csv", index_col="run")
    assert list(table.index) == ["a", "b"]
    assert table.loc["a", ["rmse", "mae", "drug_r"]].tolist() == [2.0, 2.0, 0.5]
    assert table.loc["b", ["rmse_difference", "rmse_low", "rmse_high"]].tolist() == [-0.1] * 3
    assert table.loc["b", ["rmse_folds_better", "drug_r_folds_better", "folds", "n"]].tolist() == [3, 1, 3, 12]
    assert table.drug_r_difference["b"] == pytest.approx(-0.2 / 3, abs=6e-4)
    assert table.drug_r_low["b"] < 0 < table.drug_r_high["b"]
    assert (table.loc["a", ["rmse_difference", "rmse_low", "rmse_high", "rmse_folds_better"]] == 0).all()
    assert "differences to a, bootstrap over paired folds" in capsys.readouterr().out


def test_repeats_of_a_regression_are_averaged(tmp_path: Path) -> None:
    first = regression(tmp_path / "a", [1.0, 2.0], 3)
    other = regression(tmp_path / "b", [1.5, 1.5], 3)
    compare(first, other, output=str(tmp_path / "t.csv"), num_bootstrap=100)
    table = pd.read_csv(tmp_path / "t.csv", index_col="run")
    assert table.rmse["a"] == table.rmse["b"] == 2.5  # repeats add 0, 1 and 2
    assert table.loc["b", ["rmse_low", "rmse_high", "folds", "n"]].tolist() == [-0.5, 0.5, 6, 12]


def test_regressions_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first = regression(tmp_path / "a", [1.0, 2.0])
    with pytest.raises(ValueError, match="more has other cases or folds than .*a; cross-validate both"):
        compare(first, regression(tmp_path / "more", [1.0, 2.0], cases=14), output=str(tmp_path / "t.csv"))
    with pytest.raises(ValueError, match="thirds has other cases or folds than"):
        compare(first, regression(tmp_path / "thirds", [1.0, 2.0, 3.0]), output=str(tmp_path / "t.csv"))
    with pytest.raises(FileNotFoundError, match="missing/predictions.csv does not exist; run cross-validate"):
        compare(first, str(tmp_path / "missing"), output=str(tmp_path / "t.csv"))
    (Path(regression(tmp_path / "single", [1.0, 2.0])) / "folds.csv").unlink()
    with pytest.raises(FileNotFoundError, match="folds.csv does not exist; run cross-validate"):
        compare(str(tmp_path / "single"), first, output=str(tmp_path / "t.csv"))
    classes = run(tmp_path / "classes", 1.0)
    (tmp_path / "classes" / "folds.csv").touch()
    with pytest.raises(ValueError, match="classes is no regression, and the first run is"):
        compare(first, classes, output=str(tmp_path / "t.csv"))
