import pytest
import torch
from scripts.brain_graph import BrainGraph, BrainGraphd, strongest_edges
from scripts.common.transforms import Connectivity


def image(regions: int = 20, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(80, 1, generator=generator)
    return Connectivity()(torch.randn(80, regions, generator=generator) + 0.5 * common)


def pairs(matrix: torch.Tensor) -> torch.Tensor:
    row, column = torch.triu_indices(len(matrix), len(matrix), offset=1)
    return matrix[row, column]


def hand_made() -> torch.Tensor:
    """Five regions; region 4 has only negative and weak positive edges."""
    partial = torch.zeros(5, 5)
    for (i, j), value in {(0, 1): 0.9, (0, 2): 0.5, (1, 3): 0.4, (2, 3): -0.8, (3, 4): 0.1, (0, 4): -0.6}.items():
        partial[i, j] = partial[j, i] = value
    return torch.stack([torch.ones(5, 5) - torch.eye(5), partial])


def test_hand_computed_edges() -> None:
    graph = BrainGraph(density=0.3)(hand_made())
    expected = torch.zeros(5, 5)
    expected[0, 1] = expected[1, 0] = 0.9
    expected[0, 2] = expected[2, 0] = 0.5
    expected[1, 3] = expected[3, 1] = 0.4
    assert torch.equal(graph[1], expected) and torch.equal(graph[0], hand_made()[0])


def test_the_threshold_is_taken_on_the_upper_triangle_not_with_the_diagonal() -> None:
    """The tutorial's percentile counts the diagonal: 20 of 400 entries are 1, and only 10 pairs would remain."""
    graph = BrainGraph(density=0.1)(image())
    assert int((graph[1] > 0).sum()) == 2 * 19
    assert not graph[1].diagonal().any() and torch.equal(graph[1], graph[1].T)
    kept = pairs(graph[1]) > 0
    assert pairs(image()[1])[kept].min() > pairs(image()[1])[~kept].max()


def test_weights_are_kept_not_binarised() -> None:
    graph = BrainGraph()(image())
    kept = graph[1] > 0
    assert torch.equal(graph[1][kept], image()[1][kept]) and len(graph[1][kept].unique()) == 19


def test_edges_come_from_partial_correlation_not_from_the_features() -> None:
    """The tutorial takes Pearson's correlation: the chain 0-1-2 then gets the edge 0-2 before the weak pair 3-4."""
    noise = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0))
    middle = noise[:, 1]
    series = torch.stack([middle + noise[:, 0], middle, middle + noise[:, 2], noise[:, 3], noise[:, 4]], 1)
    series[:, 4] += 0.4 * noise[:, 3]
    both = Connectivity()(series)
    graph = BrainGraph(density=0.3)(both)
    assert both[0, 0, 2] > both[0, 3, 4] > 0.3
    assert (graph[1] > 0).triu().nonzero().tolist() == [[0, 1], [1, 2], [3, 4]]


def test_fewer_positive_pairs_than_asked_are_all_kept_and_no_negative_one() -> None:
    graph = BrainGraph(density=1.0)(hand_made())
    assert int((graph[1] > 0).sum()) == 2 * 4 and graph.min() >= 0


def test_missing_regions_are_masked_and_do_not_count_as_pairs() -> None:
    both = image()
    both[0, [2, 5]] = both[0, :, [2, 5]] = 0
    graph = BrainGraph(density=0.1)(both)  # channel 1 still has edges of them
    assert int((graph[1] > 0).sum()) == 2 * round(0.1 * 18 * 17 / 2)
    assert not graph[1, [2, 5]].any() and not graph[1, :, [2, 5]].any()
    with pytest.raises(ValueError, match=r"subject 's1' lacks regions \[2, 5\] .*missing is 'raise'"):
        BrainGraph(missing="raise")(both, "s1")


def test_policies_for_isolated_regions() -> None:
    kept = BrainGraph(density=0.3)(hand_made())
    assert not kept[1, 4].any()
    strongest = BrainGraph(density=0.3, isolated="strongest")(hand_made())
    assert strongest[1, 4, 3] == strongest[1, 3, 4] == hand_made()[1, 3, 4]
    assert int((strongest[1] > 0).sum()) == int((kept[1] > 0).sum()) + 2
    with pytest.raises(ValueError, match=r"subject 's1' has regions \[4\] without an edge, and isolated is 'raise'"):
        BrainGraph(density=0.3, isolated="raise")(hand_made(), "s1")


def test_an_isolated_region_never_gets_an_edge_to_a_missing_one_or_a_negative_one() -> None:
    both = hand_made()
    both[0, 3] = both[0, :, 3] = 0  # the only positive neighbour of 4 is missing
    assert not BrainGraph(density=0.3, isolated="strongest")(both)[1, 4].any()


def test_a_ready_adjacency_and_a_structural_channel_pass_unchanged() -> None:
    both = hand_made().clamp(min=0)
    assert torch.equal(BrainGraph(density=None)(both), both)
    three = torch.cat([hand_made(), torch.rand(1, 5, 5)])
    three[2] = torch.triu(three[2], 1) + torch.triu(three[2], 1).T
    assert torch.equal(BrainGraph()(three)[2], three[2])


def test_the_input_is_not_changed_and_the_dictionary_version_is_equal() -> None:
    data = {"image": image(), "id": "s1"}
    result = BrainGraphd("image")(data)
    assert torch.equal(data["image"], image()) and torch.equal(result["image"], BrainGraph()(image()))


def changed(index: tuple[int, ...], value: float, base: torch.Tensor | None = None) -> torch.Tensor:
    result = (image() if base is None else base).clone()
    result[index] = value
    return result


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        pytest.param({}, changed((1, 0, 1), 0.7), "channel 1 of subject 's1' is not symmetric", id="asymmetric"),
        pytest.param({}, changed((0, 0, 1), float("nan")), "subject 's1' holds NaN", id="nan"),
        pytest.param({"density": None}, hand_made(), "adjacency of subject 's1' has negative", id="negative"),
        pytest.param({}, torch.cat([hand_made(), hand_made()[1:]]), "adjacency of subject 's1' has negative", id="dti"),
        pytest.param(
            {"density": None},
            changed((1, 0, 0), 1, hand_made().clamp(min=0)),
            "subject 's1' has self loops",
            id="self-loop",
        ),
        pytest.param({}, torch.zeros(5, 5), r"subject 's1' has shape \(5, 5\)", id="shape"),
    ],
)
def test_bad_input_is_refused_by_name(settings: dict, data: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BrainGraphd("image", **settings)({"image": data, "id": "s1"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"density": 0.0}, "density is 0.0", id="density"),
        pytest.param({"isolated": "drop"}, "isolated is 'drop'", id="isolated"),
        pytest.param({"missing": "drop"}, "missing is 'drop'", id="missing"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BrainGraph(**settings)


def test_no_more_edges_than_pairs() -> None:
    assert int((strongest_edges(torch.ones(4, 4), torch.ones(4, dtype=torch.bool), 1.0) > 0).sum()) == 12
