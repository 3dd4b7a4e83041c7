import logging
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.data.ct import datalist_ct
from common.data.datalist import load_datalist, load_labels

from .dicom_files import write_series


def volumes(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.zeros((5, 5, 5), np.int16), np.eye(4)), folder / f"{name}.nii.gz")


def table(folder: Path, head: str, *rows: str) -> Path:
    (folder / "labels.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder / "labels.csv"


def cohort(folder: Path, patients: int = 20) -> Path:
    """Two scans of each patient, every other patient ill."""
    names = [f"p{k:02d}-{scan}" for k in range(patients) for scan in "ab"]
    volumes(folder, *names)
    rows = [f"{name},{'ill' if int(name[1:3]) % 2 else 'healthy'},{name[:3]},{40 + k}" for k, name in enumerate(names)]
    return table(folder, "id,label,group,age", *rows)


def test_cases_labels_groups_and_covariates_arrive_in_the_datalist(tmp_path: Path) -> None:
    labels = cohort(tmp_path / "src")
    datalist_ct(tmp_path / "src", tmp_path / "out", labels, validation=0.2, test=0.2)
    loaded = load_datalist(tmp_path / "out")
    assert {name: len(items) for name, items in loaded.items()} == {"training": 24, "validation": 8, "test": 8}
    assert load_labels(tmp_path / "out") == {"0": "healthy", "1": "ill"}
    for items in loaded.values():
        assert {item["label"] for item in items} == {0, 1}
        for item in items:
            assert item["label"] == int(item["group"][1:]) % 2 and item["id"].startswith(item["group"])
            assert os.path.isfile(item["image"]) and item["age"] >= 40
            assert set(item) == {"id", "image", "group", "section", "label", "age"}


def test_the_seed_decides_and_repeats_the_split(tmp_path: Path) -> None:
    labels = cohort(tmp_path / "src")
    texts = [datalist_ct(tmp_path / "src", tmp_path / "out", labels, seed=seed).read_text() for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0].replace('"seed": 1', "") != texts[2].replace('"seed": 2', "")


def test_the_default_group_is_the_patient_of_the_header(tmp_path: Path) -> None:
    for k in range(12):
        write_series(tmp_path / "src" / f"s{k:02d}", patient=f"P{k // 2}", seed=k)
    labels = table(tmp_path, "id,label", *(f"s{k:02d},{k // 2 % 2}" for k in range(12)))
    datalist_ct(tmp_path / "src", tmp_path / "out", labels, validation=1 / 3, test=1 / 3)
    groups = [{item["group"] for item in items} for items in load_datalist(tmp_path / "out").values()]
    assert [len(group) for group in groups] == [2, 2, 2] and len(set.union(*groups)) == 6


def test_sections_by_hand_win_and_take_their_group_along(tmp_path: Path) -> None:
    labels = cohort(tmp_path / "src")
    rows = labels.read_text().splitlines()
    given = {"p00-a": "test", "p01-b": "validation"}
    rows = [rows[0] + ",section"] + [f"{row},{given.get(row.split(',')[0], '')}" for row in rows[1:]]
    datalist_ct(tmp_path / "src", tmp_path / "out", table(tmp_path, *rows), validation=0.2, test=0.2)
    section = {item["id"]: name for name, items in load_datalist(tmp_path / "out").items() for item in items}
    assert [section[name] for name in ("p00-a", "p00-b", "p01-a", "p01-b")] == ["test"] * 2 + ["validation"] * 2
    assert len(section) == 40 and set(section.values()) == {"training", "validation", "test"}


def test_sections_given_for_all_need_no_split(tmp_path: Path) -> None:
    volumes(tmp_path / "src", "a", "b")
    labels = table(tmp_path, "id,label,section", "a,0,training", "b,1,test")
    datalist_ct(tmp_path / "src", tmp_path / "out", labels)
    assert {name: [case["id"] for case in part] for name, part in load_datalist(tmp_path / "out").items()} == {
        "training": ["a"],
        "test": ["b"],
    }


def test_without_labels_all_cases_are_unlabelled_test_cases(tmp_path: Path) -> None:
    volumes(tmp_path / "src", "a", "b")
    datalist_ct(tmp_path / "src", tmp_path / "out")
    loaded = load_datalist(tmp_path / "out")
    assert list(loaded) == ["test"] and [case["label"] for case in loaded["test"]] == [-1, -1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(["a,0", "b,1", "x,1"], "labels: 'x' without an image", id="label without image"),
        pytest.param(["a,0"], r"1 of 2 images under .* have no row in the labels \('b'\)", id="image without label"),
        pytest.param(["a,0", "b,2"], "numbers must be 0 .. K - 1", id="labels with holes"),
        pytest.param(["a,0", "b,1"], r"class 0 has 1 group\(s\), and 3 parts need", id="too few groups"),
    ],
)
def test_mismatches_are_refused_by_name(tmp_path: Path, rows: list[str], message: str) -> None:
    volumes(tmp_path / "src", "a", "b")
    with pytest.raises(ValueError, match=message):
        datalist_ct(tmp_path / "src", tmp_path / "out", table(tmp_path, "id,label", *rows))
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_a_group_in_two_sections_by_hand_is_refused(tmp_path: Path) -> None:
    volumes(tmp_path / "src", "a", "b")
    labels = table(tmp_path, "id,label,group,section", "a,0,p,training", "b,1,p,test")
    with pytest.raises(ValueError, match="group 'p' is in training and test"):
        datalist_ct(tmp_path / "src", tmp_path / "out", labels)


