import csv
import logging
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from scripts.network import PopulationGCN
from scripts.smoothing_report import SmoothingReport
from torch import nn

F, T = 4, 15


def network(layers: int = 3) -> PopulationGCN:
    """GCN layers that only mix the nodes; features are >= 0 and relu does nothing."""
    torch.manual_seed(0)
    net = PopulationGCN(6, F, num_classes=F, hidden_channels=(F,) * (layers - 1), layer="gcn", edges={}, capacity=20)
    for layer in net.layers:
        nn.init.eye_(layer.layer.weight)  # type: ignore[union-attr, arg-type]
    net.population.fit(torch.cat([torch.ones(T, 3), torch.rand(T, F)], 1))
    return net


def report(net: PopulationGCN, folder: Path, **settings: int) -> None:
    evaluator = Engine(lambda engine, batch: None)
    SmoothingReport(net, str(folder), **settings).attach(evaluator)
    evaluator.run([0])


@pytest.mark.parametrize("layers", [1, 3])
def test_table_and_figure_have_one_quotient_per_state(tmp_path: Path, layers: int) -> None:
    net = network(layers)
    report(net, tmp_path / "run")
    with open(tmp_path / "run/smoothing.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["state", "rayleigh_quotient"]
    assert [name for name, _ in rows] == ["features", *(f"layer {k}" for k in range(1, layers)), "logits"]
    x, adjacency = net.population.graph()
    expected = net.eval().energies(x[None], adjacency[None]).tolist()
    assert [float(value) for _, value in rows] == pytest.approx(expected, abs=1e-6)
    assert (tmp_path / "run/smoothing.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["smoothing.csv", "smoothing.png"]


def test_quotients_fall_where_layers_only_mix(tmp_path: Path) -> None:
    report(network(), tmp_path)
    values = [float(line.split(",")[1]) for line in (tmp_path / "smoothing.csv").read_text().splitlines()[1:]]
    assert values == sorted(values, reverse=True) and values[-1] < 0.2 * values[0]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_network_stays(tmp_path: Path, training: bool) -> None:
    net = network().train(training)
    report(net, tmp_path)
    assert net.training is training


def test_a_graph_beyond_the_limit_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "SmoothingReport"):
        report(network(), tmp_path, limit=T - 1)
    assert not list(tmp_path.iterdir()) and f"more than {T - 1} nodes: no smoothing.csv" in caplog.text
    report(network(), tmp_path, limit=T)
    assert (tmp_path / "smoothing.csv").exists()
