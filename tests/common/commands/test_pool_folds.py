"""Protocols of cross-validation with a bundle that is only pretended: its scores are a function of the case."""

import csv
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import common.commands.cross_validate as command
from common.data import load_datalist, read_predictions, write_datalist, write_predictions

SITES = ["NYU"] * 40 + ["UM"] * 24 + ["CMU"] * 8


def score(case: dict, seed: int, strength: float) -> float:
    noise = np.random.default_rng(zlib.crc32(f"{case['id']} {seed}".encode())).random()
    return strength * case["label"] + (1 - strength) * noise


def pretend(bundle: Path, config: list[str], ids: dict[str, Any], log: Path) -> None:
    """In place of the two processes of a fold."""
    log.write_text(" ".join(config))
    if config[-1] != "evaluate.json":
        return
    folder = Path(ids["output_dir"])
    cases = load_datalist(folder, ["test"])["test"]
    for path, strength in {"predictions.csv": 0.3, "baselines/linear.csv": 0.0}.items():
        values = [score(case, ids.get("seed", 0), strength) for case in cases]
        rows = [case | {"prob": [1 - v, v], "pred": int(v >= 0.5)} for case, v in zip(cases, values, strict=True)]
        (folder / path).parent.mkdir(exist_ok=True)
        write_predictions(folder / path, rows, ["control", "autism"])
    (folder / "metrics.json").write_text("{}")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "_bundle_run", pretend)
    (tmp_path / "series.1D").touch()
    cases = [
        {"id": f"s{k}", "image": str(tmp_path / "series.1D"), "label": k % 2, "site": site, "motion": 0.01 * (k % 10)}
        for k, site in enumerate(SITES)
    ]
    write_datalist(tmp_path / "data", "toy", "series", ["control", "autism"], {"training": cases})
    return tmp_path


def run(dataset: Path, output: str = "cv", **options: Any) -> Path:
    folder = dataset / output
    options = {"num_bootstrap": 40} | options
    command.cross_validate("bundle", str(dataset / "data"), str(folder), sections="training", **options)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def test_leave_one_site_out_gives_each_site_one_fold(dataset: Path) -> None:
    folder = run(dataset, by="site", folds="all", table_by="site")
    for k in range(3):
        parts = load_datalist(folder / f"fold{k}")
        sites = {name: {case["site"] for case in part} for name, part in parts.items()}
        assert len(sites["test"]) == 1
        assert not sites["test"] & (sites["training"] | sites["validation"])
    assert not (folder / "fold3").exists()
    again = run(dataset, "numbered", by="site", folds=3)
    assert read_predictions(again / "predictions.csv")[0] == read_predictions(folder / "predictions.csv")[0]


