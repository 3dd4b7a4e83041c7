"""Cross-validation of a regression bundle that is only pretended: its figures are a function of the fold and seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import common.commands.cross_validate as command
from common.commands.pool_responses import mean_over_folds, pool_responses
from common.data import load_datalist, read_responses, write_datalist, write_metrics, write_responses

CELLS = 12
PROTOCOL = "toy: section test; ln IC50; 95 % percentile bootstrap over cells"


def entry(value: float, n: int) -> dict[str, float]:
    return {"value": value, "low": value - 1, "high": value + 1, "n": n}


def write_fold(folder: Path, rows: list[dict], rmse: float, naive: float, **figures: float) -> None:
    write_responses(folder / "predictions.csv", rows, ["drug"])
    n = len(rows)
    model = {"rmse": entry(rmse, n)} | {name: entry(value, n) for name, value in figures.items()}
    write_metrics(folder / "metrics.json", model, {"naive": {"rmse": entry(naive, n)}}, PROTOCOL)


def rows_of(cells: list[str], shift: float = 0.0) -> list[dict]:
    rows = []
    for cell in cells:
        for drug in ("erlotinib", "cisplatin"):
            head = {"id": f"{drug}|{cell}", "group": cell, "section": "test", "drug": drug}
            rows.append(head | {"y": 1.0, "pred": 2.0 + shift, "low": shift, "high": 3.0 + shift})
    return rows


def pretend(bundle: Path, config: list[str], ids: dict[str, Any], log: Path) -> None:
    """In place of the two processes of a fold: errors 1, 2 and 3, the naive one always 2.5."""
    log.touch()
    if config[-1] == "evaluate.json":
        folder = Path(ids["output_dir"])
        seed, fold = ids.get("seed", 0), int(folder.name.removeprefix("fold"))
        rows = rows_of([case["value"] for case in load_datalist(folder, ["test"])["test"]], seed)
        write_fold(folder, rows, 1.0 + fold, 2.5, drug_r=0.5 if fold else float("nan"))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "_bundle_run", pretend)
    table = tmp_path / "data/responses.csv"
    table.parent.mkdir()
    table.touch()
    cases = [{"id": f"cell c{k}", "group": f"c{k}", "responses": str(table), "value": f"c{k}"} for k in range(CELLS)]
    write_datalist(tmp_path / "data", "screen", "toy", [], {"training": cases}, {"split": "cell", "licence": "own"})
    return tmp_path


def run(dataset: Path, **options: Any) -> Path:
    options = {"folds": 3, "num_bootstrap": 200, "sections": "training", **options}
    command.cross_validate(str(dataset / "bundle"), str(dataset / "data"), str(dataset / "cv"), **options)
    return dataset / "cv"


def test_figures_are_means_over_folds_beside_those_of_baselines(dataset: Path, capsys: pytest.CaptureFixture) -> None:
    folder = run(dataset)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rmse"] == {"value": 2.0, "low": 1.0, "high": 3.0, "n": 2 * CELLS}
    assert metrics["rmse_sd"] == {"value": 1.0, "low": None, "high": None, "n": 2 * CELLS}
    assert metrics["drug_r"]["value"] == metrics["drug_r"]["low"] == 0.5  # null in fold 0, which is left out
    naive = metrics["baselines"]["naive"]
    assert naive["rmse"] == {"value": 2.5, "low": 2.5, "high": 2.5, "n": 2 * CELLS}
    assert list(naive) == ["rmse", "rmse_sd"]
    assert metrics["folds_better_than_naive"] == {"value": 2, "low": None, "high": None, "n": 3}
    protocol = metrics["protocol"]
    assert protocol.startswith("mean of the figures of single folds, 3 folds by group, seed 0; 95 % percentile boot")
    assert protocol.endswith("; ln IC50") and protocol.count("bootstrap") == 1
    printed = capsys.readouterr().out
    assert "model: rmse 2.000 [1.000, 3.000] +- 1.000, drug_r 0.500" in printed
    assert "model: lower RMSE than naive in 2 of 3 folds" in printed


def test_cases_of_all_folds_are_put_together_with_their_columns(dataset: Path) -> None:
    folder = run(dataset)
    rows = read_responses(folder / "predictions.csv")
    assert len(rows) == 2 * CELLS
    for k in range(3):
        tested = {case["value"] for case in load_datalist(folder / f"fold{k}", ["test"])["test"]}
        assert {row["group"] for row in rows if row["section"] == f"fold{k}"} == tested
    assert {row["drug"] for row in rows} == {"erlotinib", "cisplatin"}
    table = pd.read_csv(folder / "folds.csv")
    assert list(table.columns) == ["name", "repeat", "fold", "n", "rmse", "drug_r"]
    assert table.rmse.tolist() == [1, 2, 3, 2.5, 2.5, 2.5]
    assert table.drug_r.isna().tolist() == [True, False, False, True, True, True]
    assert table.n.tolist() == [8] * 6


def test_repeats_are_averaged_case_by_case_and_narrow_no_interval(dataset: Path) -> None:
    folder = run(dataset, repeats=2, seed=4)
    first, second, pooled = (read_responses(folder / name / "predictions.csv") for name in ("repeat0", "repeat1", "."))
    assert {row["section"] for row in first} == {"fold0", "fold1", "fold2"}
    assert {(row["pred"], row["low"], row["high"]) for row in second} == {(7.0, 5.0, 8.0)}
    assert {(row["section"], row["pred"], row["low"], row["high"]) for row in pooled} == {("pooled", 6.5, 4.5, 7.5)}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rmse"] == {"value": 2.0, "low": 1.0, "high": 3.0, "n": 2 * CELLS}
    assert metrics["folds_better_than_naive"]["value"] == 4
    assert metrics["folds_better_than_naive"]["n"] == 6
    assert "mean over 2 repeats with seeds from 4" in metrics["protocol"]


def test_errors_and_unmeasured_cases_are_kept_and_other_cases_refused(tmp_path: Path) -> None:
    folders = [[tmp_path / f"repeat{r}/fold{k}" for k in range(2)] for r in range(2)]
    for part in folders:
        for k, folder in enumerate(part):
            write_fold(folder, rows_of([f"c{k}"]), 1.0, 2.0)
    first, second = rows_of(["c0"])
    write_fold(folders[0][0], [first | {"y": None, "drug": "gefitinib"}, second], 1.0, 2.0)
    write_fold(folders[1][0], [first | {"y": None}, {**second, "pred": None, "error": "no omics"}], 1.0, 2.0)
    pool_responses(tmp_path, folders, "toy", 20)
    rows = read_responses(tmp_path / "predictions.csv")
    assert np.isnan(rows[0]["y"]) and rows[0]["drug"] == ""  # told differently by the repeats
    assert [row["error"] for row in rows] == ["", "no omics", "", ""]
    assert pd.read_csv(tmp_path / "folds.csv").n.tolist()[:4] == [1, 2, 0, 2]
    write_fold(folders[1][1], rows_of(["c2"]), 1.0, 2.0)
    with pytest.raises(ValueError, match=r"repeats 0 and 1 do not both hold cisplatin\|c1; evaluate all repeats"):
        pool_responses(tmp_path, folders, "toy", 20)


def test_folds_with_other_baselines_are_refused(tmp_path: Path) -> None:
    folders = [tmp_path / f"fold{k}" for k in range(2)]
    for k, folder in enumerate(folders):
        write_fold(folder, rows_of([f"c{k}"]), 1.0, 2.0)
    write_metrics(folders[1] / "metrics.json", {"rmse": entry(1.0, 2)}, {}, PROTOCOL)
    with pytest.raises(ValueError, match=r"fold1 has figures of \['model'\], and .*fold0 of \['model', 'naive'\]"):
        pool_responses(tmp_path, [folders], "toy", 20)


def test_equal_repeats_have_the_interval_of_one() -> None:
    values = np.random.default_rng(0).normal(size=(10, 3))
    values[2, 1] = np.nan
    values[:, 2] = np.nan
    once = mean_over_folds(values, [0] * 10, 500)
    many = mean_over_folds(np.tile(values, (4, 1)), np.repeat(range(4), 10).tolist(), 500)
    np.testing.assert_allclose(many[:, :3], once[:, :3])
    np.testing.assert_allclose(once[:2, 0], np.nanmean(values[:, :2], axis=0))
    assert once[:, 3].tolist() == [10, 9, 0]
    assert np.isnan(once[2, :3]).all()


def test_folds_say_of_the_data_what_their_source_says(dataset: Path) -> None:
    folder = run(dataset)
    content = json.loads((folder / "fold1/dataset.json").read_text())
    assert (content["split"], content["licence"]) == ("cell", "own")
    assert content["description"].startswith("fold1 of 3 folds by group")
