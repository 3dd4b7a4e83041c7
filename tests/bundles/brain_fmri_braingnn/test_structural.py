from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.structural import LoadStructural, LoadStructurald

N = 4


def counts() -> np.ndarray:
    values = np.arange(N * N, dtype=float).reshape(N, N)
    return values + values.T


def test_the_file_is_found_by_the_leading_parts_of_the_name(tmp_path: Path) -> None:
    for name in ("images", "structural"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "structural/sub-01_streamlines.npy", counts())
    found = LoadStructurald("structural", num_regions=N)({"structural": str(tmp_path / "images/sub-01_task_rois.1D")})
    expected = np.log1p(counts()) * (1 - np.eye(N))
    assert torch.allclose(found["structural"], torch.from_numpy(expected).float()[None])


def test_an_absent_file_is_zeros(tmp_path: Path) -> None:
    assert torch.equal(LoadStructural(N)(tmp_path / "images/sub-02.1D"), torch.zeros(1, N, N))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (np.ones((N, N + 1)), r"has shape \(4, 5\), expected \(4, 4\)"),
        (-np.ones((N, N)), "holds NaN, infinite or negative counts"),
        (np.triu(np.ones((N, N))), "is not symmetric"),
    ],
)
def test_bad_matrices(tmp_path: Path, values: np.ndarray, rule: str) -> None:
    np.save(tmp_path / "a_streamlines.npy", values)
    with pytest.raises(ValueError, match=f"LoadStructural: .*a_streamlines.npy {rule}"):
        LoadStructural(N, folder=".")(tmp_path / "a.1D")
