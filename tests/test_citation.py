"""The citation benchmark on a small stochastic block model, and on Cora where it is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn import functional

from benchmarks.citation import accuracy, forward, load, main, make_layers, train

ROOT = Path(__file__).parents[1]
CORA = Path(os.environ.get("BUNDLES_DATA", "")) / "cora.npz"
CLASSES, NODES = 4, 240


def block_model() -> dict[str, np.ndarray]:
    """Four classes with dense blocks, and features of 0 and 1 that hint at the class only weakly."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(NODES) % CLASSES)
    likely = np.where(y[:, None] == y, 0.08, 0.008)
    edges = np.stack(np.nonzero(np.triu(rng.random((NODES, NODES)) < likely, 1)))
    likely = 0.1 + 0.06 * (np.arange(60) % CLASSES == y[:, None])
    x = csr_array(rng.random((NODES, 60)) < likely, dtype=np.float32)
    order = rng.permutation(NODES)
    arrays = {"x_data": x.data, "x_indices": x.indices, "x_indptr": x.indptr, "x_shape": np.array(x.shape), "y": y}
    return arrays | {"edges": edges, "train": order[:40], "val": order[40:100], "test": order[100:]}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("citation") / "blocks.npz"
    np.savez(path, **block_model())
    return path


def means(path: Path, backend: str, seeds: int, epochs: int) -> float:
    graph = load(path)
    return float(np.mean([train(graph, backend, seed, epochs).test for seed in range(seeds)]))


def test_features_have_rows_of_sum_1_and_edges_go_both_ways_once(tmp_path: Path) -> None:
    arrays = block_model()
    doubled = np.concatenate([arrays["edges"], arrays["edges"][::-1], [[5], [5]]], 1)
    arrays["x_indptr"] = np.concatenate([arrays["x_indptr"][:-1], arrays["x_indptr"][-2:-1]])  # last row empty
    stored = arrays["x_indptr"][-1]
    arrays |= {"x_data": arrays["x_data"][:stored], "x_indices": arrays["x_indices"][:stored], "edges": doubled}
    np.savez(tmp_path / "doubled.npz", **arrays)
    graph = load(tmp_path / "doubled.npz")
    x, adjacency = graph.x.to_dense(), graph.adjacency.to_dense()
    assert torch.allclose(x.sum(1)[:-1], torch.ones(NODES - 1)) and x[-1].abs().sum() == 0
    assert torch.equal(adjacency, adjacency.T) and set(adjacency.unique().tolist()) == {0, 1}
    assert adjacency.sum() == 2 * block_model()["edges"].shape[1] and adjacency.diagonal().sum() == 0


def test_both_backends_compute_the_same_logits_and_gradients_from_the_same_weights(file: Path) -> None:
    graph = load(file)
    (own, native), (twins, pyg) = make_layers("native", graph), make_layers("pyg", graph)
    for layer, twin in zip(own, twins, strict=True):
        twin.load_state_dict({"lin.weight": layer.weight.T, "bias": layer.bias})
    found = []
    for layers, weight in ((native, own[0].weight), (pyg, twins[0].lin.weight)):
        torch.manual_seed(0)
        logits = forward(layers, graph.x, training=True)
        functional.cross_entropy(logits, graph.y).backward()
        found.append((logits.detach(), weight.grad if layers is native else weight.grad.T))
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() <= 1e-6


def test_the_sparse_product_equals_the_dense_one_and_dropout_keeps_its_mean(file: Path) -> None:
    graph = load(file)
    modules, layers = make_layers("mlp", graph)
    hidden = (graph.x.to_dense() @ modules[0].weight.T + modules[0].bias).relu()
    expected = hidden @ modules[1].weight.T + modules[1].bias
    assert (forward(layers, graph.x, training=False) - expected).abs().max() <= 1e-5
    kept = []
    forward([lambda x: kept.append(x) or torch.zeros(NODES, 1), lambda x: x], graph.x, training=True)
    ratio = kept[0].values() / graph.x.values()
    assert set(ratio.unique().tolist()) <= {0.0, 2.0} and ratio.mean().item() == pytest.approx(1, abs=0.1)


