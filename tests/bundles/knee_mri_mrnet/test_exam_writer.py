import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.exam_results import read_exam_predictions
from scripts.exam_writer import ExamWriter, decide_exam, missing_note

from .exam_engines import exam, run, stacker


@pytest.mark.parametrize("given", [pytest.param(True, id="present given"), pytest.param(False, id="from the image")])
def test_an_exam_without_a_plane_says_so_and_has_its_own_thresholds(tmp_path: Path, given: bool) -> None:
    present = torch.tensor([[True, True, True], [True, True, False]])
    batch = [exam(0, labels=(1, 0, -1)), exam(1)]
    output = [{"pred": torch.tensor([0.9, 0.3, 0.1])} for _ in batch]
    for case, result, there in zip(batch, output, present, strict=True):
        if given:
            result["present"] = there
        case["image"] = torch.zeros(3, 2, 4, 4)
        case["image"][there, 1, 2, 3] = 0.5  # a single pixel makes a plane present
    run(ExamWriter(str(tmp_path), stacker(complete=0.5, partial=0.2)), batch, output)
    rows, _ = read_exam_predictions(tmp_path / "predictions.csv")
    assert [row["note"] for row in rows] == ["", "without sagittal"]
    assert [row["pred"] for row in rows] == [[1, 0, 0], [1, 1, 0]]
    assert rows[0]["label"] == [1, 0, -1]
    assert rows[0]["prob"] == pytest.approx([0.9, 0.3, 0.1])


def test_a_broken_exam_keeps_its_row_and_one_line_says_how_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = {"pred": torch.full((3,), 0.7), "present": torch.tensor([True, True, True])}
    empty = output | {"present": torch.zeros(3, dtype=torch.bool)}
    batch = [exam(0), exam(1, error="no such file"), exam(2)]
    del batch[0]["acl"]  # inference need not know labels
    with caplog.at_level(logging.INFO):
        run(ExamWriter(str(tmp_path), stacker()), batch, [output, output, empty])
    rows, _ = read_exam_predictions(tmp_path / "predictions.csv")
    assert [row["error"].split(";")[0] for row in rows] == ["", "no such file", "ExamWriter: all planes are empty"]
    assert ["prob" in row for row in rows] == [True, False, False]
    assert rows[0]["label"] == [0, -1, 0]
    assert caplog.messages == [f"3 exams, 2 of them with an error (see the column error): {tmp_path}/predictions.csv"]


def test_bit_k_of_the_threshold_row_is_plane_k() -> None:
    threshold = torch.arange(8.0)[:, None].expand(8, 3) / 10
    for present, row in (([1, 0, 0], 1), ([0, 1, 0], 2), ([0, 0, 1], 4), ([1, 0, 1], 5)):
        at, below = row / 10 + 1e-6, row / 10 - 1e-6
        answers = decide_exam(np.array([at, below, 1.0]), np.array(present, dtype=bool), threshold)
        assert answers.tolist() == [1, 0, 1]


def test_every_missing_plane_is_noted() -> None:
    assert missing_note(np.array([True, True, True])) == ""
    assert missing_note(np.array([False, True, False])) == "without axial, sagittal"
