import networkx
import numpy as np
import pytest
import scipy.sparse.csgraph
import torch
from torch import Tensor
from torch_geometric.utils import dense_to_sparse, get_laplacian

from common.layers.laplacian import dirichlet_energy, laplacian, rayleigh_quotient

from .graphs import graphs

KINDS = ("combinatorial", "symmetric", "random_walk")
PYG = {"combinatorial": None, "symmetric": "sym", "random_walk": "rw"}


def matrix(*edges: tuple[int, int] | tuple[int, int, float], nodes: int) -> Tensor:
    """Undirected graph of (i, j) or (i, j, weight)."""
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    for i, j, *weight in edges:
        adjacency[i, j] = adjacency[j, i] = weight[0] if weight else 1.0
    return adjacency


def random_graph(nodes: int = 12, density: float = 0.3, connected: bool = True) -> Tensor:
    adjacency = graphs(1, nodes, density=density)[1][0]
    ring = torch.diag(torch.rand(nodes - 1, dtype=torch.float64) + 0.1, 1)
    return torch.maximum(adjacency, ring + ring.T) if connected else adjacency


def propagation(adjacency: Tensor) -> Tensor:
    """D~^-1/2 (A + I) D~^-1/2, the matrix a GCN multiplies by."""
    looped = adjacency + torch.eye(len(adjacency), dtype=adjacency.dtype)
    root = looped.sum(1).rsqrt()
    return root[:, None] * looped * root


def signs(nodes: int = 12) -> Tensor:
    upper = torch.randn(nodes, nodes, dtype=torch.float64).triu(1).sign()
    return upper + upper.T


def spectrum(adjacency: Tensor, kind: str = "symmetric", **settings: bool) -> Tensor:
    values = torch.linalg.eigvals(laplacian(adjacency, kind, **settings))
    assert values.imag.abs().max() <= 1e-8
    return values.real.sort().values


def scipy_laplacian(adjacency: np.ndarray, kind: str) -> np.ndarray:
    if kind == "symmetric":
        return scipy.sparse.csgraph.laplacian(adjacency, normed=True)
    plain, degree = scipy.sparse.csgraph.laplacian(adjacency, return_diag=True)
    return plain if kind == "combinatorial" else plain / np.where(degree == 0, 1, degree)[:, None]


def pyg_laplacian(adjacency: Tensor, kind: str) -> Tensor:
    index, weight = get_laplacian(*dense_to_sparse(adjacency), PYG[kind], num_nodes=len(adjacency))
    return torch.zeros_like(adjacency).index_put((index[0], index[1]), weight, accumulate=True)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("combinatorial", [[1, -1, 0], [-1, 4, -3], [0, -3, 3]], id="combinatorial"),
        pytest.param("symmetric", [[1, -1 / 2, 0], [-1 / 2, 1, -(0.75**0.5)], [0, -(0.75**0.5), 1]], id="symmetric"),
        pytest.param("random_walk", [[1, -1, 0], [-1 / 4, 1, -3 / 4], [0, -1, 1]], id="random_walk"),
    ],
)
def test_a_hand_computed_path(kind: str, expected: list[list[float]]) -> None:
    adjacency = matrix((0, 1), (1, 2, 3.0), nodes=3)
    assert torch.allclose(laplacian(adjacency, kind), torch.tensor(expected, dtype=torch.float64), atol=1e-15)


