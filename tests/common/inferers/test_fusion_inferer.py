from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from torch.utils._python_dispatch import TorchDispatchMode

from common.inferers import FusionInferer
from common.transforms import fused_output


def network(in_channels: int = 2) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv2d(in_channels, 1, 3, padding=1, padding_mode="reflect").eval()


class Counted(torch.nn.Module):
    """Notes how many slices it gets at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()
        self.sizes: list[int] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(image))
        return self.network(image)


@torch.no_grad()
@pytest.mark.parametrize("sw_batch_size", [1, 2, 5, 99])
def test_a_volume_is_fused_slice_by_slice(sw_batch_size: int) -> None:
    volume, net = torch.rand(2, 2, 12, 14, 5), network()
    fused = FusionInferer(sw_batch_size=sw_batch_size)(volume, net)
    expected = torch.stack([net(volume[..., k].mT).mT for k in range(5)], -1)
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("depth", [pytest.param(None, id="image"), pytest.param(3, id="volume")])
@pytest.mark.parametrize("sources", [3, 4])
def test_further_sources_are_folded_in_their_order(sources: int, depth: int | None) -> None:
    image = torch.rand(1, sources, 12, 14, *([depth] if depth else []))
    net, inferer = network(), FusionInferer(sw_batch_size=2)
    fused = image[:, :1]
    for k in range(1, sources):
        fused = inferer(torch.cat([fused, image[:, k : k + 1]], 1), net)
    torch.testing.assert_close(inferer(image, net), fused)
    assert not torch.allclose(inferer(image.flip(1), net), fused)


@torch.no_grad()
def test_a_network_of_four_sources_takes_them_at_once() -> None:
    image, net = torch.rand(2, 4, 12, 14), network(4)
    torch.testing.assert_close(FusionInferer(4)(image, net), net(image))


@torch.no_grad()
def test_the_network_never_gets_more_slices_than_allowed() -> None:
    net = Counted()
    FusionInferer(sw_batch_size=3)(torch.rand(2, 4, 8, 8, 4) + 0.1, net)
    assert net.sizes == [3, 3, 3] + [3, 3, 3] + [2, 2, 2]  # 8 slices, each batch folded three times


class LargeStorages(TorchDispatchMode):
    """Holds every storage of at least so many bytes that an operation returns."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.found: dict[int, torch.Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.untyped_storage().nbytes() >= self.limit:
            self.found[result.untyped_storage().data_ptr()] = result
        return result


@torch.no_grad()
@pytest.mark.parametrize("sources", [2, 4])
def test_beside_the_input_only_the_result_is_as_large_as_a_volume(sources: int) -> None:
    volume = torch.rand(1, sources, 12, 14, 40)
    with LargeStorages(volume[:, :1].nbytes // 2) as large:
        fused = FusionInferer(sw_batch_size=2)(volume, network())
    assert set(large.found) - {volume.data_ptr()} == {fused.data_ptr()}


@torch.no_grad()
@pytest.mark.parametrize("output_range", ["clip", "minmax"])
def test_empty_slices_stay_zero_and_cost_nothing(output_range: str) -> None:
    volume, net = torch.rand(1, 2, 12, 14, 6), Counted()
    volume[..., [0, 1, 5]] = 0
    volume[:, 0, ..., 2] = 0  # one source is enough
    fused = FusionInferer()(volume, net)
    assert net.sizes == [1, 1, 1]
    assert not fused[..., [0, 1, 5]].any() and fused[..., 2].any()
    everything = torch.stack([net(volume[..., k].mT).mT for k in range(6)], -1)
    assert everything[..., 0].any()  # the network alone would not leave the background at 0
    torch.testing.assert_close(
        fused_output(fused, volume, output_range), fused_output(everything, volume, output_range)
    )


@torch.no_grad()
def test_a_volume_of_zeros_is_fused_to_zeros() -> None:
    fused = FusionInferer()(torch.zeros(1, 3, 4, 5, 6), network())
    assert fused.shape == (1, 1, 4, 5, 6) and not fused.any()


@torch.no_grad()
def test_metadata_and_further_arguments_are_passed_on() -> None:
    volume = MetaTensor(torch.rand(1, 2, 4, 4, 3), affine=torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0])))
    fused = FusionInferer()(volume, lambda image, factor, shift: factor * image[:, :1] + shift, 0.5, shift=1)
    assert isinstance(fused, MetaTensor)
    torch.testing.assert_close(fused.affine, volume.affine)
    torch.testing.assert_close(fused.as_tensor(), 0.5 * volume.as_tensor()[:, :1] + 1)


@torch.no_grad()
@pytest.mark.parametrize("progress", [False, True])
def test_a_bar_on_request(progress: bool, capsys: pytest.CaptureFixture[str]) -> None:
    FusionInferer(progress=progress)(torch.rand(1, 2, 4, 4, 7), network())
    assert ("7/7" in capsys.readouterr().err) == progress


@pytest.mark.parametrize(("sources", "in_channels"), [(1, 2), (3, 4), (2, 4)])
def test_another_number_of_sources_is_refused(sources: int, in_channels: int) -> None:
    with pytest.raises(ValueError, match=f"has {sources} sources and the network takes {in_channels}"):
        FusionInferer(in_channels)(torch.rand(1, sources, 12, 12), network(in_channels))


def test_no_slice_at_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="FusionInferer: sw_batch_size is 0; it must be 1 or more"):
        FusionInferer(sw_batch_size=0)
