import pytest
import torch
from scripts.common.transforms import correlation
from scripts.resampling import RandBlockBootstrap, RandBlockBootstrapd, RandVoxelResample, RandVoxelResampled

TIME = torch.arange(50.0)[:, None].repeat(1, 3)
REPLICATES = torch.arange(4.0)[:, None, None].expand(4, 10, 3)


def test_validation_sees_the_mean_of_all_voxels() -> None:
    assert torch.equal(RandVoxelResample(prob=0.0)(REPLICATES), REPLICATES[0])


def test_training_sees_every_random_replicate_and_never_the_mean() -> None:
    transform = RandVoxelResample().set_random_state(0)
    assert {float(transform(REPLICATES)[0, 0]) for _ in range(60)} == {1.0, 2.0, 3.0}
    half = RandVoxelResample(prob=0.5).set_random_state(0)
    assert {float(half(REPLICATES)[0, 0]) for _ in range(60)} == {0.0, 1.0, 2.0, 3.0}


def test_series_without_replicates_pass() -> None:
    assert torch.equal(RandVoxelResample()(TIME), TIME)
    assert torch.equal(RandVoxelResample()(TIME[None]), TIME)
    with pytest.raises(ValueError, match=r"series have shape \(50,\)"):
        RandVoxelResample()(TIME[:, 0])


def test_a_bootstrap_is_made_of_whole_blocks_shared_by_the_regions() -> None:
    result = RandBlockBootstrap(block_frames=8).set_random_state(0)(TIME)
    assert result.shape == TIME.shape and (result == result[:, :1]).all()
    frames = result[:, 0]
    steps = torch.diff(frames)
    inside = torch.arange(1, 50) % 8 != 0
    assert (steps[inside] == 1).all() and (steps[~inside] != 1).any()
    assert frames.min() >= 0 and frames.max() < 50


def test_seconds_and_frames_mean_the_same_block() -> None:
    results = [
        RandBlockBootstrap(**settings).set_random_state(3)(TIME)
        for settings in ({"block_frames": 10}, {"block_seconds": 20.0, "tr_seconds": 2.0})
    ]
    assert torch.equal(*results)


def test_the_bootstrap_keeps_missing_regions_and_correlation_but_changes_the_series() -> None:
    x = torch.randn(400, 3)
    x[:, 1] += x[:, 0]
    x[:, 2] = 0
    result = RandBlockBootstrap(block_frames=20).set_random_state(0)(x)
    assert not result[:, 2].any() and not torch.equal(result, x)
    assert (correlation(result[None]) - correlation(x[None])).abs().max() < 0.15
    assert torch.equal(RandBlockBootstrap(block_frames=20, prob=0.0)(x), x)


@pytest.mark.parametrize(
    ("array", "dictionary", "data"),
    [
        pytest.param(RandBlockBootstrap(block_frames=5), RandBlockBootstrapd(["a", "b"], block_frames=5), TIME, id="b"),
        pytest.param(RandVoxelResample(), RandVoxelResampled(["a", "b"]), REPLICATES, id="v"),
    ],
)
def test_the_dictionary_version_draws_once_for_all_keys(array, dictionary, data: torch.Tensor) -> None:  # type: ignore[no-untyped-def]
    item = {"a": data, "b": data, "group": "s1"}
    result = dictionary.set_random_state(5)(item)
    assert torch.equal(result["a"], result["b"]) and torch.equal(result["a"], array.set_random_state(5)(data))
    assert item["a"] is data and result["group"] == "s1"
    again = dictionary.set_random_state(5)(item)
    assert torch.equal(again["a"], result["a"])


@pytest.mark.parametrize(
    "settings", [{}, {"block_seconds": 20.0}, {"tr_seconds": 2.0, "block_frames": 3}, {"block_frames": 3, "block_seconds": 9.0}]
)  # fmt: skip
def test_exactly_one_length_is_asked_for(settings: dict) -> None:
    with pytest.raises(ValueError, match="give block_seconds with tr_seconds, or block_frames alone"):
        RandBlockBootstrap(**settings)


def test_impossible_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="a block has 0 frames"):
        RandBlockBootstrap(block_seconds=0.5, tr_seconds=2.0)
    with pytest.raises(ValueError, match="series has 50 frames, fewer than a block of 60"):
        RandBlockBootstrap(block_frames=60)(TIME)
