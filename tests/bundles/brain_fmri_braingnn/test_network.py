import copy
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scripts.network import BrainGNN, BrainGNNEnsemble
from torch import Tensor

from common.losses import group_consistency_loss, topk_pool_loss, unit_loss

from . import naive_braingnn as naive
from . import pyg_braingnn as pyg

N, C = 10, 3
CHANNELS = (9, 8)
SMALL: dict[str, Any] = {"num_regions": N, "num_classes": C, "channels": CHANNELS, "num_communities": 3}


def image(batch: int = 4, missing: bool = False, density: float = 0.4) -> Tensor:
    """Symmetric features and adjacency with zero diagonals, (B, 2, N, N) in float64."""
    pair = torch.randn(batch, 2, N, N, dtype=torch.float64).triu(1)
    pair[:, 1] = pair[:, 1].abs() * (torch.rand(batch, N, N) < density)
    pair = pair + pair.transpose(2, 3)
    if missing:
        for graph, region in ((0, 3), (1, 0), (1, 9)):
            pair[graph : graph + 1, :, region] = 0
            pair[graph : graph + 1, :, :, region] = 0
    return pair


def network(**settings: Any) -> BrainGNN:
    """In float64 and evaluation, with every parameter and statistic drawn so that no term is small."""
    net = BrainGNN(**SMALL | {"hidden_channels": (6, 5)} | settings).double().eval()
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and not name.startswith("feature"):
            torch.nn.init.normal_(value)
    return net


