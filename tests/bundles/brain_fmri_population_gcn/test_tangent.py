import numpy as np
import pytest
import scipy.linalg
import torch
from scripts.subject_row import upper_triangle
from scripts.tangent import correlation_matrices, mean_whitening, tangent_matrices
from torch import Tensor

N, T = 6, 12


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def correlations(count: int = T) -> Tensor:
    return torch.stack([torch.corrcoef(torch.randn(N, 40, dtype=torch.float64)) for _ in range(count)])


def test_edges_survive_the_round_trip() -> None:
    matrices = correlations()
    edges = upper_triangle(matrices).atanh()
    assert torch.allclose(correlation_matrices(edges, N), matrices, atol=1e-12)
    assert torch.allclose(upper_triangle(correlation_matrices(edges, N)).atanh(), edges, atol=1e-12)


def test_matrices_by_hand() -> None:
    found = correlation_matrices(torch.tensor([[0.5, 0.0, -0.2]]).atanh(), 3)[0]
    assert torch.allclose(found, torch.tensor([[1, 0.5, 0], [0.5, 1, -0.2], [0, -0.2, 1]]))


def test_whitening_turns_the_mean_into_the_identity() -> None:
    matrices = correlations()
    whitening = mean_whitening(matrices)
    expected = np.linalg.inv(scipy.linalg.sqrtm(matrices.mean(0).numpy()))
    np.testing.assert_allclose(whitening, expected, atol=1e-10)
    assert torch.allclose(whitening @ matrices.mean(0) @ whitening, torch.eye(N, dtype=torch.float64), atol=1e-10)


def test_the_reference_is_zero() -> None:
    matrices = correlations()
    reference = matrices.mean(0)
    assert tangent_matrices(reference[None], mean_whitening(matrices)).abs().max() < 1e-10


def test_eq_2_equals_the_logarithm_of_scipy() -> None:
    matrices = correlations()
    whitening = mean_whitening(matrices)
    found = tangent_matrices(matrices, whitening)
    for matrix, tangent in zip(matrices, found, strict=True):
        np.testing.assert_allclose(tangent, scipy.linalg.logm((whitening @ matrix @ whitening).numpy()), atol=1e-9)


def test_tangents_are_symmetric_and_near_zero_on_average() -> None:
    matrices = correlations(200)
    found = tangent_matrices(matrices, mean_whitening(matrices))
    assert torch.allclose(found, found.mT, atol=1e-12)
    plain = tangent_matrices(matrices, torch.eye(N, dtype=torch.float64))
    # log is concave, so by Jensen only the trace of the mean is below 0
    assert (found.mean(0).abs() < 0.2).all() and found.mean(0).trace() < 0
    assert found.square().sum() < plain.square().sum() + 1e-9


def test_distances_to_the_reference_survive_a_congruence() -> None:
    # C -> A C A^T, as by any linear mixture of regions: eigenvalues of the tangent stay
    matrices = correlations()
    mixture = torch.randn(N, N, dtype=torch.float64)
    mixed = mixture @ matrices @ mixture.T
    own = torch.linalg.eigvalsh(tangent_matrices(matrices, mean_whitening(matrices)))
    assert torch.allclose(torch.linalg.eigvalsh(tangent_matrices(mixed, mean_whitening(mixed))), own, atol=1e-6)
    without = torch.eye(N, dtype=torch.float64)
    plain = torch.linalg.eigvalsh(tangent_matrices(matrices, without))
    assert not torch.allclose(torch.linalg.eigvalsh(tangent_matrices(mixed, without)), plain, atol=0.1)


@pytest.mark.parametrize(
    "edges",
    [
        pytest.param(torch.zeros(1, N * (N - 1) // 2), id="no edge at all"),
        pytest.param(torch.full((1, N * (N - 1) // 2), 8.0), id="singular: all regions alike"),
        pytest.param(torch.full((1, N * (N - 1) // 2), -2.0), id="not positive definite"),
    ],
)
def test_bad_matrices_stay_finite(edges: Tensor) -> None:
    whitening = mean_whitening(correlations()).float()
    assert tangent_matrices(correlation_matrices(edges, N), whitening).isfinite().all()
    assert mean_whitening(correlation_matrices(edges, N)).isfinite().all()
