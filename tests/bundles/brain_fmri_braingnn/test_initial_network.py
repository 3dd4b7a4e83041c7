from pathlib import Path
from typing import Any

import pytest
import torch
from scripts.contrastive import ContrastiveBrainGNN
from scripts.initial_network import channel_std, prepare
from scripts.network import BrainGNNEnsemble

N = 5
SMALL: dict[str, Any] = {"num_regions": N, "channels": (4, 3), "num_communities": 2}


def cases(count: int, scale: float = 1.0) -> Any:
    return [{"image": scale * torch.randn(2, N, N)} for _ in range(count)]


def ensemble(**settings: Any) -> BrainGNNEnsemble:
    return BrainGNNEnsemble(2, **SMALL | settings)


def test_the_scale_is_that_of_the_training_cases() -> None:
    training = cases(12, 3.0)
    network = prepare(ensemble(), training)
    expected = torch.stack([case["image"][0] for case in training]).std(0, correction=0)
    for member in network.members:  # type: ignore[union-attr]
        assert torch.allclose(member.feature_std, expected, atol=1e-5)  # type: ignore[union-attr]


def test_absent_and_constant_edges_keep_scale_one() -> None:
    training = cases(6)
    for k, case in enumerate(training):
        case["image"][0, 0, 1] = 2.0  # constant
        case["image"][0, 1, 2] = k if k < 2 else 0.0  # present once
        case["image"][0, 2, 3] = [1.0, 3.0, 0, 0, 0, 0][k]  # present in two: their spread alone
    std = channel_std(training)
    assert std[0, 0, 1] == 1 and std[0, 1, 2] == 1 and std[0, 2, 3] == pytest.approx(1.0)
    training[1]["image"][0, 2, 3] = 5.0
    assert channel_std(training)[0, 2, 3] == pytest.approx(2.0)


@pytest.mark.parametrize("whole", [True, False])
def test_every_member_starts_from_the_pretrained_encoder(tmp_path: Path, whole: bool) -> None:
    pretrained = ContrastiveBrainGNN(4, **SMALL)
    pretrained.set_feature_scale(torch.full((2, N, N), 7.0))
    torch.save((pretrained if whole else pretrained.encoder).state_dict(), tmp_path / "encoder.pt")
    training = cases(4)
    network = prepare(ensemble(), training, str(tmp_path / "encoder.pt"))
    for member in network.members:  # type: ignore[union-attr]
        for name in ("conv1.alpha", "conv1.basis", "conv2.basis", "pool1.weight"):
            assert torch.equal(member.state_dict()[name], pretrained.encoder.state_dict()[name])  # type: ignore[union-attr]
        assert torch.equal(member.feature_std, channel_std(training)[0])  # type: ignore[union-attr]


def test_an_earlier_model_keeps_its_members_apart(tmp_path: Path) -> None:
    earlier = ensemble()
    torch.save(earlier.state_dict(), tmp_path / "model.pt")
    network = prepare(ensemble(), cases(4), str(tmp_path / "model.pt"))
    for name, value in earlier.state_dict().items():
        if not name.endswith("feature_std"):
            assert torch.equal(network.state_dict()[name], value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"prepare: pretrained_path .*none.pt does not exist; run"):
        prepare(ensemble(), cases(2), str(tmp_path / "none.pt"))


def test_an_encoder_of_another_width(tmp_path: Path) -> None:
    torch.save({"conv1.basis": torch.zeros(1, 2, 3), "head.1.bias": torch.zeros(2)}, tmp_path / "encoder.pt")
    with pytest.raises(ValueError, match="prepare: .*encoder.pt has no encoder that fits the network"):
        prepare(ensemble(), cases(2), str(tmp_path / "encoder.pt"))
