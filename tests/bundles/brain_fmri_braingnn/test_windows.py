import pytest
import torch
from scripts.brain_graph import BrainGraph
from scripts.common.transforms import Connectivity
from scripts.windows import SlidingWindows, SlidingWindowsd


def series(frames: int = 100, regions: int = 8) -> torch.Tensor:
    noise = torch.randn(frames, regions + 1, generator=torch.Generator().manual_seed(0))
    return noise[:, :-1] + noise[:, -1:]


def test_each_window_is_the_graph_of_its_stretch_of_time_and_the_rest_is_zero() -> None:
    image = SlidingWindows(window_seconds=60, stride_seconds=40, tr_seconds=2, max_windows=6)(series())
    assert image.shape == (12, 8, 8)
    for k, start in enumerate((0, 20, 40, 60)):
        expected = BrainGraph()(Connectivity()(series()[start : start + 30]))
        torch.testing.assert_close(image[2 * k : 2 * k + 2], expected)
    assert not image[8:].any()


def test_windows_are_of_time_not_of_features() -> None:
    """The tutorial cuts the node features: a change late in the scan must leave the first window alone."""
    changed = series()
    changed[80:] = series(20) * 3 + 1
    transform = SlidingWindows(60, 40, 2, 6)
    assert torch.equal(transform(changed)[:6], transform(series())[:6])
    assert not torch.equal(transform(changed)[6:8], transform(series())[6:8])


def test_too_many_windows_are_thinned_evenly() -> None:
    assert SlidingWindows(60, 2, 2, 3).starts(100, 2.0) == [0, 35, 70]
    assert SlidingWindows(60, 40, 2, 6).starts(30, 2.0) == [0]


def test_a_region_constant_in_one_window_is_missing_there_only() -> None:
    x = series()
    x[:30, 3] = 0
    image = SlidingWindows(60, 60, 2, 3)(x)
    assert not image[:2, 3].any() and image[2, 3].any()


def test_settings_of_both_steps_pass_through() -> None:
    image = SlidingWindows(60, 60, 2, 3, connectivity={"shrink": False}, graph={"density": 1.0})(series())
    torch.testing.assert_close(image[:2], BrainGraph(1.0)(Connectivity(shrink=False)(series()[:30])))


def test_the_dictionary_version_takes_the_subjects_own_repetition_time() -> None:
    item = {"image": series(), "id": "s1", "tr_seconds": 3.0}
    transform = SlidingWindowsd("image", 60, 60, 2, 6)
    assert torch.equal(transform(item)["image"], SlidingWindows(60, 60, 3, 6)(series()))
    item.pop("tr_seconds")
    assert torch.equal(transform(item)["image"], SlidingWindows(60, 60, 2, 6)(series()))
    assert torch.equal(item["image"], series())  # type: ignore[arg-type]


def test_bad_input_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"subject 's1' has 20 frames \(40 s\), fewer than one window of 60 s"):
        SlidingWindowsd("image", 60, 40, 2, 6)({"image": series(20), "id": "s1"})
    with pytest.raises(ValueError, match="is 2 frames, fewer than 3"):
        SlidingWindows(4, 2, 2, 6)(series())
    with pytest.raises(ValueError, match="stride_seconds 0, .* must be positive"):
        SlidingWindows(60, 0, 2, 6)
    with pytest.raises(ValueError, match=r"shape \(1, 100, 8\)"):
        SlidingWindows(60, 60, 2, 6)(series()[None])
