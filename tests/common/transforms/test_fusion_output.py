import pytest
import torch

from common.transforms.fusion_output import FusedOutputd, fused_output


def example() -> tuple[torch.Tensor, torch.Tensor]:
    """A fused image in (0, 1), as the network gives it, over sources with a common background."""
    sources = torch.rand(2, 6, 5) + 0.01
    sources[:, :2] = 0  # background of both
    sources[0, 2] = 0  # of the first only
    return torch.rand(1, 6, 5) * 0.6 + 0.2, sources.clamp(max=1)


@pytest.mark.parametrize("output_range", ["clip", "minmax"])
def test_the_background_of_all_sources_is_exactly_zero(output_range: str) -> None:
    fused, sources = example()
    out = fused_output(fused, sources, output_range)
    assert (out[:, :2] == 0).all() and (out[:, 2:] > 0).all()


def test_clip_leaves_the_foreground_and_cuts_what_is_out_of_range() -> None:
    fused, sources = example()
    assert torch.equal(fused_output(fused, sources)[:, 2:], fused[:, 2:])
    fused[0, 4, :2] = torch.tensor([-0.2, 1.3])
    assert fused_output(fused, sources)[0, 4, :2].tolist() == [0, 1]


def test_minmax_stretches_by_hand() -> None:
    sources = torch.tensor([[[0, 0.5, 0.5, 0.5]], [[0, 0, 0, 0.2]]])
    fused = torch.tensor([[[0.9, 0.2, 0.4, 0.8]]])
    assert fused_output(fused, sources, "minmax").flatten().tolist() == pytest.approx([0, 0.25, 0.5, 1])
    assert fused_output(fused, sources, "clip").flatten().tolist() == pytest.approx([0, 0.2, 0.4, 0.8])


def test_minmax_without_background_starts_at_the_lowest_value() -> None:
    fused = torch.tensor([[[0.2, 0.3, 0.4]]])
    assert fused_output(fused, torch.ones(2, 1, 3), "minmax").flatten().tolist() == pytest.approx([0, 0.5, 1])


def test_a_negative_value_does_not_lift_the_background() -> None:
    fused, sources = example()
    fused[0, 5, 0] = -0.5
    out = fused_output(fused, sources, "minmax")
    assert (out[:, :2] == 0).all() and out.min() == 0 and out.max() == 1


@pytest.mark.parametrize("value", [0.0, 0.4, 1.5])
def test_a_flat_image_is_cut_only(value: float) -> None:
    out = fused_output(torch.full((1, 2, 2), value), torch.ones(2, 2, 2), "minmax")
    assert torch.equal(out, torch.full((1, 2, 2), min(value, 1.0)))


@pytest.mark.parametrize("output_range", ["clip", "minmax"])
@pytest.mark.parametrize(
    "space", [pytest.param((6, 5), id="images"), pytest.param((6, 5, 4), id="volumes"), pytest.param((1, 5), id="rows")]
)
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_batch_equals_its_images(output_range: str, space: tuple[int, ...], batch: int) -> None:
    sources = torch.rand(batch, 2, *space) * (torch.rand(batch, 1, *space) > 0.5)
    fused = torch.rand(batch, 1, *space)
    out = fused_output(fused, sources, output_range)
    for k in range(batch):
        torch.testing.assert_close(out[k], fused_output(fused[k], sources[k], output_range))


def test_half_precision_becomes_float32() -> None:
    fused, sources = example()
    assert fused_output(fused.half(), sources, "minmax").dtype == torch.float32


def test_the_dictionary_version_equals_the_function() -> None:
    fused, sources = example()
    item = {"pred": fused, "image": sources, "id": "a"}
    out = FusedOutputd(output_range="minmax")(item)
    assert torch.equal(out["pred"], fused_output(fused, sources, "minmax")) and item["pred"] is fused


@pytest.mark.parametrize(
    ("fused", "sources", "output_range", "message"),
    [
        pytest.param(
            (1, 4, 4), (2, 4, 4), "stretch", "output_range is 'stretch'; it must be clip or minmax", id="range"
        ),
        pytest.param((1, 4, 4), (2, 4, 5), "clip", r"fused has shape \(1, 4, 4\) and sources \(2, 4, 5\)", id="size"),
        pytest.param((2, 4, 4), (2, 4, 4), "clip", "equal sizes", id="channels"),
        pytest.param((2, 1, 4, 4), (3, 2, 4, 4), "clip", "equal sizes", id="batch"),
        pytest.param((1, 4, 4), (1, 4, 4), "clip", "N >= 2", id="one-source"),
    ],
)
def test_bad_input_is_refused(fused: tuple, sources: tuple, output_range: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fused_output(torch.rand(fused), torch.rand(sources), output_range)