def split(output: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, scores of pool 1 and of pool 2, lengths."""
    return output.split([C, N, N, 2], dim=1)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.0])
def test_paper_mode_equals_the_equations(hidden: tuple[int, ...], ratio: float) -> None:
    net, cases = network(hidden_channels=hidden, ratio=ratio), image(missing=True)
    output = net(cases, with_scores=True)
    for case, row in zip(cases, output, strict=True):
        expected = torch.cat(naive.braingnn(net.state_dict(), case[0], case[1], ratio))
        assert torch.allclose(row[:-2], expected, rtol=0, atol=1e-10, equal_nan=True)
    assert torch.equal(net(cases), output[:, :C])


def test_gradients_of_paper_mode_equal_those_of_the_equations() -> None:
    net, cases, weight = network(), image(missing=True), torch.randn(C, dtype=torch.float64)
    (net(cases) @ weight).sum().backward()
    own = {
        name: value.detach().clone().requires_grad_(value.is_floating_point())
        for name, value in net.state_dict().items()
    }
    sum(naive.braingnn(own, case[0], case[1], 0.5)[0] @ weight for case in cases).backward()
    for name, parameter in net.named_parameters():
        assert (parameter.grad - own[name].grad).abs().max() <= 1e-10 * (1 + own[name].grad.abs().max()), name


def test_all_terms_of_equation_10_equal_the_loops() -> None:
    net, cases, labels = network(), image(6, missing=True), torch.tensor([0, 1, 0, 2, 1, 0])
    _, first, later, norms = split(net(cases, with_scores=True))
    assert torch.allclose(unit_loss(norms), naive.unit_loss([net.pool1.weight, net.pool2.weight]))
    kept = math.ceil(0.5 * N)
    for scores, k in ((first, kept), (later, math.ceil(0.5 * kept))):
        assert (topk_pool_loss(scores, k) - naive.topk_pool_loss(scores, k)).abs() <= 1e-10
    found = group_consistency_loss(first, labels, "none")
    assert (found - naive.group_consistency_loss(first, labels)).abs() <= 1e-9


@pytest.mark.parametrize("conv", [pyg.RegionConv, pyg.SharedKernelConv])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_official_mode_equals_the_port_on_torch_geometric(conv: type[pyg.RegionConv], training: bool) -> None:
    net, cases = network(mode="official", dropout=0.0).train(training), image(6)
    port = pyg.load(net.state_dict(), copy.deepcopy(net.head), 0.5, conv).train(training)
    logits, gates, kept = port(pyg.Graphs(cases))
    own_logits, *scores, _ = split(net(cases, with_scores=True))
    assert (own_logits - logits).abs().max() <= 1e-10
    for own, gate, rows in zip(scores, gates, kept, strict=True):
        assert (own.flatten()[rows].sigmoid() - gate).abs().max() <= 1e-10
    assert set(scores[1].isfinite().flatten().nonzero()[:, 0].tolist()) == set(kept[0].tolist())


@pytest.mark.filterwarnings("ignore:Sparse")
def test_gradients_of_official_mode_equal_those_of_the_port() -> None:
    net, cases, labels = network(mode="official"), image(6), torch.arange(6) % C
    port = pyg.load(net.state_dict(), copy.deepcopy(net.head), 0.5).eval()
    torch.nn.functional.cross_entropy(net(cases), labels).backward()
    torch.nn.functional.cross_entropy(port(pyg.Graphs(cases))[0], labels).backward()
    for layer in ("1", "2"):
        own, other = getattr(net, f"conv{layer}"), getattr(port, f"conv{layer}")
        pool, select = getattr(net, f"pool{layer}"), getattr(port, f"pool{layer}").select
        for mine, theirs in (
            (own.alpha.grad, other.network[0].weight.grad.T),
            (own.basis.grad.flatten(1), other.network[2].weight.grad.T),
            (own.kernel_bias.grad.flatten(), other.network[2].bias.grad),
            (own.bias.grad, other.bias.grad),
            (pool.weight.grad, select.weight.grad[0]),
        ):
            assert (mine - theirs).abs().max() <= 1e-10


OPTIONS = [
    pytest.param({}, id="paper"),
    pytest.param({"mode": "official"}, id="official"),
    pytest.param({"readout": "region"}, id="region readout"),
    pytest.param({"attention": True}, id="attention"),
    pytest.param({"edges": False}, id="no edges"),
    pytest.param({"mode": "official", "edges": False}, id="official, no edges"),
    pytest.param({"hidden_channels": ()}, id="linear head"),
    pytest.param({"xavier": True}, id="xavier"),
    pytest.param({"ratio": 1.0, "readout": "region"}, id="no pooling"),
    pytest.param({"num_classes": 1}, id="one logit"),
]


def permute(net: BrainGNN, order: Tensor) -> BrainGNN:
    """The same network for the regions in another order: everything that belongs to a region moves with it."""
    state = {name: value.clone() for name, value in net.state_dict().items()}
    for name in ("conv1.alpha", "conv2.alpha"):
        state[name] = state[name][order]
    # a feature of a region is its correlation with another region, so the columns move too
    state["conv1.basis"] = state["conv1.basis"][:, order]
    state["conv1.kernel_bias"] = state["conv1.kernel_bias"][order]
    state["feature_std"] = state["feature_std"][order][:, order]
    if net.by_region:
        places, start = [torch.arange(2 * sum(CHANNELS))], 2 * sum(CHANNELS)
        for width in CHANNELS:
            places.append(start + torch.arange(N * width).view(N, width)[order].flatten())
            start += N * width
        columns, first = torch.cat(places), "head.0.weight" if "head.0.weight" in state else "head.1.weight"
        state[first] = state[first][:, columns]
        for name in ("norm.running_mean", "norm.running_var"):
            state[name] = state[name][columns]
    twin = copy.deepcopy(net)
    twin.load_state_dict(state)
    return twin


@pytest.mark.parametrize("settings", OPTIONS)
def test_permuting_regions_with_their_ids_leaves_the_logits_unchanged(settings: dict) -> None:
    net, cases, order = network(**settings), image(missing=settings.get("mode") != "official"), torch.randperm(N)
    net.feature_std.uniform_(0.5, 2)
    moved = cases[:, :, order][:, :, :, order]
    assert torch.allclose(permute(net, order)(moved), net(cases), rtol=0, atol=1e-10)
    assert not torch.allclose(net(moved), net(cases))  # without their ids it is another brain
    scores = [out[:, -2 * N - 2 : -2].view(-1, 2, N) for out in (permute(net, order)(moved, True), net(cases, True))]
    assert torch.allclose(scores[0], scores[1][:, :, order], rtol=0, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("settings", [{}, {"attention": True}, {"readout": "region"}])
def test_masked_regions_have_no_influence(settings: dict) -> None:
    net, cases = network(**settings), image(missing=True)
    before = net(cases, with_scores=True)
    reference = net(cases)
    net.feature_std[3] = net.feature_std[:, 3] = 5.0
    with torch.no_grad():
        net.conv1.alpha[3] += 1
        net.conv2.alpha[3] += 1
    assert torch.allclose(net(cases)[0], reference[0], rtol=0, atol=1e-10)
    assert not torch.allclose(net(cases)[1:], reference[1:])
    _, first, later, _ = split(before)
    assert first.isnan().nonzero().tolist() == [[0, 3], [1, 0], [1, 9]]
    assert later.isnan().sum(1).tolist() == [N - 5] * len(cases)


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_a_graph_that_is_all_missing_gives_finite_logits(mode: str) -> None:
    cases = image()
    cases[1] = 0
    net = network(mode=mode)
    net(cases).sum().backward()
    assert net(cases).isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_without_edges_the_adjacency_is_ignored() -> None:
    net, cases = network(edges=False), image()
    other = cases.clone()
    other[:, 1] = image()[:, 1]
    assert torch.equal(net(cases), net(other))
    assert not torch.allclose(network()(cases), network()(other))


@pytest.mark.parametrize("settings", OPTIONS)
def test_every_option_trains_a_step_with_finite_gradients(settings: dict) -> None:
    net = BrainGNN(**SMALL | settings)
    cases, before = image(6, missing=True).float(), copy.deepcopy(net.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(2):  # a linear head starts at 0 and lets nothing through in the first step
        optimizer.zero_grad()
        output = net(cases, with_scores=True)
        assert output.shape == (6, net.num_classes + 2 * N + 2)
        logits, first, later, norms = output.split([net.num_classes, N, N, 2], dim=1)
        pools = topk_pool_loss(first, 5) + topk_pool_loss(later, 3)
        ((logits - 1).square().mean() + unit_loss(norms) + pools).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
    assert not [name for name, p in net.named_parameters() if torch.equal(p, before[name])]


SIZES = [
    # two convolutions with their projections, then the head; the authors' code has 93,282
    pytest.param({"num_regions": 200}, 59_232 + 10_848 + 23_138, id="200 regions"),
    pytest.param({"num_regions": 200, "mode": "official"}, 59_264 + 10_880 + 23_138, id="200 regions, official"),
    pytest.param({"num_regions": 110}, 32_592 + 10_128 + 23_138, id="110 regions"),
    pytest.param(
        {"num_regions": 110, "readout": "region", "hidden_channels": ()}, 32_592 + 10_128 + 14_338, id="region readout"
    ),
]


@pytest.mark.parametrize(("settings", "parameters"), SIZES)
def test_number_of_parameters(settings: dict, parameters: int) -> None:
    assert sum(p.numel() for p in BrainGNN(**settings).parameters()) == parameters


@pytest.mark.parametrize("settings", OPTIONS)
def test_script_and_trace_equal_eager(settings: dict) -> None:
    net = BrainGNN(**SMALL | settings).eval()
    cases, other = image(3, missing=True).float(), image(5).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = [torch.jit.script(net), torch.jit.trace(net, cases)]
    for module in exported:
        assert torch.allclose(module(cases), net(cases), atol=1e-6)
        assert torch.allclose(module(other), net(other), atol=1e-6)  # another batch size


@pytest.mark.parametrize("settings", [p for p in OPTIONS if p.id not in ("xavier", "one logit")])
def test_export_with_a_dynamic_batch_equals_eager(settings: dict) -> None:
    net = BrainGNN(**SMALL | settings).eval()
    cases, other = image(3, missing=True).float(), image(5).float()
    program = torch.export.export(net, (cases,), dynamic_shapes={"image": {0: torch.export.Dim("batch")}})
    for each in (cases, other, cases[:1]):
        assert torch.allclose(program.module()(each), net(each), atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"mode": "official"}, {"readout": "region", "hidden_channels": ()}])
def test_onnx_equals_eager(settings: dict, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from monai.networks import convert_to_onnx

    net, cases = BrainGNN(**SMALL | settings).eval(), image(1, missing=True).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        convert_to_onnx(net, [cases], filename=str(tmp_path / "net.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    output = session.run(None, {session.get_inputs()[0].name: cases.numpy()})[0]
    np.testing.assert_allclose(output, net(cases).detach().numpy(), atol=1e-5)


def loss_of(output: Tensor, labels: Tensor) -> Tensor:
    logits, _, _, norms = split(output)
    return torch.nn.functional.cross_entropy(logits, labels) + unit_loss(norms)


def work(rank: int, net: BrainGNN, cases: Tensor, labels: Tensor, folder: Path) -> None:
    """One of two processes: its half of the batch."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    parallel = torch.nn.parallel.DistributedDataParallel(net)
    loss_of(parallel(cases[rank::2], with_scores=True), labels[rank::2]).backward()
    torch.save([p.grad for p in net.parameters()], folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_gradients_of_one(tmp_path: Path) -> None:
    # without hidden layers there is no batch norm, whose statistics would differ between halves
    net, cases, labels = network(hidden_channels=(), dropout=0.0).train(), image(6, missing=True), torch.arange(6) % C
    context = torch.multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(rank, net, cases, labels, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    loss_of(net(cases, with_scores=True), labels).backward()
    for rank in range(2):
        for parameter, other in zip(net.parameters(), torch.load(tmp_path / f"{rank}.pt"), strict=True):
            assert torch.allclose(parameter.grad, other, rtol=0, atol=1e-10)
    without = [p.grad.clone() for p in (net.pool1.weight, net.pool2.weight)]
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(cases), labels).backward()
    assert not torch.allclose(without[0], net.pool1.weight.grad)  # the unit loss arrived through the columns


@pytest.mark.parametrize("with_scores", [False, True])
def test_an_ensemble_averages_the_probabilities_and_lays_the_outputs_side_by_side(with_scores: bool) -> None:
    net, cases = BrainGNNEnsemble(3, **SMALL).double().eval(), image()
    outputs = [member(cases, with_scores) for member in net.members]
    if with_scores:
        assert torch.equal(net(cases, True).nan_to_num(), torch.cat(outputs, 1).nan_to_num())
    else:
        assert torch.allclose(net(cases).softmax(1), sum(o.softmax(1) for o in outputs) / 3)
        assert not torch.allclose(outputs[0], outputs[1])


def test_the_region_readout_writes_each_kept_region_at_its_place() -> None:
    net, cases = network(readout="region"), image()
    z, first, _ = net.encode(cases)
    width = 2 * sum(CHANNELS)
    assert z.shape == (len(cases), net.out_channels)
    one, two = z[:, width:].split([N * channels for channels in CHANNELS], dim=1)
    h = net.conv1(cases[:, 0], cases[:, 1]) * first.gate[:, :, None]
    kept = torch.zeros(len(cases), N, 1, dtype=torch.bool).scatter(1, first.index[:, :, None], True)
    assert torch.allclose(one, (h * kept).flatten(1), rtol=0, atol=1e-10)
    later = split(net(cases, with_scores=True))[2]
    assert not two.view(len(cases), N, -1)[later.isnan()].any()  # dropped by the first pooling


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"mode": "nonsense"}, id="mode"),
        pytest.param({"readout": "nonsense"}, id="readout"),
    ],
)
def test_an_unknown_choice_is_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=rf"BrainGNN: {next(iter(settings))} is 'nonsense', choose one of \['paper', "):
        BrainGNN(**SMALL | settings)
    with pytest.raises(ValueError, match="BrainGNNEnsemble: num_members is 0, it must be at least 1"):
        BrainGNNEnsemble(0, **SMALL)


def test_another_atlas_is_refused() -> None:
    with pytest.raises(ValueError, match=rf"expected \(B, 2, {N}, {N}\)"):
        network()(torch.rand(2, 2, 7, 7, dtype=torch.float64))