def test_the_graph_helps_and_both_backends_agree(file: Path) -> None:
    native, pyg, alone = (means(file, backend, 3, 120) for backend in ("native", "pyg", "mlp"))
    assert native > alone + 10 and abs(native - pyg) < 4


def test_the_epoch_is_chosen_by_validation_and_test_labels_change_nothing(file: Path) -> None:
    graph = load(file)
    found = train(graph, "native", 0, 40)
    y = graph.y.clone()
    y[graph.test] = y[graph.test].roll(1)
    other = train(type(graph)(graph.x, y, graph.adjacency, graph.train, graph.val, graph.test), "native", 0, 40)
    assert (other.epoch, other.val) == (found.epoch, found.val) and other.test != found.test
    assert 1 <= found.epoch <= 40


def test_accuracy_is_in_percent_of_the_named_nodes(file: Path) -> None:
    graph = load(file)
    logits = functional.one_hot(graph.y, CLASSES).float()
    logits[graph.test[0]] = logits[graph.test[0]].roll(1)
    assert accuracy(logits, graph, graph.val) == 100
    assert accuracy(logits, graph, graph.test) == pytest.approx(100 * (1 - 1 / len(graph.test)))


@pytest.mark.parametrize("seeds", [pytest.param(1, id="one seed"), pytest.param(3, id="three seeds")])
def test_the_last_line_is_mean_and_deviation_of_the_seeds(
    file: Path, seeds: int, capsys: pytest.CaptureFixture
) -> None:
    main(file, "native", seeds, 10)
    lines = capsys.readouterr().out.splitlines()
    values = [float(re.search(r"test (\S+) at", line)[1]) for line in lines if line.startswith("seed ")]
    assert len(values) == seeds
    match = re.fullmatch(r"mean (\d+\.\d\d) sd (\d+\.\d\d)", lines[-1])
    assert match is not None
    assert float(match[1]) == pytest.approx(np.mean(values), abs=0.011)
    assert float(match[2]) == pytest.approx(np.std(values, ddof=1) if seeds > 1 else 0, abs=0.011)


def test_the_command_prints_one_sentence_and_fails_without_a_file() -> None:
    command = [sys.executable, "-m", "benchmarks.citation", "--npz", "nowhere.npz"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and not result.stdout
    assert re.fullmatch(r"citation: nowhere\.npz is no file, --npz takes one with the arrays .*\.\n", result.stderr)


BAD = [
    pytest.param({"edges": None, "val": None}, "bad.npz lacks edges, val; it must hold x_data, ", id="missing"),
    pytest.param({"test": np.array([NODES])}, "test in .* names node 240, nodes run from 0 to 239", id="node"),
    pytest.param({"edges": np.array([[0], [-1]])}, "edges in .* names node -1, nodes run", id="edge"),
    pytest.param({"edges": np.zeros((5, 3), int)}, r"edges of shape \[5, 3\] for 240 nodes, expected", id="rows"),
    pytest.param({"y": np.zeros(7, int)}, r"y of shape \[7\] .* expected \(240,\) and \(2, E\)", id="labels"),
    pytest.param({"train": np.zeros(0, int)}, "train in .* names no node", id="empty"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_a_broken_file_is_refused(changes: dict, message: str, tmp_path: Path) -> None:
    arrays = {name: value for name, value in (block_model() | changes).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "bad.npz")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ValueError, match="text.npz is not an npz file, write it by numpy.savez"):
        load(tmp_path / "text.npz")


@pytest.mark.skipif(not CORA.is_file(), reason="BUNDLES_DATA names no folder with cora.npz")
@pytest.mark.parametrize("backend", ["native", "pyg"])
def test_cora_gives_what_is_published(backend: str) -> None:
    assert means(CORA, backend, 2, 200) == pytest.approx(81.5, abs=1.5)
