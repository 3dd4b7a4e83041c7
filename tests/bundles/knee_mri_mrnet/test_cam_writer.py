import csv
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scripts.backbones import Backbone
from scripts.cam_writer import CamWriter, PlantedFindings
from scripts.network import MRNet

from .exam_engines import TASKS, exam, run, stacker

PLANES = ("axial", "coronal", "sagittal")


def stack() -> SimpleNamespace:
    """Members that share a backbone which sees bright pixels, and a head that likes them."""
    convolution = torch.nn.Conv2d(1, 2, 4, stride=4, bias=False)
    torch.nn.init.constant_(convolution.weight, 1 / 16)
    backbone = Backbone("bright", convolution, 2, 0.0, 1.0)
    members = {}
    for plane in PLANES:
        for task in TASKS:
            members[plane, task] = MRNet(backbone)
            torch.nn.init.constant_(members[plane, task].head.classifier[-1].weight, 1.0)
    return SimpleNamespace(member=lambda plane, task: members[plane, task], stacker=stacker())


def batch_of(count: int) -> tuple[list[dict], list[dict]]:
    """Every exam has one bright square, in slice 2 at rows and columns 20 to 24; slice 5 is padding."""
    cases = [exam(k, labels=(1, 1, 0)) for k in range(count)]
    for case in cases:
        case["image"] = torch.full((3, 6, 32, 32), 0.1)
        case["image"][:, 2, 20:24, 20:24] = 1
        case["image"][:, 5] = 0
    return cases, [{"pred": torch.tensor([0.9, 0.8, 0.1])} for _ in cases]


def square(name: str, plane: str, task: str) -> np.ndarray | None:
    mask = np.zeros((5, 32, 32), dtype=bool)
    mask[2, 20:24, 20:24] = plane != "coronal"
    mask[0, 2:4, 2:4] = plane == "coronal"
    return mask if task == "acl" else None


def test_the_bright_square_is_found_in_slice_and_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases, output = batch_of(1)
    cases[0]["image"][0] = 0  # no axial plane
    with caplog.at_level(logging.INFO):
        run(CamWriter(str(tmp_path), stack(), truth=square, tolerance_px=3), cases, output)
    rows = {(r["task"], r["plane"]): r for r in csv.DictReader(open(tmp_path / "explanations.csv"))}
    assert len(rows) == 3 * 2
    row = rows["acl", "sagittal"]
    assert (row["winner"], row["slice"]) == ("2", "2")
    assert (int(row["row"]), int(row["column"])) == pytest.approx((22, 22), abs=1)
    assert (row["label"], row["pred"], row["hit"]) == ("1", "1", "1")
    assert rows["acl", "coronal"]["hit"] == "0"
    assert 0 < float(row["chance"]) < 0.1
    assert rows["meniscus", "sagittal"]["hit"] == ""
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"test0000_{task}.png" for task in TASKS]
    assert "acl sagittal: 1 of 1 true positives point into the finding" in caplog.text


def test_broken_exams_are_passed_over_and_the_number_is_limited(tmp_path: Path) -> None:
    cases, output = batch_of(4)
    cases[0]["error"] = "torn"
    run(CamWriter(str(tmp_path), stack(), tasks=["acl"], max_exams=2), cases, output)
    ids = [row["id"] for row in csv.DictReader(open(tmp_path / "explanations.csv"))]
    assert ids == ["test0001"] * 3 + ["test0002"] * 3


def test_planted_findings_are_chosen_by_task(tmp_path: Path) -> None:
    mask = np.zeros((3, 4, 4), dtype=np.uint8)
    mask[0, 0, 0], mask[1, 1, 1], mask[2, 2, 2] = 1, 2, 3
    np.savez_compressed(tmp_path / "a.npz", mask=mask)
    np.savez_compressed(tmp_path / "b.npz", mask=mask * (mask == 2))
    plane = {"axial": str(tmp_path / "planes/axial/1.npy")}
    cases = [{"id": "1", "truth": {"axial": "a.npz"}} | plane, {"id": "2", "truth": {"axial": "b.npz"}} | plane]
    found = PlantedFindings([*cases, {"id": "3"}])
    assert [int(found("1", "axial", task).sum()) for task in TASKS] == [3, 1, 1]
    assert found("2", "axial", "acl") is None
    assert found("1", "coronal", "acl") is None
    assert found("3", "axial", "acl") is None


def test_bad_arguments_and_masks_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task 'bone' is unknown"):
        CamWriter(str(tmp_path), stack(), tasks=["bone"])
    with pytest.raises(ValueError, match="max_exams is 0"):
        CamWriter(str(tmp_path), stack(), max_exams=0)
    cases, output = batch_of(1)
    with pytest.raises(ValueError, match="give masks of the preprocessed images"):
        run(CamWriter(str(tmp_path), stack(), truth=lambda *_: np.ones((2, 8, 8))), cases, output)


def test_masks_of_the_whole_image_are_cropped_as_the_image_was(tmp_path: Path) -> None:
    cases, output = batch_of(1)
    inside = square("", "axial", "acl")
    assert inside is not None
    whole = np.pad(inside, ((0, 0), (6, 6), (6, 6)))
    tables = []
    for mask in (inside, whole):
        run(CamWriter(str(tmp_path), stack(), tasks=["acl"], truth=lambda *_, found=mask: found), cases, output)
        tables.append([(row["hit"], row["chance"]) for row in csv.DictReader(open(tmp_path / "explanations.csv"))])
    assert tables[0] == tables[1]
