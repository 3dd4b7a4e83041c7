import numpy as np
import pytest
import torch
from scripts.phenotype import UNKNOWN, phenotype_numbers
from scripts.subject_row import SubjectRowd, row_edges, upper_triangle

SUBJECT = {"site": "NYU", "sex": 1, "age": 20}


def connectivity(channels: int = 2) -> torch.Tensor:
    """Entry (i, j) above the diagonal is 10 i + j; other channels hold other numbers."""
    matrix = (10.0 * torch.arange(4)[:, None] + torch.arange(4)).triu(1)
    matrix = matrix + matrix.T
    return torch.stack([matrix, *(-matrix for _ in range(channels - 1))])


def test_edges_go_row_by_row_as_those_of_numpy() -> None:
    assert upper_triangle(connectivity()[0]).tolist() == [1, 2, 3, 12, 13, 23]
    matrices = torch.randn(2, 3, 5, 5)
    row, column = np.triu_indices(5, 1)
    assert torch.equal(upper_triangle(matrices), matrices[:, :, row, column])


def test_a_row_is_phenotype_then_edges_of_the_first_channel() -> None:
    result = SubjectRowd("image")({"image": connectivity(), "label": 1, **SUBJECT})
    assert torch.equal(result["image"][:3], phenotype_numbers(SUBJECT))
    assert result["image"][3:].tolist() == [1, 2, 3, 12, 13, 23]
    assert result["image"].dtype == torch.float32 and result["label"] == 1


def test_phenotype_may_be_missing() -> None:
    row = SubjectRowd("image")({"image": connectivity()})["image"]
    assert row.tolist() == [UNKNOWN] * 3 + [1, 2, 3, 12, 13, 23]


def test_arrays_of_double_precision_become_the_same_row() -> None:
    array = connectivity().double().numpy()
    assert torch.equal(
        SubjectRowd("image")({"image": array})["image"], SubjectRowd("image")({"image": connectivity()})["image"]
    )


def test_the_input_stays() -> None:
    image = connectivity()
    data = {"image": image}
    SubjectRowd("image")(data)
    assert data["image"] is image and torch.equal(image, connectivity())


def test_an_absent_key_is_an_error_unless_allowed() -> None:
    with pytest.raises(KeyError, match="image"):
        SubjectRowd("image")({"label": 0})
    assert SubjectRowd("image", allow_missing_keys=True)({"label": 0}) == {"label": 0}


def test_row_edges_are_nan_where_missing() -> None:
    row = torch.tensor([0.0, 0.0, 0.0, 0.5, 0.0, -0.2])
    np.testing.assert_allclose(row_edges(row), [0.5, np.nan, -0.2], rtol=1e-6)
    assert row[4] == 0  # the row itself stays
    assert row_edges(row).dtype == float
