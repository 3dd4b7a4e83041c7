import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from common.data.volume_header import volume_problem, volume_suffix

VOLUME = np.zeros((8, 9, 10), np.int16)


def nifti(path: Path, data: np.ndarray = VOLUME, affine: np.ndarray | None = None) -> None:
    nibabel.save(nibabel.Nifti1Image(data, np.diag([0.7, 0.7, 5, 1]) if affine is None else affine), path)


def write_nrrd(path: Path, data: np.ndarray = VOLUME, **header: object) -> None:
    base = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
    nrrd.write(str(path), data, {key: value for key, value in {**base, **header}.items() if value is not None})


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("a.nii.gz", nifti, id="nii.gz"),
        pytest.param("a.nii", nifti, id="nii"),
        pytest.param("a.NII", nifti, id="upper case"),
        pytest.param("a.nii", lambda path: nifti(path, VOLUME[..., None]), id="trailing axis of 1"),
        pytest.param("a.nrrd", write_nrrd, id="nrrd"),
        pytest.param("a.nhdr", write_nrrd, id="nhdr"),
        pytest.param("a.nrrd", lambda path: write_nrrd(path, space="right-anterior-superior"), id="nrrd RAS"),
        pytest.param("a.npy", lambda path: np.save(path, VOLUME), id="npy"),
    ],
)
def test_sound_volumes_pass(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    assert volume_problem(str(tmp_path / name)) == ""


def damaged(write: Callable[[Path], None], keep: int) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[:keep])

    return run


def without_data_file(path: Path) -> None:
    write_nrrd(path)
    next(file for file in path.parent.iterdir() if file.suffix != ".nhdr").unlink()


# Two voxel axes along one direction.
FLAT = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
RGB = np.zeros((8, 9, 10), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        pytest.param("a.nii.gz", lambda p: p.touch(), "empty file", id="empty"),
        pytest.param("a.nii.gz", lambda p: p.write_text("text"), "unreadable header", id="nii text"),
        pytest.param("a.nrrd", lambda p: p.write_text("text"), "unreadable header", id="nrrd text"),
        pytest.param("a.npy", lambda p: p.write_text("text"), "unreadable header", id="npy text"),
        pytest.param("a.nii", damaged(nifti, 1000), "truncated file", id="nii cut"),
        pytest.param("a.npy", damaged(lambda p: np.save(p, VOLUME), 500), "unreadable header", id="npy cut"),
        pytest.param("a.nii", lambda p: nifti(p, VOLUME[0]), r"not a 3-D volume: shape \(9, 10\)", id="nii 2-D"),
        pytest.param("a.nii", lambda p: nifti(p, np.zeros((8, 8, 8, 2))), "not a 3-D volume", id="nii 4-D"),
        pytest.param("a.npy", lambda p: np.save(p, VOLUME[None]), "not a 3-D volume", id="npy 4-D"),
        pytest.param(
            "a.nrrd", lambda p: write_nrrd(p, VOLUME[0], **{"space directions": None}), "not a 3-D", id="nrrd 2-D"
        ),
        pytest.param("a.nii", lambda p: nifti(p, VOLUME[:2]), r"too thin: shape \(2, 9, 10\)", id="thin"),
        pytest.param("a.nii", lambda p: nifti(p, RGB), "are no numbers", id="nii rgb"),
        pytest.param("a.npy", lambda p: np.save(p, VOLUME.astype(complex)), "are no numbers", id="npy complex"),
        pytest.param("a.nii", lambda p: nifti(p, affine=np.diag([1, 1, 400, 1])), "impossible voxel size", id="400 mm"),
        pytest.param("a.nii", lambda p: nifti(p, affine=np.diag([0.1, 1, 10, 1])), "more than 50 to 1", id="100 to 1"),
        pytest.param("a.nii", lambda p: nifti(p, affine=FLAT), "singular affine", id="singular"),
        pytest.param(
            "a.nrrd", lambda p: write_nrrd(p, **{"space directions": None}), "no space directions", id="nowhere"
        ),
        pytest.param(
            "a.nrrd", lambda p: write_nrrd(p, space="left-anterior-superior"), "save it in left-post", id="LAS"
        ),
        pytest.param("a.nhdr", without_data_file, "data file .* is missing", id="no data file"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, name: str, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / name)
    assert re.search(message, volume_problem(str(tmp_path / name)))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("x/a.nii.gz", ".nii.gz"), ("a.b.NRRD", ".nrrd"), ("a.gz", ""), ("a.dcm", ""), (".nii", ""), ("nii", "")],
)
def test_suffixes(name: str, suffix: str) -> None:
    assert volume_suffix(name) == suffix
