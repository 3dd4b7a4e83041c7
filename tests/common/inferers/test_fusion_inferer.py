import pytest
import torch

from common.inferers import FusionInferer


def network(in_channels: int = 2) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv2d(in_channels, 1, 3, padding=1, padding_mode="reflect").eval()


@torch.no_grad()
def test_a_volume_is_fused_slice_by_slice() -> None:
    volume, net = torch.rand(1, 2, 12, 14, 5), network()
    fused = FusionInferer()(volume, net)
    expected = torch.stack([net(volume[..., k].mT).mT for k in range(5)], -1)
    torch.testing.assert_close(fused, expected)


@torch.no_grad()
@pytest.mark.parametrize("depth", [pytest.param(None, id="image"), pytest.param(3, id="volume")])
def test_further_sources_are_folded_in_their_order(depth: int | None) -> None:
    image = torch.rand(1, 4, 12, 14, *([depth] if depth else []))
    net, inferer = network(), FusionInferer()
    fused = image[:, :1]
    for k in range(1, 4):
        fused = inferer(torch.cat([fused, image[:, k : k + 1]], 1), net)
    torch.testing.assert_close(inferer(image, net), fused)
    assert not torch.allclose(inferer(image.flip(1), net), fused)


@torch.no_grad()
def test_a_network_of_four_sources_takes_them_at_once() -> None:
    image, net = torch.rand(2, 4, 12, 14), network(4)
    torch.testing.assert_close(FusionInferer(4)(image, net), net(image))


@pytest.mark.parametrize(("sources", "in_channels"), [(1, 2), (3, 4), (2, 4)])
def test_another_number_of_sources_is_refused(sources: int, in_channels: int) -> None:
    with pytest.raises(ValueError, match=f"has {sources} sources and the network takes {in_channels}"):
        FusionInferer(in_channels)(torch.rand(1, sources, 12, 12), network(in_channels))
