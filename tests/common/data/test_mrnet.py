import logging
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.__main__ import main
from common.data.datalist import load_datalist, load_labels
from common.data.mrnet import PLANES, TASKS, datalist_mrnet, mrnet_items


def volume(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = np.zeros((3, 4, 4), np.uint8)
    if file.suffix == ".npy":
        np.save(file, data)
    else:
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), file)


def labels_of(k: int) -> dict[str, int]:
    """Normal, abnormal only, abnormal with ACL, abnormal with both: 2 : 4 : 2 : 2 of ten."""
    kind = (0, 0, 1, 1, 1, 1, 2, 2, 3, 3)[k % 10]
    return {"abnormal": int(kind > 0), "acl": int(kind > 1), "meniscus": int(kind > 2)}


def as_shipped(
    folder: Path, train: int = 60, valid: int = 10, suffix: str = ".npy", padded: bool = True
) -> dict[str, dict[str, int]]:
    """The folder as Stanford ships it, ids 0000 ..; returns the labels."""
    labels = {}
    for part, ids in (("train", range(train)), ("valid", range(train, train + valid))):
        rows: dict[str, list[str]] = {task: [] for task in TASKS}
        for k in ids:
            labels[f"{k:04d}"] = labels_of(k)
            for plane in PLANES:
                volume(folder / part / plane / f"{k:04d}{suffix}")
            for task in TASKS:
                rows[task].append(f"{k:04d},{labels_of(k)[task]}" if padded else f"{k},{labels_of(k)[task]}")
        for task in TASKS:
            (folder / f"{part}-{task}.csv").write_text("\n".join(rows[task]) + "\n")
    return labels


@pytest.mark.parametrize(
    ("suffix", "padded"),
    [pytest.param(".npy", True, id="npy"), pytest.param(".npy", False, id="ids 0,1"), (".nii.gz", True)],
)
def test_planes_and_labels_of_each_exam_arrive(tmp_path: Path, suffix: str, padded: bool) -> None:
    labels = as_shipped(tmp_path / "MRNet-v1.0", 20, 4, suffix, padded)
    datalist_mrnet(tmp_path / "MRNet-v1.0", tmp_path / "out", validation=0.5)
    sections = load_datalist(tmp_path / "out")
    exams = {exam["id"]: exam for part in sections.values() for exam in part}
    assert set(exams) == set(labels) and load_labels(tmp_path / "out") == {"0": "normal", "1": "abnormal"}
    for name, exam in exams.items():
        assert {task: exam[task] for task in TASKS} == labels[name] and exam["label"] == labels[name]["abnormal"]
        assert exam["group"] == name and "image" not in exam
        part = "valid" if exam["section"] == "test" else "train"
        for plane in PLANES:
            assert exam[plane] == str(tmp_path / "MRNet-v1.0" / part / plane / f"{name}{suffix}")
    assert [exam["id"] for exam in sections["test"]] == ["0020", "0021", "0022", "0023"]


def test_validation_is_a_seeded_share_of_train_with_the_same_mix_of_labels(tmp_path: Path) -> None:
    as_shipped(tmp_path, 100)

    def split(seed: int) -> dict[str, list[str]]:
        datalist_mrnet(tmp_path, tmp_path / "out", validation=0.2, seed=seed)
        return {name: [exam["id"] for exam in part] for name, part in load_datalist(tmp_path / "out").items()}

    first = split(0)
    assert first == split(0) and first["test"] == split(1)["test"] and first["validation"] != split(1)["validation"]
    mix = Counter(tuple(labels_of(int(name)).values()) for name in first["validation"])
    assert mix == {(0, 0, 0): 4, (1, 0, 0): 8, (1, 1, 0): 4, (1, 1, 1): 4}
    datalist_mrnet(tmp_path, tmp_path / "out", validation=0)
    assert {name: len(part) for name, part in load_datalist(tmp_path / "out").items()} == {"training": 100, "test": 10}


