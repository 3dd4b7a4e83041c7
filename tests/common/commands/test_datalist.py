from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.__main__ import main
from common.data.datalist import load_datalist


def volumes(folder: Path, count: int = 12) -> Path:
    """Unlike volumes with their labels in `labels.csv`."""
    folder.mkdir()
    for k in range(count):
        nibabel.save(nibabel.Nifti1Image(np.full((5, 5, 5), k, np.int16), np.eye(4)), folder / f"{k:03d}.nii.gz")
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{k:03d},{'ab'[k % 2]}\n" for k in range(count)))
    return folder


def test_ct_writes_the_datalist_and_prints_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = volumes(tmp_path / "src"), tmp_path / "out"
    main(
        ["datalist", "ct", "--source", str(source), "--dataset_dir", str(out), "--labels", str(source / "labels.csv")]
        + ["--validation", "0.25", "--test", "0.25", "--seed", "3"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["section", "cases", "groups", "a", "b"]
    assert sum(int(line.split()[1]) for line in lines[1:4]) == 12
    assert lines[-1] == f"written: {out / 'dataset.json'}"
    assert set(load_datalist(out)) == {"training", "validation", "test"}


def test_medmnist_takes_sections_and_class_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {f"{name}_images": np.zeros((2, 4, 4, 4), np.uint8) for name in ("train", "val", "test")}
    labels = {f"{name}_labels": np.array([[0], [1]], np.uint8) for name in ("train", "val", "test")}
    np.savez(tmp_path / "own.npz", **arrays, **labels)
    arguments = ["datalist", "medmnist", "--source", str(tmp_path / "own.npz"), "--dataset_dir", str(tmp_path / "out")]
    main([*arguments, "--sections", "training,test", "--labels", "benign,malignant"])
    table = [line.split() for line in capsys.readouterr().out.splitlines()[:3]]
    assert table[0] == ["section", "cases", "groups", "benign", "malignant"]
    assert [row[0] for row in table[1:]] == ["training", "test"]


def test_aanlib_pairs_images_and_keeps_cases_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("PET", "MRI"):
        (tmp_path / "src/PET-MRI" / side).mkdir(parents=True)
        for number in (25011, 25012, 30011, 41011):
            Image.new("L", (4, 4)).save(tmp_path / "src/PET-MRI" / side / f"{number}.png")
    arguments = ["datalist", "aanlib", "--source", str(tmp_path / "src"), "--dataset_dir", str(tmp_path / "out")]
    main([*arguments, "--modality", "PET"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["section", "cases", "groups", "unlabelled"]
    assert [line[2] for line in lines[1:4]] == ["1", "1", "1"]
    assert load_datalist(tmp_path / "out")["test"][0]["group"] in ("case25", "case30", "case41")


def brats(root: Path, subjects: int = 3) -> Path:
    """Subjects of four sequences; the t1 of each lies on another grid."""
    for k in range(subjects):
        folder = root / f"P{k}"
        folder.mkdir(parents=True)
        for name in ("flair", "t1", "t1ce", "t2"):
            shape = (5, 4, 3) if name == "t1" else (4, 4, 3)
            nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.float32), np.eye(4)), folder / f"P{k}_{name}.nii.gz")
    return root


@pytest.mark.parametrize("registered", [["--registered=False"], ["--noregistered"]])
def test_fusion_takes_sequences_and_whether_they_share_a_grid(tmp_path: Path, registered: list[str]) -> None:
    arguments = ["datalist", "fusion", "--source", str(brats(tmp_path / "src")), "--dataset_dir", str(tmp_path / "out")]
    arguments += ["--validation", "0.3", "--test", "0.3", "--sequences", "t2,t1"]
    with pytest.raises(SystemExit, match="3 of 3"):
        main(arguments)
    main([*arguments, *registered])
    images = [case["image"] for cases in load_datalist(tmp_path / "out").values() for case in cases]
    assert len(images) == 3
    for image in images:
        assert [Path(path).name[3:] for path in image] == ["t2.nii.gz", "t1.nii.gz"]


def test_drug_response_prints_pairs_by_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rdkit")
    pairs = [f"{drug},{smiles},c{k},{k}.5" for drug, smiles in (("a", "CCO"), ("b", "CCN")) for k in range(10)]
    (tmp_path / "own.csv").write_text("\n".join(["drug,smiles,cell,ln_ic50", *pairs]) + "\n")
    (tmp_path / "omics.csv").write_text("line,g0\n" + "".join(f"c{k},{k}\n" for k in range(10)))
    arguments = ["--source", str(tmp_path / "own.csv"), "--omics_table", str(tmp_path / "omics.csv")]
    arguments += ["--dataset_dir", str(tmp_path / "out"), "--split", "cell", "--validation", "0.2", "--test", "0.2"]
    main(["datalist", "drug_response", *arguments])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["section", "cases", "groups", "unlabelled"], ["training", "6", "6", "6"]]
    assert ["pairs:", "20"] in lines and ["replicates", "merged:", "0"] in lines
    table = lines.index(["section", "drugs", "cells", "tissues", "pairs"])
    assert lines[table + 1 : table + 4] == [
        ["training", "2", "6", "0", "12"],
        ["validation", "2", "2", "0", "4"],
        ["test", "2", "2", "0", "4"],
    ]
    assert lines[-1] == ["written:", str(tmp_path / "out" / "dataset.json")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["ct", "--source", "absent", "--dataset_dir", "out"], "error: scan_ct: source .*absent", id="source"
        ),
        pytest.param(["ct", "--source", ".", "--dataset_dir", "out"], "holds no DICOM series and no file", id="empty"),
        pytest.param(["medmnist", "--source", "a.npz", "--dataset_dir", "out"], "'a.npz' does not exist", id="npz"),
        pytest.param(["aanlib", "--source", ".", "--dataset_dir", "out"], "no folder CT or PET or SPECT", id="pairs"),
        pytest.param(
            ["gdsc", "--source", "a.whl", "--dataset_dir", "out"], "'a.whl' does not exist; fetch it", id="whl"
        ),
        pytest.param(
            ["gdsc", "--source", "a.whl", "--dataset_dir", "out", "--split", "tissue"], "knows no tissues", id="tissue"
        ),
        pytest.param(
            ["drug_response", "--source", "a.csv", "--omics_table", "b.csv", "--dataset_dir", "out"],
            "source 'a.csv' does not exist",
            id="own table",
        ),
    ],
)
def test_expected_errors_end_as_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as caught:
        main(["datalist", *arguments])
    assert "\n" not in str(caught.value.code)
    assert not (tmp_path / "out").exists()


def test_left_out_volumes_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = volumes(tmp_path / "src")
    (source / "bad.nii.gz").touch()
    arguments = ["datalist", "ct", "--source", str(source), "--dataset_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"1 of 13 volumes .* unusable \(bad: empty file\)"):
        main(arguments)
    main([*arguments, "--skip_broken"])
    assert "left out bad: empty file" in caplog.text
    assert len(load_datalist(tmp_path / "out")["test"]) == 12
