import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.data.datalist import load_datalist, load_labels
from common.data.medmnist import PUBLISHED_MD5, datalist_medmnist, medmnist_items


def npz(path: Path, **changes: np.ndarray | None) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray | None] = {}
    for prefix, count in (("train", 5), ("val", 2), ("test", 3)):
        arrays[f"{prefix}_images"] = rng.integers(0, 256, (count, 4, 5, 6), dtype=np.uint8)
        arrays[f"{prefix}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 2
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path


def test_the_official_split_arrives_voxel_by_voxel(tmp_path: Path) -> None:
    source = npz(tmp_path / "own.npz")
    datalist_medmnist(source, tmp_path / "out", labels="benign, malignant")
    loaded, arrays = load_datalist(tmp_path / "out"), np.load(source)
    assert load_labels(tmp_path / "out") == {"0": "benign", "1": "malignant"}
    for section, prefix in (("training", "train"), ("validation", "val"), ("test", "test")):
        assert [case["label"] for case in loaded[section]] == arrays[f"{prefix}_labels"][:, 0].tolist()
        for k, case in enumerate(loaded[section]):
            image = nibabel.load(case["image"])
            assert case["id"] == case["group"] == f"own/{section}/{k:04d}"
            assert image.shape == (6, 5, 4) and image.get_data_dtype() == np.uint8  # (X, Y, Z) = (W, H, D)
            np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), arrays[f"{prefix}_images"][k])
            np.testing.assert_array_equal(image.affine, np.eye(4))
    content = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert not os.path.isabs(content["test"][0]["image"]) and len(content["md5"]) == 32


@pytest.mark.parametrize("sections", ["validation", ("validation",), ["validation"]])
def test_any_subset_of_sections(tmp_path: Path, sections: str | list[str]) -> None:
    datalist_medmnist(npz(tmp_path / "own.npz"), tmp_path / "out", sections)
    assert {name: len(part) for name, part in load_datalist(tmp_path / "out").items()} == {"validation": 2}
    both = medmnist_items(npz(tmp_path / "own.npz"), tmp_path / "x", "training,test")
    assert {item["section"] for item in both} == {"training", "test"}


def test_scans_are_the_groups_and_must_not_cross_sections(tmp_path: Path) -> None:
    scans = {
        f"{prefix}_scan": np.array([f"{prefix}{k // 2}" for k in range(n)]) for prefix, n in (("train", 5), ("val", 2))
    }
    source = npz(tmp_path / "own.npz", **scans)
    datalist_medmnist(source, tmp_path / "out")
    assert [case["group"] for case in load_datalist(tmp_path / "out")["training"]] == [
        f"train{k // 2}" for k in range(5)
    ]
    source = npz(tmp_path / "own.npz", train_scan=np.array(["a"] * 5), test_scan=np.array(["a"] * 3))
    with pytest.raises(ValueError, match="group 'a' is in training and test"):
        datalist_medmnist(source, tmp_path / "out")


def test_unlabelled_files_are_for_inference(tmp_path: Path) -> None:
    changes = {f"{prefix}_{name}": None for prefix in ("train", "val") for name in ("images", "labels")}
    items = medmnist_items(npz(tmp_path / "own.npz", **changes, test_labels=None), tmp_path / "cache")
    assert [(item["section"], item["label"]) for item in items] == [("test", -1)] * 3
    assert set(items[0]) == {"id", "image", "group", "section", "label"}


def test_unpacked_volumes_are_used_again_until_the_file_changes(tmp_path: Path) -> None:
    source = npz(tmp_path / "own.npz")
    first = medmnist_items(source, tmp_path / "cache")
    times = {item["image"]: os.stat(item["image"]).st_mtime_ns for item in first}
    assert medmnist_items(source, tmp_path / "cache") == first
    assert {path: os.stat(path).st_mtime_ns for path in times} == times
    npz(source, test_images=np.zeros((3, 4, 5, 6), np.uint8))
    changed = medmnist_items(source, tmp_path / "cache")
    assert not {item["image"] for item in changed} & set(times)
    assert not np.asarray(nibabel.load(changed[-1]["image"]).dataobj).any()


def test_a_damaged_published_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    source = npz(tmp_path / "nodulemnist3d.npz")
    with pytest.raises(
        ValueError, match=f"published file has {PUBLISHED_MD5['nodulemnist3d']}; download it again, or ren"
    ):
        datalist_medmnist(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_class_names_of_published_files_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.data.medmnist.PUBLISHED_MD5", {})
    datalist_medmnist(npz(tmp_path / "adrenalmnist3d_64.npz"), tmp_path / "out")
    assert load_labels(tmp_path / "out") == {"0": "normal", "1": "hyperplasia"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"train_images": np.zeros((5, 28, 28), np.uint8)}, r"shape \(5, 28, 28\), and 3-D", id="2-D grey"),
        pytest.param(
            {"train_images": np.zeros((5, 8, 8, 3), np.uint8)}, "the 2-D sets of MedMNIST are not", id="2-D colour"
        ),
        pytest.param({"train_images": np.zeros((5, 4, 5, 6))}, "is float64, not uint8", id="dtype"),
        pytest.param(
            {"val_labels": np.zeros((2, 14), np.uint8)}, r"val_labels .* \(2, 14\): a multi-label set", id="multi-label"
        ),
        pytest.param(
            {"val_labels": np.zeros((3, 1), np.uint8)}, "val_labels .* has 3 entries for 2 volumes", id="labels"
        ),
        pytest.param({"test_scan": np.array(["a"])}, "test_scan .* has 1 entries for 3 volumes", id="scan"),
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datalist_medmnist(npz(tmp_path / "own.npz", **changes), tmp_path / "out")


def test_wrong_sources_and_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source '.*absent.npz' does not exist"):
        datalist_medmnist(tmp_path / "absent.npz", tmp_path / "out")
    (tmp_path / "zip.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(ValueError, match="is no npz file"):
        datalist_medmnist(tmp_path / "zip.npz", tmp_path / "out")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"has the arrays \['x'\] and no train_images"):
        datalist_medmnist(tmp_path / "other.npz", tmp_path / "out")
    source = npz(tmp_path / "own.npz", val_images=None, val_labels=None)
    with pytest.raises(ValueError, match=r"section 'validation' is not in .* which has \['training', 'test'\]"):
        datalist_medmnist(source, tmp_path / "out", "validation")
    with pytest.raises(ValueError, match="labels name 1 classes .* and own has 2"):
        datalist_medmnist(source, tmp_path / "out", labels=["benign"])


def test_the_md5_list_covers_six_sets_in_two_sizes() -> None:
    names = {name.removesuffix("_64") for name in PUBLISHED_MD5}
    assert len(names) == 6 and len(set(PUBLISHED_MD5.values())) == len(PUBLISHED_MD5) == 12


def test_the_published_adrenal_file_passes_its_md5(tmp_path: Path) -> None:
    root = os.environ.get("BUNDLES_DATA", "")
    source = Path(root) / "medmnist" / "adrenalmnist3d_64.npz"
    if not root or not source.is_file():
        pytest.skip("BUNDLES_DATA names no folder with medmnist/adrenalmnist3d_64.npz")
    items = medmnist_items(source, tmp_path, "validation")
    assert len(items) == 98 and sum(item["label"] for item in items) == 22
