import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from scripts.lobe_communities import LOBES, init_communities, lobe_alpha
from scripts.network import BrainGNN, BrainGNNEnsemble
from scripts.region_places import read_places

BUNDLE = Path(__file__).resolve().parents[3] / "bundles/brain_fmri_braingnn"
REGIONS = str(BUNDLE / "configs/ho_regions.csv")


@pytest.mark.parametrize("number", [6, 7])
def test_strongest_community_is_the_lobe(number):
    places = read_places(REGIONS)
    alpha = lobe_alpha(places, number)
    assert alpha.shape == (110, number) and (alpha > 0).all()
    for row, lobe in zip(alpha, places["lobe"], strict=True):
        if LOBES.index(lobe) < number:
            assert row.argmax() == LOBES.index(lobe)
        else:
            assert lobe == "Subcortical" and row.max() == row.min()


def test_rows_are_as_long_as_those_of_the_random_initialisation():
    torch.manual_seed(0)
    random = BrainGNN(110, num_communities=8).conv1.alpha.relu().norm(dim=1).mean()
    rows = lobe_alpha(read_places(REGIONS), 6).norm(dim=1)
    assert rows.min() > 0.7 * random and rows.max() < 1.4 * random


def test_both_convolutions_of_every_member_begin_as_lobes():
    net = BrainGNNEnsemble(2, num_regions=110, channels=(4, 4), num_communities=6)
    assert init_communities(net, REGIONS) is net
    for member in net.members:
        for conv in (member.conv1, member.conv2):
            assert torch.equal(conv.alpha, lobe_alpha(read_places(REGIONS)))
    assert not torch.equal(net.members[0].conv1.basis, net.members[1].conv1.basis)


def test_every_strength_can_be_learnt():
    net = init_communities(BrainGNN(110, channels=(4, 4), num_communities=6), REGIONS)
    net.conv1.kernels().square().sum().backward()
    assert (net.conv1.alpha.grad != 0).all()


def test_errors():
    places = read_places(REGIONS)
    with pytest.raises(ValueError, match="num_communities is 8, there are 6 lobes"):
        lobe_alpha(places, 8)
    with pytest.raises(ValueError, match=r"has the lobes \['Ear'\]"):
        lobe_alpha(places.assign(lobe="Ear"))
    with pytest.raises(ValueError, match="has 90 regions"):
        init_communities(BrainGNN(90, num_communities=6), REGIONS)
    with pytest.raises(ValueError, match="no RaGConv layer"):
        init_communities(torch.nn.Linear(2, 2), REGIONS)


def test_config_starts_the_network_from_lobes(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs/train.json", BUNDLE / "configs/six_lobes.json"])
    parser["bundle_root"] = str(BUNDLE)
    network = parser.get_parsed_content("initial_network#network")
    assert network is parser.get_parsed_content("network_def")
    assert torch.equal(network.members[0].conv1.alpha, lobe_alpha(read_places(REGIONS)))
