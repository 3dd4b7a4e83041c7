from collections.abc import Callable

import pytest
import torch
from scripts.bipartite import BipartiteResponse
from scripts.bipartite_graph import hide_edges, training_edges
from torch import Tensor

C, D, K, FD = 40, 12, 6, 5
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
Masks = Callable[[Tensor], tuple[Tensor, Tensor]]  # training pairs -> messages, supervised


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def features() -> tuple[Tensor, Tensor]:
    return torch.randn(D, FD), torch.randn(C, K)


def graph() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features of drugs and cells, and edges; the last cell and the last drug have none."""
    mask = torch.rand(C, D) < 0.6
    mask[-1], mask[:, -1] = False, False
    return *features(), *training_edges(torch.randn(C, D), mask)


def make_network(num_layers: int = 2, dropout: float = 0.3) -> BipartiteResponse:
    return BipartiteResponse(FD, K, hidden_channels=16, num_layers=num_layers, dropout=dropout).eval()


def naive(network: BipartiteResponse, drugs: Tensor, cells: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Node by node and edge by edge, from the formula of the class."""
    edges = list(zip(*index.tolist(), weight, strict=True))
    h = {"drug": network.enter["drug"](drugs).relu(), "cell": network.enter["cell"](cells).relu()}
    for number, conv in enumerate(network.convs):
        new = {}
        for kind, other in (("drug", "cell"), ("cell", "drug")):
            (layer,) = (part for way, part in conv.convs.items() if way[2] == kind)
            rows = []
            for node, own in enumerate(h[kind]):
                heard = [
                    w * h[other][c if kind == "drug" else d] for d, c, w in edges if node == (d, c)[kind == "cell"]
                ]
                total = torch.stack(heard).sum(0) / len(heard) ** 0.5 if heard else torch.zeros_like(own)
                rows.append(own + network.norms[f"{kind}_{number}"](layer.lin_rel(total) + layer.lin_root(own)).relu())
            new[kind] = torch.stack(rows)
        h = new
    u, v = (network.leave[kind](h[kind]) + network.skip[kind](x) for kind, x in (("cell", cells), ("drug", drugs)))
    return torch.stack([torch.stack([a[:-1] @ b[:-1] / (len(a) - 1) ** 0.5 + a[-1] + b[-1] for b in v]) for a in u])


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_it_equals_its_formula_node_by_node(num_layers: int) -> None:
    network = make_network(num_layers)
    found, expected = network(*(parts := graph())), naive(network, *parts)
    assert found.shape == (C, D) and (found - expected).abs().max() <= 1e-5


def test_numbering_and_order_of_edges_do_not_matter() -> None:
    network, (drugs, cells, index, weight) = make_network(), graph()
    before = network(drugs, cells, index, weight)
    d, c, e = torch.randperm(D), torch.randperm(C), torch.randperm(len(weight))
    renumbered = torch.stack([d.argsort()[index[0]], c.argsort()[index[1]]])[:, e]
    after = network(drugs[d], cells[c], renumbered, weight[e])
    assert torch.allclose(after, before[c][:, d], atol=1e-5)


@pytest.mark.parametrize("edges", ["all", "none"])
def test_new_cells_and_drugs_have_no_edges_and_are_predicted(edges: str) -> None:
    network, (drugs, cells, index, weight) = make_network(), graph()
    if edges == "none":
        index, weight = index[:, :0], weight[:0]
    out = network(drugs, cells, index, weight)
    out.sum().backward()
    assert out.isfinite().all() and out[-1].std() > 0 and out[:, -1].std() > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    cells = cells.clone()
    cells[-1] += 1  # a new cell is not heard
    after = network(drugs, cells, index, weight)
    assert torch.equal(after[:-1], out[:-1]) and not torch.allclose(after[-1], out[-1])


