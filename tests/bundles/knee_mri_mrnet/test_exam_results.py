import csv
from pathlib import Path

import numpy as np
import pytest
from scripts.exam_results import area_under_roc, exam_metrics, read_exam_predictions, write_exam_predictions
from sklearn.metrics import roc_auc_score


def row(**changes: object) -> dict:
    head = {"id": "0000", "group": "p0", "section": "test", "label": [1, -1, 0]}
    return head | {"pred": [1, 0, 0], "prob": [0.75, 0.25, 0.5], "note": "", "error": ""} | changes


def test_exams_come_back_as_written(tmp_path: Path) -> None:
    failed = {"id": "0002", "group": "p2", "section": "test", "label": [-1, -1, -1], "error": "torn, file"}
    write_exam_predictions(tmp_path / "p.csv", [row(), row(id="0001", note="without sagittal"), failed])
    back, tasks = read_exam_predictions(tmp_path / "p.csv")
    assert tasks == ["abnormal", "acl", "meniscus"]
    assert back[0] == row()
    assert back[1]["note"] == "without sagittal"
    assert back[2]["error"] == "torn, file"
    assert "prob" not in back[2]
    cells = next(csv.reader(open(tmp_path / "p.csv")))
    assert ",".join(cells) == (
        "id,group,section,label_abnormal,label_acl,label_meniscus,pred_abnormal,pred_acl,pred_meniscus,"
        "prob_abnormal,prob_acl,prob_meniscus,note,error"
    )
    assert list(csv.DictReader(open(tmp_path / "p.csv")))[0]["label_acl"] == ""


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([row(), row()], "id 0000 stands twice", id="repeated id"),
        pytest.param([row(label=[1, 2, 0])], "exam 0000 has label", id="unknown label"),
        pytest.param([row(pred=[1, -1, 0])], "exam 0000 has pred", id="unknown prediction"),
        pytest.param([row(prob=[0.5, 1.5, 0.1])], r"probabilities in \[0, 1\]", id="no probability"),
        pytest.param([row(prob=[0.5, float("nan"), 0.1])], r"probabilities in \[0, 1\]", id="NaN"),
        pytest.param([row(prob=[0.5, 0.5])], "expected 3 numbers", id="missing task"),
    ],
)
def test_rows_that_break_the_schema_are_refused_and_nothing_is_written(
    tmp_path: Path, rows: list[dict], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_exam_predictions(tmp_path / "p.csv", rows)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        pytest.param("id,prob_acl\n", "lacks the columns .*'group'", id="no head"),
        pytest.param("id,group,section,note,error\n", "prob_<task>", id="no task"),
    ],
)
def test_a_table_without_the_columns_is_refused(tmp_path: Path, header: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(header)
    with pytest.raises(ValueError, match=message):
        read_exam_predictions(tmp_path / "p.csv")


def test_the_area_equals_scikit_learn_with_ties_and_leaves_unlabelled_out() -> None:
    generator = np.random.default_rng(0)
    scores, labels = generator.integers(0, 6, 60) / 5, generator.integers(0, 2, 60)
    assert area_under_roc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert area_under_roc(np.append(scores, 9), np.append(labels, -1)) == area_under_roc(scores, labels)
    assert np.isnan(area_under_roc(scores, np.ones(60)))


def test_figures_of_each_task_by_hand() -> None:
    labels = np.array([[1, 1, 0], [0, -1, 0], [1, 0, 0], [0, 0, 0]])
    scores = np.array([[0.9, 0.4, 0.1], [0.2, 0.0, 0.2], [0.3, 0.6, 0.3], [0.1, 0.1, 0.4]])
    figures = exam_metrics(scores, labels, (scores >= 0.5).astype(int))
    assert figures["auroc_abnormal"] == 1
    assert (figures["sensitivity_abnormal"], figures["specificity_abnormal"]) == (0.5, 1)
    assert figures["auroc_acl"] == 0.5  # .4 lies above .1 and below .6; the unlabelled exam does not count
    assert figures["accuracy_acl"] == pytest.approx(1 / 3)
    assert figures["brier_acl"] == pytest.approx((0.6**2 + 0.6**2 + 0.1**2) / 3)
    undefined = {name for name, value in figures.items() if np.isnan(value)}
    assert undefined == {"auroc_meniscus", "auprc_meniscus", "sensitivity_meniscus", "auroc_mean"}
    assert figures["specificity_meniscus"] == 1


def test_a_task_without_labels_has_no_figures() -> None:
    labels = np.array([[1, 0, -1], [0, 1, -1]])
    figures = exam_metrics(np.full((2, 3), 0.5), labels, np.ones((2, 3), dtype=int))
    assert all(np.isnan(value) == ("meniscus" in name or "mean" in name) for name, value in figures.items())
