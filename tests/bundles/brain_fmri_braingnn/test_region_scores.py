from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.network import BrainGNN, BrainGNNEnsemble
from scripts.region_places import read_places
from scripts.region_scores import (
    Scores,
    agreement,
    class_effect,
    class_scores,
    jaccard,
    overlaps,
    planted_auc,
    region_table,
    scores_of,
    top_regions,
)

REGIONS = Path(__file__).resolve().parents[3] / "bundles/brain_fmri_braingnn/configs/ho_regions.csv"
N = 12


@pytest.fixture
def places():
    return read_places(str(REGIONS)).head(N)


def graphs(subjects: int, missing: tuple[int, int] | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(subjects, N, N, generator=generator)
    a = torch.rand(subjects, N, N, generator=generator)
    images = torch.stack([x + x.mT, (a + a.mT) * (a + a.mT > 1.2)], 1)
    images[:, 1].diagonal(dim1=1, dim2=2).zero_()
    if missing:
        images[missing[0], :, missing[1]] = 0
        images[missing[0], :, :, missing[1]] = 0
    return images


def network(readout: str = "paper") -> BrainGNN:
    torch.manual_seed(0)
    return BrainGNN(N, channels=(6, 5), num_communities=3, readout=readout, hidden_channels=()).eval()


def permuted(net: BrainGNN, order: torch.Tensor) -> BrainGNN:
    """The same network for an atlas whose rows are reordered."""
    other = network()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    for name in ("conv1.alpha", "conv2.alpha", "conv1.kernel_bias"):
        state[name] = state[name][order]
    state["conv1.basis"] = state["conv1.basis"][:, order]
    other.load_state_dict(state)
    return other


def test_scores_stand_at_their_own_names_when_the_atlas_is_reordered(places):
    order = torch.randperm(N, generator=torch.Generator().manual_seed(5))
    images, labels = graphs(8, missing=(2, 4)), torch.arange(8) % 2
    net = network()
    expected = region_table(scores_of(net, images, labels, 2), places, ["a", "b"]).set_index("name")
    moved = scores_of(permuted(net, order), images[:, :, order][..., order], labels, 2)
    found = region_table(moved, places.iloc[order.numpy()], ["a", "b"]).set_index("name").loc[expected.index]
    assert expected["score_a"].nunique() == N
    for column in ("score_a", "score_b", "effect", "share_kept"):
        np.testing.assert_allclose(found[column], expected[column], atol=1e-5)
    assert (found["rank"] == expected["rank"]).all() and (found["code"] == expected["code"]).all()


def test_kept_regions_and_scores_are_those_of_the_first_pooling_layer():
    images, net = graphs(5, missing=(1, 3)), network()
    scores = scores_of(net, images, torch.arange(5) % 2, 2, batch_size=2)
    _, first, _ = net.encode(images)
    np.testing.assert_allclose(scores.values[0], first.scores.detach(), atol=1e-5)
    assert np.isnan(scores.values[0, 1, 3]) and np.isnan(scores.values).sum() == 1
    assert [set(np.flatnonzero(row)) for row in scores.kept[0]] == [set(row.tolist()) for row in first.index]


def test_members_of_an_ensemble_are_kept_apart():
    torch.manual_seed(0)
    net = BrainGNNEnsemble(3, num_regions=N, channels=(4, 4), num_communities=2, hidden_channels=()).eval()
    images = graphs(4)
    scores = scores_of(net, images, torch.tensor([0, 1, 0, 1]), 2)
    for k, member in enumerate(net.members):
        np.testing.assert_allclose(scores.values[k], member.encode(images)[1].scores.detach(), atol=1e-5)


def test_missing_region_does_not_count_in_means_and_shares(places):
    values = np.zeros((1, 2, N))
    values[0, :, 0] = [np.nan, 3.0]
    kept = np.zeros((1, 2, N), bool)
    kept[0, 1, 0] = True
    table = region_table(Scores(values, kept, np.array([0, 0])), places, ["only"])
    assert table["score_only"][0] == 3 and table["share_kept"][0] == 1 and table["rank"][0] == 1


def test_effect_does_not_depend_on_the_sign_of_a_member():
    values = np.random.default_rng(0).normal(size=(1, 40, N))
    labels = np.arange(40) % 2
    values[0, labels == 1, 3] += 2.0
    values[0, :, 5] = np.nan
    mirrored = np.concatenate([values, -values])
    effect = class_effect(Scores(mirrored, np.isfinite(mirrored), labels), 2)
    assert np.nanargmax(effect) == 3 and effect[3] > 1.2 and np.isnan(effect[5])
    np.testing.assert_allclose(effect, class_effect(Scores(values, np.isfinite(values), labels), 2))
    one, other = values[0, labels == 0, 3], values[0, labels == 1, 3]
    assert effect[3] == pytest.approx((other.mean() - one.mean()) / np.sqrt((one.var() + other.var()) / 2))


def test_top_regions_skips_missing_ones():
    chosen = top_regions(np.array([np.nan, 1.0, 5.0, 3.0, 2.0, 0.0, -1.0, 4.0]), 0.25)
    assert np.flatnonzero(chosen).tolist() == [2, 7]


def test_jaccard_by_hand():
    sets = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_allclose(jaccard(sets)[0], [1, 1 / 3, 0, 0])
    assert jaccard(sets)[2, 3] == 1
    assert agreement(list(sets[:2])) == pytest.approx(1 / 3) and np.isnan(agreement([sets[0]]))


def test_overlaps_tells_within_from_between_classes():
    sets = np.array([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]], bool)
    assert overlaps(sets, np.array([0, 0, 1, 1])) == {"within": 1, "between": 0, "chance": pytest.approx(1 / 3)}


def test_chance_overlap_is_that_of_random_sets():
    rng = np.random.default_rng(0)
    sets = np.array([[rng.permutation(400) < 100 for _ in range(30)]])
    figures = overlaps(sets, np.arange(30) % 2)
    assert figures["within"] == pytest.approx(figures["chance"], abs=0.01)


def test_planted_auc():
    planted = np.array([True, False, True, False])
    assert planted_auc(np.array([4.0, 1, 3, 2]), planted) == 1
    assert planted_auc(np.array([1.0, 4, np.nan, 3]), planted) == 0
    with pytest.raises(ValueError, match="planted_auc: 4 of 4"):
        planted_auc(np.zeros(4), np.ones(4, bool))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="scores_of: 1 cases have no label"):
        scores_of(network(), graphs(2), torch.tensor([0, -1]), 2)
    with pytest.raises(ValueError, match="expected a multiple of 29"):
        scores_of(network(), graphs(2), torch.tensor([0, 1]), 3)
    empty = Scores(np.zeros((1, 2, N)), np.ones((1, 2, N), bool), np.array([0, 0]))
    with pytest.raises(ValueError, match="class 1 has no subject"):
        class_scores(empty, 2)