def test_the_sign_and_size_of_a_response_matter() -> None:
    network, (drugs, cells, index, weight) = make_network(), graph()
    out = network(drugs, cells, index, weight)
    for other in (-weight, 2 * weight):
        assert (network(drugs, cells, index, other) - out).abs().max() > 1e-2


def train(residuals: Tensor, mask: Tensor, unit: str, steps: int = 20) -> Tensor:
    """Predictions of a network trained as the bundle does it."""
    torch.manual_seed(1)
    drugs, cells = features()
    network = make_network().train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        hidden = hide_edges(mask, unit, 0.3)
        out = network(drugs, cells, *training_edges(residuals, mask & ~hidden))
        optimizer.zero_grad()
        (out - residuals)[hidden].square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        return network.eval()(drugs, cells, *training_edges(residuals, mask))


@pytest.mark.parametrize("unit", ["pair", "cell", "drug"])
def test_shuffled_test_labels_change_no_bit_of_the_predictions(unit: str) -> None:
    residuals, part = torch.randn(C, D), torch.zeros(C, D, dtype=torch.bool)
    test = {"pair": torch.rand(C, D) < 0.2, "cell": part.clone(), "drug": part.clone()}
    test["cell"][-5:], test["drug"][:, -3:] = True, True
    held = test[unit]
    shuffled = residuals.clone()
    shuffled[held] = residuals[held][torch.randperm(int(held.sum()))]
    assert not torch.equal(shuffled, residuals)
    before, after = (train(labels, ~held, unit) for labels in (residuals, shuffled))
    assert torch.equal(before, after)
    shuffled[~held] += 0.1  # a training label must be seen
    assert not torch.equal(train(shuffled, ~held, unit), before)


def error_on_noise(masks: Masks, steps: int = 250) -> float:
    """Squared error at the end of training on residuals that are drawn anew in each step.

    They cannot be learnt, so an error below their variance of 1 can only be read off the edges.
    """
    network = make_network(dropout=0.0).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    drugs, cells = features()
    everything = torch.ones(C, D, dtype=torch.bool)
    errors = []
    for _ in range(steps):
        residuals = torch.randn(C, D)
        messages, supervised = masks(everything)
        out = network(drugs, cells, *training_edges(residuals, messages))
        loss = (out - residuals)[supervised].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    return sum(errors[-50:]) / 50


def test_supervised_edges_among_the_messages_are_copied() -> None:
    def hide(mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = hide_edges(mask, "pair", 0.3)
        return mask & ~hidden, hidden

    copied, honest = error_on_noise(lambda mask: (mask, mask)), error_on_noise(hide)
    assert copied < 0.8 and honest > 0.95


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"drug_features": torch.zeros(D, FD + 1)}, r"drug_features has shape \[12, 6\]", id="drugs"),
        pytest.param({"cell_features": torch.zeros(K)}, r"cell_features has shape \[6\], expected one row", id="cells"),
        pytest.param(
            {"edge_weight": torch.zeros(2)}, r"edge_index has shape \[2, 3\] and edge_weight \[2\]", id="edges"
        ),
        pytest.param(
            {"edge_index": torch.tensor([[0, 1, 20], [0, 1, 20]])}, "drugs 0 to 20, there are 12", id="flipped"
        ),
        pytest.param(
            {"edge_index": torch.tensor([[0, 1, 2], [0, -1, 2]])}, "cells -1 to 2, there are 40", id="negative"
        ),
        pytest.param({"edge_weight": torch.tensor([0, torch.nan, 1])}, "edge_weight has values that are not", id="nan"),
    ],
)
def test_input_that_does_not_fit_is_refused(change: dict[str, Tensor], match: str) -> None:
    parts = {
        "drug_features": torch.zeros(D, FD),
        "cell_features": torch.zeros(C, K),
        "edge_index": torch.zeros(2, 3, dtype=torch.long),
        "edge_weight": torch.ones(3),
    }
    with pytest.raises(ValueError, match=match):
        make_network()(**parts | change)


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="num_layers is 0, it must be 1 or more"):
        make_network(0)