def test_folds_and_inner_validation_share_out_site_and_diagnosis(dataset: Path) -> None:
    folder = run(dataset, stratify="site,label", folds=4)
    for k in range(4):
        parts = load_datalist(folder / f"fold{k}")
        counts = Counter((case["site"], case["label"]) for case in parts["test"])
        assert counts == {(site, y): SITES.count(site) // 8 for site in set(SITES) for y in (0, 1)}
        inner = Counter(case["site"] for case in parts["validation"])
        assert inner["NYU"] in (4, 5, 6)
        assert {case["label"] for case in parts["validation"]} == {0, 1}
    assert "stratified by site x label" in json.loads((folder / "metrics.json").read_text())["protocol"]


def test_repeats_are_averaged_case_by_case_and_figure_by_figure(dataset: Path) -> None:
    folder = run(dataset, stratify=("site", "label"), folds=2, repeats=3, seed=4)
    rows, names = read_predictions(folder / "predictions.csv")
    assert names == ["control", "autism"]
    cases = {case["id"]: case for case in load_datalist(dataset / "data")["training"]}
    assert {row["id"] for row in rows} == set(cases)
    for row in rows:
        scores = [score(cases[row["id"]], seed, 0.3) for seed in (4, 5, 6)]
        assert row["prob"][1] == pytest.approx(np.mean(scores), abs=1e-5)
        assert row["pred"] == int(np.sum(np.array(scores) >= 0.5) >= 2)
    pooled = []
    tests = []
    for r in range(3):
        part, _ = read_predictions(folder / f"repeat{r}/predictions.csv")
        pooled.append(roc_auc_score([row["label"] for row in part], [row["prob"][1] for row in part]))
        tests.append(frozenset(case["id"] for case in load_datalist(folder / f"repeat{r}/fold0", ["test"])["test"]))
    assert len(set(tests)) == 3
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["auroc"]["value"] == pytest.approx(np.mean(pooled), abs=1e-4)
    assert metrics["auroc"]["low"] < np.mean(pooled) < metrics["auroc"]["high"]
    assert metrics["baselines"]["mean probability over repeats"]["auroc"]["value"] > metrics["auroc"]["value"]
    lines = [line for line in table(folder / "folds.csv") if line["name"] == "model"]
    assert [line["fold"] for line in lines] == ["0", "1", "pooled"] * 3
    assert [float(line["auroc"]) for line in lines[2::3]] == pytest.approx(pooled, abs=1e-4)
    single = [float(line["auroc"]) for line in lines if line["fold"] != "pooled"]
    assert metrics["auroc_folds_mean"]["value"] == pytest.approx(np.mean(single), abs=2e-4)
    assert metrics["auroc_folds_sd"]["value"] == pytest.approx(np.std(single, ddof=1), abs=2e-4)


def test_an_interrupted_call_with_repeats_goes_on(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(dataset, folds=2, repeats=2)
    before = (folder / "metrics.json").read_text()
    (folder / "repeat1/fold0/metrics.json").unlink()
    capsys.readouterr()
    run(dataset, folds=2, repeats=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("repeat")]
    assert lines == ["repeat0/fold0: done before", "repeat0/fold1: done before"] + [
        "repeat1/fold0: evaluate",
        "repeat1/fold1: done before",
    ]
    assert (folder / "metrics.json").read_text() == before
    with pytest.raises(ValueError, match="holds a fold of another split"):
        run(dataset, folds=2, repeats=2, seed=9)


def test_sites_permutation_and_matched_cases_are_reported(dataset: Path) -> None:
    folder = run(dataset, folds=4, stratify="site", table_by="site", matched_on="motion")
    metrics = json.loads((folder / "metrics.json").read_text())
    rows, _ = read_predictions(folder / "predictions.csv")
    place = {row["id"]: row for row in rows}
    assert metrics["permutation_p"]["value"] < 0.01  # scores shifted by .3 of their range
    assert metrics["baselines"]["linear"]["permutation_p"]["value"] > 0.05
    lines = [line for line in table(folder / "groups.csv") if line["name"] == "model"]
    assert [(line["site"], line["n"]) for line in lines] == [("CMU", "8"), ("NYU", "40"), ("UM", "24")]
    nyu = [place[f"s{k}"] for k in range(40)]
    area = roc_auc_score([row["label"] for row in nyu], [row["prob"][1] for row in nyu])
    hits = np.mean([row["pred"] for row in nyu if row["label"]])
    assert float(lines[1]["auroc"]) == pytest.approx(area, abs=1e-4)
    assert float(lines[1]["sensitivity"]) == pytest.approx(hits, abs=1e-4)
    # motion is even hundredths in controls, odd in patients: outside the default caliper, no pair
    assert "matched_auroc" not in metrics
    assert "matched_*: 0 pairs" in metrics["protocol"]


def test_matched_figures_are_those_of_the_pairs(dataset: Path) -> None:
    content = json.loads((dataset / "data/dataset.json").read_text())
    for k, case in enumerate(content["training"]):
        case["motion"] = 0.01 * (k // 2) + (5 if k == 1 else 0)  # neighbours agree, but one patient moved
    del content["training"][3]["motion"]
    (dataset / "data/dataset.json").write_text(json.dumps(content))
    folder = run(dataset, folds=4, matched_on="motion", table_by="site")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["matched_auroc"]["n"] <= 72 - 4 + 2
    assert "pairs of both classes by motion within site" in metrics["protocol"]
    rows = [row for row in read_predictions(folder / "predictions.csv")[0] if row["id"] not in ("s1", "s3")]
    whole = roc_auc_score([row["label"] for row in rows], [row["prob"][1] for row in rows])
    assert metrics["matched_auroc"]["value"] == pytest.approx(whole, abs=0.03)


def test_entries_that_cases_lack_are_named_before_anything_runs(dataset: Path) -> None:
    with pytest.raises(ValueError, match="case s0 has no entry 'scanner'"):
        run(dataset, stratify="site,scanner")
    with pytest.raises(ValueError, match="case s0 has no entry 'scanner'"):
        run(dataset, table_by="scanner")
    with pytest.raises(ValueError, match="matched_on is 'weight', which needs that entry"):
        run(dataset, matched_on="weight")
    assert not (dataset / "cv").exists()
