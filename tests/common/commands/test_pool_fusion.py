"""Cross-validation of a fusion bundle that is only pretended: its figures are a function of the case and the seed."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import common.commands.cross_validate as command
from common.commands.pool_fusion import pool_fusion
from common.data import fusion_protocol, load_datalist, read_fusion_table, write_datalist, write_fusion_results

SLICES = {"25": 4, "30": 2, "41": 3}


def rows_of(case: dict, seed: int) -> list[dict]:
    base = int(case["id"].split("-")[1]) + seed
    head = {name: case[name] for name in ("id", "group", "section")}
    values = {"model": base + 1.0, "maximum": float(base)}
    return [head | {"method": m, "values": {"qabf": v, "rmse": v}, "error": ""} for m, v in values.items()]


def pretend(bundle: Path, config: list[str], ids: dict[str, Any], log: Path) -> None:
    """In place of the two processes of a fold."""
    log.write_text(json.dumps({name: str(value) for name, value in ids.items()}))
    if config[-1] == "evaluate.json":
        folder = Path(ids["output_dir"])
        rows = [row for case in load_datalist(folder, ["test"])["test"] for row in rows_of(case, ids.get("seed", 0))]
        write_fusion_results(folder, rows, fusion_protocol(f"{folder.name}: section test", "minmax", 20), 20)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "_bundle_run", pretend)
    (tmp_path / "pair.png").touch()
    cases = [
        {"id": f"{group}-{k}", "image": str(tmp_path / "pair.png"), "group": group, "label": -1}
        for group, count in SLICES.items()
        for k in range(count)
    ]
    write_datalist(tmp_path / "data", "pairs", "PET and MRI", [], {"training": cases})
    return tmp_path


def run(dataset: Path, output: str = "cv", **options: Any) -> Path:
    options = {"num_bootstrap": 30, "bundle": str(dataset / "bundle")} | options
    bundle = options.pop("bundle")
    command.cross_validate(bundle, str(dataset / "data"), str(dataset / output), sections="training", **options)
    return dataset / output


def test_leave_one_case_out_of_three_trains_validates_and_tests_on_one_each(dataset: Path) -> None:
    folder = run(dataset, folds="all", by="group")
    tested = []
    for k in range(3):
        parts = {name: {case["group"] for case in part} for name, part in load_datalist(folder / f"fold{k}").items()}
        assert all(len(groups) == 1 for groups in parts.values())
        assert set.union(*parts.values()) == set(SLICES)
        tested += list(parts["test"])
    assert sorted(tested) == sorted(SLICES)


def test_without_validation_all_the_others_train(dataset: Path) -> None:
    folder = run(dataset, folds="all", inner_validation=0)
    parts = load_datalist(folder / "fold0")
    assert len({case["group"] for case in parts["training"]}) == 2
    assert parts["validation"] == []


def test_pairs_of_all_folds_are_pooled_by_the_code_of_the_report(dataset: Path, capsys: pytest.CaptureFixture) -> None:
    folder = run(dataset, folds="all")
    rows = read_fusion_table(folder / "metrics.csv")
    assert len(rows) == 2 * 9
    assert {row["section"] for row in rows} == {"fold0", "fold1", "fold2"}
    metrics = json.loads((folder / "metrics.json").read_text())
    expected = np.mean([k + 1 for count in SLICES.values() for k in range(count)])
    assert metrics["qabf"]["value"] == pytest.approx(expected, abs=1e-4)
    assert metrics["qabf"]["n"] == 9
    protocol = metrics["protocol"]
    assert protocol.startswith("pooled test pairs of all folds, 3 folds by group, seed 0; gray levels 0..255")
    assert "output range minmax" in protocol
    assert protocol.count("bootstrap") == 1
    assert protocol.endswith("30 resamples")
    with open(folder / "comparison.csv", newline="") as handle:
        lines = {line["metric"]: line for line in csv.DictReader(handle)}
    assert (float(lines["qabf"]["difference"]), lines["qabf"]["p"], lines["qabf"]["cases"]) == (1, "0.25", "3")
    assert "model: qabf 2." in capsys.readouterr().out
    assert not (folder / "predictions.csv").exists()


def test_repeats_are_averaged_pair_by_pair(dataset: Path) -> None:
    folder = run(dataset, folds=3, repeats=2, seed=4)
    first, second = (read_fusion_table(folder / f"repeat{r}/metrics.csv") for r in range(2))
    values = [
        {(row["id"], row["method"]): row["values"]["qabf"] for row in part}
        for part in (first, second, read_fusion_table(folder / "metrics.csv"))
    ]
    assert values[0] != values[1]
    assert values[2] == {key: (value + values[1][key]) / 2 for key, value in values[0].items()}


def test_repeats_with_other_pairs_are_refused_and_errors_are_kept(tmp_path: Path) -> None:
    folders = [tmp_path / "repeat0/fold0", tmp_path / "repeat1/fold0"]
    case = {"id": "a-1", "group": "a", "section": "test"}
    failed = {"id": "b-1", "group": "b", "section": "test", "method": "model", "error": "torn"}
    for folder, rows in zip(folders, [rows_of(case, 0), [*rows_of(case, 1), failed]], strict=True):
        write_fusion_results(folder, rows, fusion_protocol("toy: section test", "clip", 20), 20)
    pool_fusion(tmp_path, [[folder] for folder in folders], "toy", 20)
    rows = read_fusion_table(tmp_path / "metrics.csv")
    assert [row["error"] for row in rows] == ["torn", "", ""]
    write_fusion_results(folders[1], rows_of(case, 1)[:1], fusion_protocol("toy: section test", "clip", 20), 20)
    with pytest.raises(ValueError, match="repeat 1 lacks maximum of a-1"):
        pool_fusion(tmp_path, [[folder] for folder in folders], "toy", 20)


@pytest.mark.parametrize("known", [True, False])
def test_calibrate_goes_only_to_bundles_that_know_it(dataset: Path, known: bool) -> None:
    configs = dataset / "bundle/configs"
    configs.mkdir(parents=True)
    (configs / "evaluate.json").write_text(json.dumps({"section": "test"} | ({"calibrate": True} if known else {})))
    folder = run(dataset, folds="all")
    assert ("calibrate" in json.loads((folder / "fold0/evaluate.log").read_text())) == known


def test_two_groups_are_too_few_to_validate(dataset: Path) -> None:
    content = json.loads((dataset / "data/dataset.json").read_text())
    content["training"] = [case for case in content["training"] if case["group"] != "41"]
    (dataset / "data/dataset.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="a fold leaves one group for training and validation"):
        run(dataset, folds="all")
    assert (run(dataset, folds="all", inner_validation=0) / "metrics.json").is_file()


def test_a_table_of_classes_needs_labels(dataset: Path) -> None:
    with pytest.raises(ValueError, match="table_by is 'group', and no case has a label"):
        run(dataset, folds="all", table_by="group")
