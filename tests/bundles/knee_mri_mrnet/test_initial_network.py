"""A training starts from the pretrained backbone and leaves the other members as they are."""

from pathlib import Path

import pytest
import torch
from scripts.initial_network import initialize
from scripts.stack_network import MRNetStack


def make() -> MRNetStack:
    return MRNetStack(backbone="alexnet")


def test_a_first_training_takes_the_backbone_of_the_checkpoint(tmp_path: Path) -> None:
    source, network = make(), make()
    torch.save(source.state_dict(), tmp_path / "source.pt")
    initialize(network, network.member("axial", "acl"), str(tmp_path / "source.pt"), str(tmp_path / "none.pt"))
    pairs = zip(network.backbones.parameters(), source.backbones.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_further_training_keeps_the_other_heads_and_draws_its_own_anew(tmp_path: Path) -> None:
    before, network = make(), make()
    torch.save(before.state_dict(), tmp_path / "model.pt")
    initialize(network, network.member("axial", "acl"), "random", str(tmp_path / "model.pt"), seed=3)
    after, other = network.state_dict(), before.state_dict()
    changed = {name for name in other if not torch.equal(after[name], other[name])}
    assert changed == {name for name in other if name.startswith("heads.axial_acl.")}


def test_the_new_head_follows_from_the_seed(tmp_path: Path) -> None:
    heads = []
    for seed in (0, 0, 1):
        network = make()
        initialize(network, network.member("axial", "acl"), "random", str(tmp_path / "none.pt"), seed=seed)
        heads.append(network.heads["axial_acl"].state_dict()["classifier.1.weight"])
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_weights_of_another_network_are_refused_and_the_file_is_named(tmp_path: Path) -> None:
    torch.save(MRNetStack(backbone="resnet18").state_dict(), tmp_path / "model.pt")
    network = make()
    with pytest.raises(ValueError, match="model.pt holds the weights of another network"):
        initialize(network, network.member("axial", "acl"), "random", str(tmp_path / "model.pt"))
