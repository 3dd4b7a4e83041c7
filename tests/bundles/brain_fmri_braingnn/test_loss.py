import math

import pytest
import torch
from scripts.loss import BrainGNNLoss
from scripts.network import BrainGNNEnsemble
from torch import Tensor

N, C = 4, 2
WIDTH = C + 2 * N + 2


def output(logits: list[list[float]], first: list[list[float]], norms: list[float]) -> Tensor:
    """Two graphs of one member; the second pooling layer sees the first two regions."""
    nan = math.nan
    second = [[1.0, -1.0, nan, nan], [-1.0, 1.0, nan, nan]]
    return torch.tensor([[*a, *b, *c, *norms] for a, b, c in zip(logits, first, second, strict=True)])


EXAMPLE = ([[0.0, 0.0], [0.0, 2.0]], [[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]], [1.5, 1.0])


def test_terms_and_their_sum_by_hand() -> None:
    loss = BrainGNNLoss(N, C, ratio=0.5, unit=2.0, topk=0.25, consistency=0.5, normalise="pairs_nodes")
    total = loss(output(*EXAMPLE), torch.tensor([1, 1]))
    entropy = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    gate = math.log(1 + math.exp(-1))  # -log sigmoid(1), every kept and every dropped region
    consistency = 2 * 8 / (4 * N)  # two ordered pairs, squared distance 8; 4 pairs, N regions
    assert loss.terms == pytest.approx(
        {"cross_entropy": entropy, "unit": 0.25, "topk": 2 * gate, "consistency": consistency}, abs=1e-6
    )
    assert total.item() == pytest.approx(entropy + 2 * 0.25 + 0.25 * 2 * gate + 0.5 * consistency, abs=1e-6)


def test_graphs_of_other_classes_need_not_agree() -> None:
    loss = BrainGNNLoss(N, C)
    loss(output(*EXAMPLE), torch.tensor([0, 1]))
    assert loss.terms["consistency"] == 0


def test_the_objectives_of_members_add_up() -> None:
    one, label = output(*EXAMPLE), torch.tensor([1, 0])
    other = output([[3.0, 0.0], [0.0, 1.0]], EXAMPLE[1], [1.0, 3.0])
    loss = BrainGNNLoss(N, C)
    both = loss(torch.cat([one, other], dim=1), label)
    assert both.item() == pytest.approx((loss(one, label) + loss(other, label)).item(), abs=1e-6)


def test_logits_alone_are_cross_entropy() -> None:
    logits, label = torch.randn(5, C), torch.tensor([0, 1, 1, 0, 1])
    loss = BrainGNNLoss(N, C, label_smoothing=0.2)
    assert torch.equal(loss(logits, label), torch.nn.functional.cross_entropy(logits, label))


def test_logits_of_a_wide_output_are_those_of_the_ensemble() -> None:
    network = BrainGNNEnsemble(3, num_regions=N, num_classes=C, channels=(3, 3), num_communities=2).eval()
    image = torch.rand(2, 2, N, N)
    loss = BrainGNNLoss(N, C)
    found = torch.stack([loss.logits(row) for row in network(image, with_scores=True)])
    assert torch.allclose(found, network(image), atol=1e-6)
    assert torch.equal(loss.logits(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))


def test_a_wrong_width() -> None:
    with pytest.raises(
        ValueError, match=f"BrainGNNLoss: output has {WIDTH + 1} columns, expected 2 or a multiple of {WIDTH}"
    ):
        BrainGNNLoss(N, C)(torch.zeros(2, WIDTH + 1), torch.tensor([0, 1]))
