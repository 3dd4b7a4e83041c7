import math

import pytest
import torch

from common.layers import ROITopKPool, gather_edges, gather_regions
from tests.bundles.brain_fmri_braingnn import naive_braingnn as naive

from .graphs import draw, graphs, remove

N, F = 7, 5


def pool(ratio: float = 0.5, **settings: object) -> ROITopKPool:
    return draw(ROITopKPool(F, ratio, **settings))


def test_equation_4_equals_a_loop_over_regions() -> None:
    layer, (x, adjacency) = pool(), graphs()
    present = remove(x, adjacency, 1, 3)
    kept, edges, selection = layer(x, adjacency, present)
    for b in range(len(x)):
        scores = naive.standardised([*x[b]], layer.weight, present[b].tolist())
        index = naive.best(scores, math.ceil(0.5 * N))
        assert selection.index[b].tolist() == index
        assert torch.allclose(selection.scores[b], torch.stack(scores), rtol=0, atol=1e-10, equal_nan=True)
        for place, region in enumerate(index):
            assert (kept[b, place] - x[b, region] * scores[region].sigmoid()).abs().max() <= 1e-10
            assert [edges[b, place, other] for other in range(4)] == [adjacency[b, region, j] for j in index]


def test_a_hand_computed_graph() -> None:
    layer = ROITopKPool(1).double()
    torch.nn.init.constant_(layer.weight, 3.0)  # only its direction counts
    x = torch.tensor([[[1.0], [5.0], [1.0], [5.0]]], dtype=torch.float64)
    kept, _, selection = layer(x, torch.zeros(1, 4, 4, dtype=torch.float64))
    assert torch.allclose(selection.scores, torch.tensor([[-1.0, 1, -1, 1]], dtype=torch.float64))
    assert sorted(selection.index[0].tolist()) == [1, 3]
    assert torch.allclose(kept, torch.full_like(kept, 5 / (1 + math.exp(-1))))


def test_scores_have_mean_0_and_deviation_1_over_the_present_regions() -> None:
    x, adjacency = graphs()
    scores = pool().select(x, remove(x, adjacency, 0, 2)).scores
    assert scores[0].isnan().nonzero().tolist() == [[2]]
    for row in scores:
        there = row[row.isfinite()]
        assert float(there.mean()) == pytest.approx(0, abs=1e-12)
        assert float(there.std(correction=0)) == pytest.approx(1)


def test_the_scores_do_not_depend_on_the_length_of_the_weight() -> None:
    layer, (x, _) = pool(), graphs()
    before = layer.select(x).scores
    with torch.no_grad():
        layer.weight.mul_(7)
    assert torch.allclose(layer.select(x).scores, before)


def test_without_standardising_the_gate_is_the_sigmoid_of_the_projection() -> None:
    # a sigmoid, where torch_geometric's default is tanh
    layer, (x, _) = pool(standardise=False), graphs()
    selection = layer.select(x)
    assert torch.allclose(selection.gate, torch.sigmoid(x @ layer.weight / layer.weight.norm()))


def test_every_score_belongs_to_its_region_and_the_index_maps_to_kept_rows() -> None:
    layer, (x, adjacency) = pool(), graphs()
    kept, edges, selection = layer(x, adjacency)
    assert selection.scores.shape == (4, N)  # all regions, not only the survivors
    assert torch.equal(kept, gather_regions(x * selection.gate[:, :, None], selection.index))
    ordered = selection.scores.gather(1, selection.index)
    assert (ordered.diff(dim=1) <= 0).all()
    dropped = torch.ones(4, N, dtype=torch.bool).scatter(1, selection.index, False)
    assert (selection.scores[dropped].view(4, -1).amax(1) <= ordered[:, -1]).all()
    for b in range(4):
        assert torch.equal(edges[b], adjacency[b, selection.index[b]][:, selection.index[b]])


def test_ratio_1_keeps_every_region_and_every_edge() -> None:
    layer, (x, adjacency) = pool(1.0), graphs()
    kept, edges, selection = layer(x, adjacency)
    assert torch.equal(selection.index.sort().values, torch.arange(N).expand(4, N))
    back = selection.index.argsort()
    assert torch.allclose(gather_regions(kept, back), x * selection.gate[:, :, None])
    assert torch.equal(gather_edges(edges, back), adjacency)


def test_permuting_regions_keeps_the_kept_rows() -> None:
    layer, (x, adjacency) = pool(), graphs()
    kept, edges, selection = layer(x, adjacency)
    order = torch.randperm(N)
    again, edges_again, permuted = layer(x[:, order], adjacency[:, order][:, :, order])
    assert torch.equal(order[permuted.index], selection.index)
    assert torch.allclose(again, kept)
    assert torch.equal(edges_again, edges)


def test_missing_regions_are_kept_only_in_need_and_then_gated_by_0() -> None:
    layer, (x, adjacency) = pool(), graphs(batch=1)
    for region in (0, 2, 3, 5):
        present = remove(x, adjacency, 0, region)
    kept, _, selection = layer(x, adjacency, present)  # 3 of 7 present, 4 kept
    assert set(selection.index[0, :3].tolist()) == {1, 4, 6}
    assert torch.equal(kept[0, 3], torch.zeros(F, dtype=torch.float64))
    assert selection.gate[0, [0, 2, 3, 5]].tolist() == [0] * 4


def test_equal_features_and_empty_graphs_give_finite_values_and_gradients() -> None:
    layer, x = pool(), torch.ones(2, N, F, dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[True] * N, [False] * N])
    kept, _, selection = layer(x, torch.zeros(2, N, N, dtype=torch.float64), present)
    assert torch.allclose(selection.scores[0], torch.zeros(N, dtype=torch.float64), atol=1e-6)
    kept.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and layer.weight.grad.isfinite().all()


def test_gradients() -> None:
    layer, (x, adjacency) = pool(), graphs(2)
    present = remove(x, adjacency, 0, 1)
    inputs = (x.requires_grad_(), adjacency.requires_grad_(), layer.weight)

    def outputs(x, adjacency, weight):
        kept, edges, selection = torch.func.functional_call(layer, {"weight": weight}, (x, adjacency, present))
        return kept, edges, selection.scores.nan_to_num()

    assert torch.autograd.gradcheck(outputs, inputs)


@pytest.mark.parametrize("ratio", [0.0, 1.5, -1.0])
def test_a_ratio_that_keeps_nothing_or_too_much_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"ROITopKPool: ratio is {ratio}, it must be in \(0, 1\]"):
        ROITopKPool(F, ratio)


def test_k_is_rounded_up() -> None:
    assert [ROITopKPool(F, ratio).num_kept(7) for ratio in (0.01, 0.5, 0.8, 1.0)] == [1, 4, 6, 7]
    assert "ratio=0.5" in repr(pool())