def test_one_anonymous_patient_id_for_all_is_explained(tmp_path: Path) -> None:
    for k in range(4):
        write_series(tmp_path / "src" / f"s{k}", patient="ANON", seed=k)
    labels = table(tmp_path, "id,label", *(f"s{k},{k % 2}" for k in range(4)))
    with pytest.raises(ValueError, match="all 4 cases to split have the group 'ANON' .* add a column `group`"):
        datalist_ct(tmp_path / "src", tmp_path / "out", labels)


def test_broken_volumes_are_refused_or_left_out_with_a_line_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "src"
    volumes(source, "a", "b")
    os.remove(write_series(source / "gap")[4])
    labels = table(tmp_path, "id,label,section", "a,0,training", "b,1,test", "gap,1,test")
    with pytest.raises(ValueError, match=r"1 of 3 volumes .* unusable \(gap: missing slices: 1.*--skip_broken"):
        datalist_ct(source, tmp_path / "out", labels)
    with caplog.at_level(logging.WARNING):
        datalist_ct(source, tmp_path / "out", labels, skip_broken=True)
    assert [record.message[:30] for record in caplog.records] == ["left out gap: missing slices: "]
    assert [case["id"] for part in load_datalist(tmp_path / "out").values() for case in part] == ["a", "b"]


def test_a_folder_with_several_sound_series_needs_a_choice(tmp_path: Path) -> None:
    write_series(tmp_path / "src" / "p1", uid="1.2.1", suffix=".a")
    write_series(tmp_path / "src" / "p1", uid="1.2.2", suffix=".b")
    with pytest.raises(ValueError, match="folder 'p1' holds several series, and none is chosen: p1#1.2.1, p1#1.2.2"):
        datalist_ct(tmp_path / "src", tmp_path / "out", table(tmp_path, "id,label", "p1,0"))


def test_a_localizer_beside_the_scan_needs_no_choice_once_skipped(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "src" / "p1", uid="1.2.1", suffix=".a")
    write_series(tmp_path / "src" / "p1", np.zeros((2, 4, 4), np.int16), uid="1.2.2", suffix=".b")
    labels = table(tmp_path, "id,label,section", "p1,0,training")
    datalist_ct(tmp_path / "src", tmp_path / "out", labels, skip_broken=True)
    assert load_datalist(tmp_path / "out")["training"][0]["image"] == paths


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(ValueError, match="all 1 volumes under .* are unusable"):
        datalist_ct(tmp_path, tmp_path / "out", skip_broken=True)
