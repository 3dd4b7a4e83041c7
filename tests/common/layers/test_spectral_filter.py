import pytest
import torch
from torch import Tensor

from common.layers.cheb_conv import ChebConv, scaled_laplacian
from common.layers.laplacian import laplacian
from common.layers.spectral_filter import spectral_filter

from .graphs import graphs

CIRCLE = torch.zeros(8, 8, dtype=torch.float64)
CIRCLE[torch.arange(8), (torch.arange(8) + 1) % 8] = 1
CIRCLE = CIRCLE + CIRCLE.T  # eigenvalues occur twice


def heat(eigenvalues: Tensor) -> Tensor:
    return (-2 * eigenvalues).exp()


def test_eigenvalues_as_gains_multiply_by_the_laplacian_and_gains_of_1_change_nothing() -> None:
    x, adjacency = graphs(density=0.2)
    for kind in ("symmetric", "combinatorial"):
        form = laplacian(adjacency, kind)
        assert (spectral_filter(x, form, lambda v: v) - form @ x).abs().max() <= 1e-12
        assert (spectral_filter(x, form, torch.ones_like) - x).abs().max() <= 1e-12


def test_heat_equals_the_matrix_exponential() -> None:
    x, adjacency = graphs()
    form = laplacian(adjacency, "combinatorial")
    assert (spectral_filter(x, form, heat) - torch.matrix_exp(-2 * form) @ x).abs().max() <= 1e-12


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 10])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.4, 1.0])
def test_a_chebyshev_response_equals_the_chebyshev_convolution_also_with_isolated_nodes(
    degree: int, density: float
) -> None:
    x, adjacency = graphs(features=1, density=density)
    theta = torch.randn(degree + 1, dtype=torch.float64)

    def response(eigenvalues: Tensor) -> Tensor:
        angle = (eigenvalues - 1).clamp(-1, 1).acos()  # T_k(cos a) = cos(k a), not the recurrence
        return sum(theta[k] * (k * angle).cos() for k in range(degree + 1))

    layer = ChebConv(1, 1, degree, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(theta[:, None, None])
    exact = spectral_filter(x, laplacian(adjacency), response)
    assert (layer(x, adjacency) - exact).abs().max() <= 1e-10
    assert (layer(x[0], adjacency[0].to_sparse_csr()) - exact[0]).abs().max() <= 1e-10


def test_permuting_nodes_permutes_the_result_also_with_repeated_eigenvalues() -> None:
    for adjacency in (graphs(1, 8)[1][0], CIRCLE):
        x, order = torch.randn(8, 3, dtype=torch.float64), torch.randperm(8)
        out = spectral_filter(x, laplacian(adjacency), heat)
        permuted = spectral_filter(x[order], laplacian(adjacency[order][:, order]), heat)
        assert torch.allclose(permuted, out[order], atol=1e-12)
        assert torch.allclose(permuted.mean(0), out.mean(0), atol=1e-12)  # a readout is invariant


def test_a_free_gain_per_eigenvector_is_no_convolution() -> None:
    gains, x = torch.randn(8, dtype=torch.float64), torch.randn(8, 1, dtype=torch.float64)
    order = torch.randperm(8)
    out = spectral_filter(x, laplacian(CIRCLE), lambda _: gains)
    permuted = spectral_filter(x[order], laplacian(CIRCLE[order][:, order]), lambda _: gains)
    assert not torch.allclose(permuted, out[order], atol=1e-3)


def test_on_a_circle_the_filter_is_a_circular_convolution_which_shifts_with_its_input() -> None:
    x, impulse = torch.randn(8, 1, dtype=torch.float64), torch.eye(8, dtype=torch.float64)[:, :1]
    out = spectral_filter(x, laplacian(CIRCLE), heat)
    kernel = spectral_filter(impulse, laplacian(CIRCLE), heat)
    by_fft = torch.fft.ifft(torch.fft.fft(x, dim=0) * torch.fft.fft(kernel, dim=0), dim=0).real
    assert torch.allclose(out, by_fft, atol=1e-12)
    shifted = spectral_filter(x.roll(1, 0), laplacian(CIRCLE), heat)
    assert torch.allclose(shifted, out.roll(1, 0), atol=1e-12)  # equivariant
    assert not torch.allclose(shifted, out, atol=1e-3)  # and not invariant


def test_one_graph_and_sparse_graphs_equal_the_batch() -> None:
    x, adjacency = graphs()
    out = spectral_filter(x, laplacian(adjacency), heat)
    for b in range(len(x)):
        assert torch.allclose(spectral_filter(x[b], laplacian(adjacency[b]), heat), out[b], atol=1e-12)
        sparse = laplacian(adjacency[b].to_sparse_csr())
        assert torch.allclose(spectral_filter(x[b], sparse, heat), out[b], atol=1e-12)


def test_gradients_of_the_signal_and_of_a_learnt_response() -> None:
    x, adjacency = graphs(2)
    form, theta = laplacian(adjacency), torch.randn(3, dtype=torch.float64, requires_grad=True)

    def outputs(x: Tensor, theta: Tensor) -> Tensor:
        return spectral_filter(x, form, lambda v: theta[0] + theta[1] * v + theta[2] * v**2)

    assert torch.autograd.gradcheck(outputs, (x.requires_grad_(), theta))


def test_a_random_walk_laplacian_is_refused_as_only_half_of_it_would_be_read() -> None:
    x, adjacency = graphs()
    with pytest.raises(ValueError, match='spectral_filter: laplacian differs .* must be symmetric .*kind="symmetric"'):
        spectral_filter(x, laplacian(adjacency, "random_walk"), heat)


@pytest.mark.parametrize(
    ("x", "form", "response", "message"),
    [
        pytest.param(torch.ones(3, 2), torch.eye(4), heat, r"x has shape \[3, 2\] and laplacian \[4, 4\]", id="rows"),
        pytest.param(torch.ones(3, 2), torch.ones(3, 4), heat, r"laplacian \[3, 4\], expected", id="not square"),
        pytest.param(torch.ones(3, 2), torch.eye(3), torch.sum, r"gave shape \[\], expected \[3\]: one", id="gains"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x: Tensor, form: Tensor, response: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"spectral_filter: .*{message}"):
        spectral_filter(x, form, response)


def test_the_scaled_laplacian_has_the_same_eigenvectors() -> None:
    x, adjacency = graphs(density=0.2)
    exact = spectral_filter(x, scaled_laplacian(adjacency), lambda v: v + 1)
    assert torch.allclose(exact, laplacian(adjacency) @ x, atol=1e-12)
