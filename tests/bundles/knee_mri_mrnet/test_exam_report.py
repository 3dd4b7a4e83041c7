import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.exam_report import ExamReport
from scripts.exam_results import read_exam_predictions
from sklearn.metrics import roc_auc_score

from .exam_engines import exam, run, stacker


def scored(section: str, count: int, seed: int) -> tuple[list[dict], list[dict]]:
    """The sagittal member knows the ACL, the coronal one the meniscus; the stack knows all; the others are noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, (count, 3))
    members = generator.normal(size=(count, 3, 3))
    members[:, 0, 0] += 3 * labels[:, 0]
    members[:, 2, 1] += 3 * labels[:, 1]
    members[:, 1, 2] += 3 * labels[:, 2]
    stack = 4 * labels - 2 + 0.3 * generator.normal(size=(count, 3))
    batch = [exam(k, section, tuple(row.tolist())) for k, row in enumerate(labels)]
    output = [
        {"pred": torch.tensor(s), "members": torch.tensor(m), "present": torch.ones(3, dtype=torch.bool)}
        for s, m in zip(stack, members, strict=True)
    ]
    return batch, output


def report(tmp_path: Path, **arguments: object) -> ExamReport:
    return ExamReport(
        str(tmp_path), "test", "toy", stacker(), num_bootstrap=arguments.pop("num_bootstrap", 20), **arguments
    )


def table(path: Path) -> list[dict]:
    return list(csv.DictReader(open(path)))


def test_the_stack_stands_beside_its_baselines_with_the_same_figures(tmp_path: Path) -> None:
    validation, test = scored("validation", 30, 0), scored("test", 40, 1)
    coin = {"coin": lambda ids: np.full((len(ids), 3), 0.5)}
    run(report(tmp_path, baselines=coin), validation[0] + test[0], validation[1] + test[1])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    names = {
        f"{f}_{t}"
        for f in ("auroc", "auprc", "accuracy", "sensitivity", "specificity", "brier")
        for t in ("abnormal", "acl", "meniscus")
    } | {"auroc_mean"}
    assert set(metrics) == names | {"baselines", "protocol"}
    assert set(metrics["baselines"]) == {"mean_of_logits", "best_single_plane", "coin"}
    assert all(set(figures) == names for figures in metrics["baselines"].values())
    assert metrics["auroc_acl"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 40}
    assert metrics["baselines"]["coin"]["auroc_acl"]["value"] == 0.5
    assert "abnormal axial, acl sagittal, meniscus coronal;" in metrics["protocol"]
    single = np.array([float(out["members"][2, 1]) for out in test[1]])
    expected = roc_auc_score([case["acl"] for case in test[0]], single)
    assert metrics["baselines"]["best_single_plane"]["auroc_acl"]["value"] == pytest.approx(expected, abs=1e-4)
    assert (tmp_path / "exams.png").stat().st_size > 10000
    rows, _ = read_exam_predictions(tmp_path / "predictions.csv")
    assert {row["section"] for row in rows} == {"test"}
    assert rows[0]["prob"] == pytest.approx(torch.sigmoid(test[1][0]["pred"]).tolist(), abs=1e-6)
    coins, _ = read_exam_predictions(tmp_path / "baselines/coin.csv")
    assert coins[0]["prob"] == [0.5, 0.5, 0.5]
    assert [row["id"] for row in coins] == [row["id"] for row in rows]


def test_differences_are_paired_and_singles_are_all_there(tmp_path: Path) -> None:
    validation, test = scored("validation", 30, 0), scored("test", 40, 1)
    copy = {"copy": lambda ids: np.stack([torch.sigmoid(out["pred"]).numpy() for out in test[1]])}
    run(report(tmp_path, baselines=copy, num_bootstrap=50), validation[0] + test[0], validation[1] + test[1])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    rows = {(row["other"], row["task"]): row for row in table(tmp_path / "comparison.csv")}
    assert len(rows) == 3 * 4
    for task in ("abnormal", "acl", "meniscus", "mean"):
        # a paired bootstrap of two equal methods has no width; two bootstraps subtracted would have one
        assert [rows["copy", task][key] for key in ("value", "low", "high")] == ["0.0000"] * 3
        other = metrics["baselines"]["mean_of_logits"][f"auroc_{task}"]["value"]
        difference = metrics[f"auroc_{task}"]["value"] - other
        assert float(rows["mean_of_logits", task]["value"]) == pytest.approx(difference, abs=2e-4)
    singles = {(row["plane"], row["task"]): float(row["value"]) for row in table(tmp_path / "singles.csv")}
    assert len(singles) == 9
    assert singles["sagittal", "acl"] > 0.9 > singles["axial", "acl"]


def test_the_plane_is_chosen_on_validation_not_on_the_reported_section(tmp_path: Path) -> None:
    validation, test = scored("validation", 30, 0), scored("test", 30, 1)
    for case, output in zip(*test, strict=True):
        output["members"][0, 1] = 10.0 * case["acl"]  # in the test section the axial member is perfect
    run(report(tmp_path), validation[0] + test[0], validation[1] + test[1])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "acl sagittal" in metrics["protocol"]
    assert metrics["baselines"]["best_single_plane"]["auroc_acl"]["value"] < 1


def test_the_stack_decides_at_its_own_thresholds_and_a_missing_plane_is_noted(tmp_path: Path) -> None:
    validation, test = scored("validation", 30, 0), scored("test", 10, 1)
    for output in test[1]:
        output["pred"] = torch.logit(torch.tensor([0.3, 0.3, 0.1]))
    test[1][4]["present"] = torch.tensor([True, False, True])
    test[1][4]["members"][1] = 1000
    test[0][5]["error"] = "torn"
    run(report(tmp_path), validation[0] + test[0], validation[1] + test[1])
    rows, _ = read_exam_predictions(tmp_path / "predictions.csv")
    assert rows[3]["pred"] == [0, 0, 0]
    assert (rows[4]["pred"], rows[4]["note"]) == ([1, 1, 0], "without coronal")
    assert rows[5]["error"] == "torn"
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy_acl"]["n"] == 9
    counts = {(row["plane"], row["task"]): row["n"] for row in table(tmp_path / "singles.csv")}
    assert (counts["coronal", "acl"], counts["axial", "acl"]) == ("8", "9")


def test_one_class_gives_nan_and_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    validation, test = scored("validation", 20, 0), scored("test", 20, 1)
    for case in test[0]:
        case["meniscus"] = 0
    test[0][0]["acl"] = -1
    run(report(tmp_path), validation[0] + test[0], validation[1] + test[1])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [metrics[name]["value"] for name in ("auroc_meniscus", "sensitivity_meniscus", "auroc_mean")] == [None] * 3
    assert metrics["specificity_meniscus"]["value"] is not None
    assert metrics["auroc_acl"]["n"] == 19
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "does not hold both classes of 'meniscus'" in warnings[0]
    rows = {(row["other"], row["task"]): row["value"] for row in table(tmp_path / "comparison.csv")}
    assert rows["mean_of_logits", "meniscus"] == ""


def test_an_empty_section_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="section 'validation' has no cases"):
        run(report(tmp_path), *scored("test", 5, 1))