def damage(folder: Path, what: str) -> None:
    if what == "plane":
        (folder / "train/coronal/0003.npy").unlink()
    elif what == "row":
        rows = (folder / "train-acl.csv").read_text().splitlines()
        (folder / "train-acl.csv").write_text("\n".join(row for row in rows if not row.startswith("0003")))
    elif what == "exam":
        for plane in PLANES:
            (folder / "train" / plane / "0003.npy").unlink()
    elif what == "colour":
        np.save(folder / "train/axial/0003.npy", np.zeros((3, 4, 4, 3), np.uint8))
    elif what == "cut":
        file = folder / "train/axial/0003.npy"
        file.write_bytes(file.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("plane", "0003 has no coronal volume"),
        ("row", r"0003 has no acl label \(train-acl.csv has no such row\)"),
        ("exam", "0003 has no axial volume; has no coronal volume; has no sagittal volume"),
        ("colour", r"0003 has an unusable axial volume \(0003.npy has the shape \(3, 4, 4, 3\), not \(S, H, W\)\)"),
        ("cut", r"0003 has an unusable axial volume \(0003.npy: "),
    ],
)
def test_an_incomplete_exam_is_refused_by_id_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, message: str
) -> None:
    as_shipped(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(ValueError, match=f"1 exams of .*/train' are unusable, 59 are well .*{message}.*skip_broken"):
        datalist_mrnet(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    datalist_mrnet(tmp_path, tmp_path / "out", skip_broken=True)
    kept = [exam["id"] for part in load_datalist(tmp_path / "out").values() for exam in part]
    assert len(kept) == 69 and "0003" not in kept
    assert [record.message[:28] for record in caplog.records] == ["left out exam 0003 of train:"]


def test_a_missing_label_file_is_named_with_the_exams_that_need_it(tmp_path: Path) -> None:
    as_shipped(tmp_path)
    (tmp_path / "valid-meniscus.csv").unlink()
    for skip_broken in (False, True):  # nothing would be left
        with pytest.raises(ValueError, match=r"0060 has no meniscus label \(valid-meniscus.csv does not exist\)"):
            datalist_mrnet(tmp_path, tmp_path / "out", skip_broken=skip_broken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("id,label\n0000,1\n", "line 1 of .*train-acl.csv is 'id,label', and must be an id", id="header"),
        pytest.param("0000,2\n", "line 1 of .* is '0000,2'", id="label"),
        pytest.param("0000;1\n", "line 1 of .* is '0000;1'", id="separator"),
        pytest.param("0000,1\n0,1\n", "has two rows of exam '0000'", id="twice"),
    ],
)
def test_a_csv_that_is_not_ids_and_labels_is_refused(tmp_path: Path, text: str, message: str) -> None:
    as_shipped(tmp_path)
    (tmp_path / "train-acl.csv").write_text(text)
    for read in (lambda: datalist_mrnet(tmp_path, tmp_path / "out"), lambda: mrnet_items(tmp_path)):
        with pytest.raises(ValueError, match=message):
            read()


def test_wrong_folders_and_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"source '.*absent' is no folder"):
        datalist_mrnet(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError, match="has no folder 'valid'"):
        datalist_mrnet(tmp_path, tmp_path / "out")
    (tmp_path / "valid").mkdir()
    with pytest.raises(ValueError, match="validation is 1.5"):
        datalist_mrnet(tmp_path, tmp_path / "out", validation=1.5)
    with pytest.raises(FileNotFoundError, match="holds no exam; give a folder like MRNet-v1.0"):
        mrnet_items(tmp_path)


@pytest.mark.parametrize(
    ("place", "ids", "sections"),
    [
        pytest.param("", ["0000", "0001", "0002"], ["training", "training", "test"], id="whole"),
        pytest.param("MRNet-v1.0", ["0000", "0001", "0002"], ["training", "training", "test"], id="inner folder"),
        pytest.param("MRNet-v1.0/train", ["0000", "0001"], ["training"] * 2, id="train"),
        pytest.param("MRNet-v1.0/valid", ["0002"], ["test"], id="valid"),
    ],
)
def test_any_part_of_the_native_folder_is_listed_with_its_labels(
    tmp_path: Path, place: str, ids: list[str], sections: list[str]
) -> None:
    as_shipped(tmp_path / "MRNet-v1.0", 2, 1)
    items = mrnet_items(tmp_path / place)
    assert [item["id"] for item in items] == ids and [item["section"] for item in items] == sections
    assert all(item["label"] == labels_of(int(item["id"]))["abnormal"] for item in items)
    assert all(Path(item[plane]).is_file() for item in items for plane in PLANES)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            ("axial/7.npy", "coronal/0007.npy", "sagittal/a.nii"),
            {"0007": ["axial", "coronal"], "a": ["sagittal"]},
            id="folders of planes",
        ),
        pytest.param(("sagittal.nii.gz", "axial.npy", "x.npy"), {"folder": ["axial", "sagittal"]}, id="one exam"),
        pytest.param(
            ("p2/axial.npy", "p1/coronal.nii.gz", "p3/x.npy"), {"p1": ["coronal"], "p2": ["axial"]}, id="exam folders"
        ),
    ],
)
def test_unlabelled_exams_keep_the_planes_that_they_have(
    tmp_path: Path, files: tuple[str, ...], expected: dict[str, list[str]]
) -> None:
    for name in files:
        volume(tmp_path / "folder" / name)
    items = mrnet_items(tmp_path / "folder")
    assert {item["id"]: [plane for plane in PLANES if plane in item] for item in items} == expected
    assert all({item[key] for key in ("label", *TASKS)} == {-1} and item["section"] == "test" for item in items)


def test_ambiguous_exams_are_refused(tmp_path: Path) -> None:
    as_shipped(tmp_path, 1, 1)
    volume(tmp_path / "valid/axial/0000.npy")
    with pytest.raises(ValueError, match="exam '0000' is in train and in valid"):
        mrnet_items(tmp_path)
    volume(tmp_path / "valid/axial/0001.nii.gz")
    with pytest.raises(ValueError, match="holds 0001.nii.gz and 0001.npy of one exam"):
        mrnet_items(tmp_path)


def test_the_command_writes_the_datalist_and_prints_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    as_shipped(tmp_path / "src", 40)
    (tmp_path / "src/train/axial/0000.npy").unlink()
    with caplog.at_level(logging.WARNING):
        main(
            ["datalist", "mrnet", "--source", str(tmp_path / "src"), "--dataset_dir", str(tmp_path / "out")]
            + ["--validation", "0.25", "--skip_broken"]
        )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["section", "cases", "groups", "normal", "abnormal"]
    assert sum(int(line[1]) for line in lines[1:3]) == 39 and lines[3][1] == "10" and "0000" in caplog.text