def test_the_circle_of_four_has_eigenvalues_0_1_1_2_and_4_without_normalisation() -> None:
    circle = matrix((0, 1), (1, 2), (2, 3), (3, 0), nodes=4)
    for kind, expected in (("symmetric", [0, 1, 1, 2]), ("random_walk", [0, 1, 1, 2]), ("combinatorial", [0, 2, 2, 4])):
        assert torch.allclose(spectrum(circle, kind), torch.tensor(expected, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
def test_spectrum_lies_between_0_and_2_or_twice_the_largest_degree(density: float) -> None:
    adjacency = random_graph(density=density, connected=False)
    for kind, bound in (("combinatorial", 2 * adjacency.sum(1).max()), ("symmetric", 2), ("random_walk", 2)):
        values = spectrum(adjacency, kind)
        assert values[0] >= -1e-12 and values[-1] <= bound + 1e-12


def test_eigenvalue_2_occurs_if_and_only_if_a_component_with_edges_is_bipartite() -> None:
    seen = []
    for _ in range(80):
        adjacency = random_graph(nodes=9, density=0.2, connected=False)
        graph = networkx.from_numpy_array(adjacency.numpy())
        parts = [graph.subgraph(nodes) for nodes in networkx.connected_components(graph) if len(nodes) > 1]
        seen.append(any(networkx.is_bipartite(part) for part in parts))
        assert bool(spectrum(adjacency)[-1] > 2 - 1e-9) == seen[-1]
    assert 10 < sum(seen) < 70


@pytest.mark.parametrize(
    "adjacency",
    [
        pytest.param(matrix((0, 1), nodes=2), id="pair"),
        pytest.param(matrix((0, 1), (1, 2), (2, 3), (3, 0), nodes=4), id="circle"),
        pytest.param(matrix((0, 1), (0, 2), (0, 3), nodes=4), id="star"),
    ],
)
def test_self_loops_keep_the_spectrum_of_a_bipartite_graph_below_2(adjacency: Tensor) -> None:
    looped = torch.eye(len(adjacency), dtype=torch.float64) - propagation(adjacency)
    assert spectrum(adjacency)[-1] == pytest.approx(2)
    assert torch.linalg.eigvalsh(looped)[-1] < 1.8
    assert torch.linalg.eigvalsh(looped)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("density", [0.0, 0.05, 0.1, 0.2, 1.0])
def test_the_null_space_has_a_dimension_per_component_and_isolated_node(kind: str, density: float) -> None:
    adjacency = random_graph(nodes=14, density=density, connected=False)
    components, _ = scipy.sparse.csgraph.connected_components(adjacency.numpy(), directed=False)
    assert int((spectrum(adjacency, kind) < 1e-9).sum()) == components


def test_the_null_vector_is_constant_but_for_the_symmetric_form_where_it_is_the_root_of_the_degrees() -> None:
    adjacency = random_graph()
    ones, degree = torch.ones(len(adjacency), dtype=torch.float64), adjacency.sum(1)
    assert (laplacian(adjacency, "combinatorial") @ ones).abs().max() <= 1e-14
    assert (laplacian(adjacency, "random_walk") @ ones).abs().max() <= 1e-14
    assert (laplacian(adjacency, "symmetric") @ degree.sqrt()).abs().max() <= 1e-14
    assert (laplacian(adjacency, "symmetric") @ ones).abs().max() > 0.1


def test_only_the_random_walk_form_is_not_symmetric_and_transposing_it_is_wrong() -> None:
    adjacency = random_graph()
    for kind in ("combinatorial", "symmetric"):
        assert (laplacian(adjacency, kind) - laplacian(adjacency, kind).T).abs().max() <= 1e-15
    walk = laplacian(adjacency, "random_walk")
    assert (walk - walk.T).abs().max() > 0.1
    assert (walk.T @ torch.ones(len(walk), dtype=torch.float64)).abs().max() > 0.1


def test_both_normalised_forms_have_one_spectrum_and_related_right_eigenvectors() -> None:
    adjacency = random_graph()
    assert torch.allclose(spectrum(adjacency, "symmetric"), spectrum(adjacency, "random_walk"), atol=1e-12)
    values, basis = torch.linalg.eigh(laplacian(adjacency, "symmetric"))
    right = adjacency.sum(1).rsqrt()[:, None] * basis
    walk = laplacian(adjacency, "random_walk")
    assert torch.allclose(walk @ right, right * values, atol=1e-12)
    assert not torch.allclose(walk.T @ right, right * values, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
def test_equals_scipy_on_any_graph(kind: str, density: float) -> None:
    adjacency = random_graph(density=density, connected=False)
    expected = torch.from_numpy(scipy_laplacian(adjacency.numpy(), kind))
    assert (laplacian(adjacency, kind) - expected).abs().max() <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_equals_pyg_on_a_connected_graph(kind: str) -> None:
    adjacency = random_graph()
    assert (laplacian(adjacency, kind) - pyg_laplacian(adjacency, kind)).abs().max() <= 1e-12


@pytest.mark.parametrize("kind", ["symmetric", "random_walk"])
def test_an_isolated_node_has_diagonal_0_as_in_scipy_where_pyg_has_1_and_miscounts_components(kind: str) -> None:
    adjacency = matrix((0, 1), (1, 2), nodes=4)
    ours, pyg = laplacian(adjacency, kind), pyg_laplacian(adjacency, kind)
    assert ours[3].tolist() == [0, 0, 0, 0] == scipy_laplacian(adjacency.numpy(), kind)[3].tolist()
    assert pyg[3].tolist() == [0, 0, 0, 1]
    assert int((torch.linalg.eigvals(ours).abs() < 1e-9).sum()) == 2
    assert int((torch.linalg.eigvals(pyg).abs() < 1e-9).sum()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_self_loops_are_dropped_as_in_scipy_and_pyg(kind: str) -> None:
    adjacency = random_graph()
    looped = adjacency + torch.diag(torch.rand(len(adjacency), dtype=torch.float64))
    assert torch.equal(laplacian(looped, kind), laplacian(adjacency, kind))
    assert torch.allclose(laplacian(looped.to_sparse_csr(), kind).to_dense(), laplacian(adjacency, kind), atol=1e-14)
    assert np.abs(scipy_laplacian(looped.numpy(), kind) - laplacian(looped, kind).numpy()).max() <= 1e-12
    assert (pyg_laplacian(looped, kind) - laplacian(looped, kind)).abs().max() <= 1e-12


def test_added_self_loops_cancel_in_the_plain_difference_but_not_in_the_normalised_one() -> None:
    adjacency, one = random_graph(), torch.eye(12, dtype=torch.float64)
    looped = adjacency + one
    assert torch.allclose(torch.diag(looped.sum(1)) - looped, laplacian(adjacency, "combinatorial"), atol=1e-14)
    assert (one - propagation(adjacency) - laplacian(adjacency, "symmetric")).abs().max() > 0.1


def test_negative_weights_break_the_plain_forms_without_an_error_so_they_are_refused() -> None:
    adjacency = random_graph() * signs()
    assert (adjacency < 0).any() and (adjacency.sum(1) < 0).any()
    assert torch.linalg.eigvalsh(torch.diag(adjacency.sum(1)) - adjacency)[0] < -0.1  # not positive semi-definite
    assert adjacency.sum(1).rsqrt().isnan().any() and pyg_laplacian(adjacency, "symmetric").isnan().any()
    for kind in KINDS:
        with pytest.raises(ValueError, match=r"laplacian: adjacency holds -\S+, weights must be >= 0; clip .*signed=T"):
            laplacian(adjacency, kind)
        with pytest.raises(ValueError, match="weights must be >= 0"):
            laplacian(adjacency.to_sparse_csr(), kind)
    for measure in (dirichlet_energy, rayleigh_quotient):
        with pytest.raises(ValueError, match=f"{measure.__name__}: adjacency holds -.*clip them"):
            measure(torch.ones(12, 1, dtype=torch.float64), adjacency)


@pytest.mark.parametrize("kind", KINDS)
def test_signed_forms_are_positive_semi_definite_and_lose_the_null_vector_where_signs_clash(kind: str) -> None:
    values = spectrum(random_graph(density=0.8) * signs(), kind, signed=True)
    assert values[0] > 1e-3 and values[-1] <= (2 + 1e-12 if kind != "combinatorial" else torch.inf)
    # two camps, friends inside and foes across: the signs balance, so one null vector is left
    camp = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(6)
    assert spectrum(random_graph() * camp.outer(camp), kind, signed=True)[0].abs() <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_signed_changes_nothing_without_negative_weights_and_equals_a_loop_with_them(kind: str) -> None:
    adjacency = random_graph()
    assert torch.equal(laplacian(adjacency, kind, signed=True), laplacian(adjacency, kind))
    pair = matrix((0, 1, -2.0), (1, 2, 6.0), nodes=3)
    expected = {
        "combinatorial": [[2, 2, 0], [2, 8, -6], [0, -6, 6]],
        "symmetric": [[1, 1 / 2, 0], [1 / 2, 1, -(0.75**0.5)], [0, -(0.75**0.5), 1]],
        "random_walk": [[1, 1, 0], [1 / 4, 1, -3 / 4], [0, -1, 1]],
    }[kind]
    assert torch.allclose(laplacian(pair, kind, signed=True), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_sparse_equals_dense_and_stays_sparse(kind: str, density: float) -> None:
    adjacency = random_graph(density=density, connected=False)
    out = laplacian(adjacency.to_sparse_csr(), kind)
    assert out.layout == torch.sparse_csr
    assert (out.to_dense() - laplacian(adjacency, kind)).abs().max() <= 1e-14
    assert out.values().numel() <= (adjacency != 0).sum() + len(adjacency)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_each_graph_and_permuting_nodes_permutes_rows_and_columns(kind: str) -> None:
    _, adjacency = graphs()
    out = laplacian(adjacency, kind)
    assert all(torch.equal(out[b], laplacian(adjacency[b], kind)) for b in range(len(out)))
    order = torch.randperm(7)
    permuted = laplacian(adjacency[:, order][:, :, order], kind)
    assert torch.allclose(permuted, out[:, order][:, :, order], atol=1e-14)


@pytest.mark.parametrize("kind", ["combinatorial", "symmetric"])
def test_a_directed_graph_has_only_the_random_walk_form(kind: str) -> None:
    adjacency = random_graph().tril()
    for form in (adjacency, adjacency.to_sparse_csr()):
        with pytest.raises(ValueError, match=r'must be undirected .*no such Laplacian\); take kind="random_walk"'):
            laplacian(form, kind)
    walk = laplacian(adjacency, "random_walk")
    assert (walk @ torch.ones(12, dtype=torch.float64)).abs().max() <= 1e-14
    assert walk[0].tolist() == [0] * 12  # hears nobody
    assert torch.allclose(laplacian(adjacency.to_sparse_csr(), "random_walk").to_dense(), walk)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_tiny_weights_and_an_empty_graph_give_finite_values(kind: str) -> None:
    whole = random_graph().gt(0)
    assert torch.allclose(laplacian(whole, kind), laplacian(whole.float(), kind))
    assert laplacian(whole.float() * 1e-42, kind).isfinite().all()
    assert laplacian(torch.zeros(0, 0), kind).shape == (0, 0)
    assert laplacian(torch.zeros(0, 0).to_sparse_csr(), kind).shape == (0, 0)


def test_dirichlet_energy_is_the_trace_of_the_quadratic_form() -> None:
    x, adjacency = graphs()
    trace = (x * (laplacian(adjacency, "combinatorial") @ x)).sum((1, 2))
    naive = torch.zeros(4, dtype=torch.float64)
    for i in range(7):
        for j in range(7):
            naive += adjacency[:, i, j] * (x[:, i] - x[:, j]).square().sum(1) / 2
    energy = dirichlet_energy(x, adjacency)
    assert (energy - trace).abs().max() <= 1e-12 and (energy - naive).abs().max() <= 1e-12
    for b in range(4):
        assert (dirichlet_energy(x[b], adjacency[b].to_sparse_csr()) - energy[b]).abs() <= 1e-12
        assert (dirichlet_energy(x[b], adjacency[b]) - energy[b]).abs() <= 1e-12


def test_dirichlet_energy_keeps_its_digits_where_the_trace_loses_them() -> None:
    adjacency = matrix((0, 1), nodes=2).float()
    x = torch.tensor([[1.0], [1.0 + 2**-20]])  # the energy is 2^-40
    assert dirichlet_energy(x, adjacency).item() == 2**-40
    assert dirichlet_energy(torch.ones(2, 1), adjacency) == 0


def test_rayleigh_quotient_is_the_trace_over_the_norm_and_an_eigenvalue_for_an_eigenvector() -> None:
    x, adjacency = graphs(density=0.2)  # with isolated nodes
    form = laplacian(adjacency, "symmetric")
    expected = (x * (form @ x)).sum((1, 2)) / x.square().sum((1, 2))
    quotient = rayleigh_quotient(x, adjacency)
    assert (quotient - expected).abs().max() <= 1e-12
    assert torch.allclose(quotient[0], rayleigh_quotient(x[0], adjacency[0].to_sparse_csr()), atol=1e-12)
    values, basis = torch.linalg.eigh(form[0])
    for k in range(7):
        assert rayleigh_quotient(basis[:, k : k + 1], adjacency[0]) == pytest.approx(values[k].item(), abs=1e-12)
    assert rayleigh_quotient(torch.zeros(7, 2, dtype=torch.float64), adjacency[0]) == 0


def test_a_gcn_step_is_a_low_pass_and_the_laplacian_a_high_pass() -> None:
    x, adjacency = torch.randn(30, 4, dtype=torch.float64), random_graph(30, 0.2)
    low = propagation(adjacency)
    high = torch.eye(30, dtype=torch.float64) - low
    top = torch.linalg.eigvalsh(high)[-1]

    def quotients(step: Tensor) -> list[float]:
        signal, out = x, []
        for _ in range(6):
            out.append(((signal * (high @ signal)).sum() / signal.square().sum()).item())
            signal = step @ signal
        return out

    falling, rising = quotients(low), quotients(high)
    assert all(b < a for a, b in zip(falling, falling[1:], strict=False)) and falling[-1] < 0.05 * falling[0]
    assert all(a < b < top for a, b in zip(rising, rising[1:], strict=False)) and rising[-1] > 1.2 * rising[0]
    assert dirichlet_energy(low @ x, adjacency) < dirichlet_energy(x, adjacency)
    assert rayleigh_quotient(low @ x, adjacency) < rayleigh_quotient(x, adjacency)
    form = laplacian(adjacency, "symmetric")
    assert rayleigh_quotient(form @ x, adjacency) > rayleigh_quotient(x, adjacency)


def test_the_energy_per_layer_falls_without_any_label() -> None:
    x, adjacency = torch.randn(30, 4, dtype=torch.float64), random_graph(30, 0.2)
    energies = []
    for _ in range(12):
        energies.append(rayleigh_quotient(x, adjacency).item())
        x = propagation(adjacency) @ x
    assert energies[-1] < 0.05 * energies[0]


def test_gradients() -> None:
    x, adjacency = graphs(2)
    x[:, 1] = x[:, 0]  # a distance of 0 has a finite gradient
    dirichlet_energy(x.requires_grad_(), adjacency).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, 2 * laplacian(adjacency, "combinatorial") @ x, atol=1e-12)
    x, sparse = torch.randn(7, 3, dtype=torch.float64, requires_grad=True), adjacency[0].to_sparse_csr()
    assert torch.autograd.gradcheck(lambda x: (dirichlet_energy(x, sparse), rayleigh_quotient(x, sparse)), (x,))
    assert torch.autograd.gradcheck(lambda x: rayleigh_quotient(x, adjacency[0]), (x,))


@pytest.mark.parametrize(
    ("adjacency", "kind", "message"),
    [
        pytest.param(torch.eye(3), "normalised", "kind is 'normalised', choose one of combinatorial, sym", id="kind"),
        pytest.param(torch.ones(2, 3), "symmetric", r"shape \[2, 3\], expected \(\.\.\., N, N\)", id="not square"),
        pytest.param(torch.ones(3), "symmetric", r"shape \[3\], expected", id="vector"),
        pytest.param(torch.full((2, 2), torch.nan), "symmetric", "NaN or infinite weights; set them to 0", id="nan"),
        pytest.param(torch.full((2, 2), torch.inf), "random_walk", "NaN or infinite weights", id="infinite"),
        pytest.param(torch.ones(2, 2).to_sparse_coo(), "symmetric", r"sparse_coo, .*to_sparse_csr\(\)", id="layout"),
    ],
)
def test_bad_adjacency_is_refused(adjacency: Tensor, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"laplacian: .*{message}"):
        laplacian(adjacency, kind)


@pytest.mark.parametrize("measure", [dirichlet_energy, rayleigh_quotient])
def test_a_signal_that_does_not_fit_is_refused(measure: object) -> None:
    with pytest.raises(ValueError, match=rf"{measure.__name__}: x has shape \[3, 1\], expected \(\.\.\., 4, F\)"):
        measure(torch.ones(3, 1), torch.ones(4, 4))


def test_the_rayleigh_quotient_of_a_directed_graph_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rayleigh_quotient: .* must be undirected .*; pass \(A \+ A\^T\) / 2"):
        rayleigh_quotient(torch.ones(3, 1), torch.ones(3, 3).tril())
