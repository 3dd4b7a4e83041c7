import pytest
import torch
from scripts.ensemble import ResNetEnsemble

ARGUMENTS = {
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [8, 8, 8, 8],
    "spatial_dims": 3,
    "n_input_channels": 1,
    "num_classes": 2,
}


def test_every_member_learns_as_if_it_were_alone() -> None:
    torch.manual_seed(0)
    ensemble = ResNetEnsemble(3, **ARGUMENTS).double()  # in single precision some processors differ beyond 1e-5
    weights = torch.tensor([0.6, 2.0], dtype=torch.float64)
    image, label = torch.rand(4, 1, 16, 16, 16, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    torch.nn.NLLLoss(weights)(ensemble(image), label).backward()
    for member in ensemble.members:
        together = [p.grad.clone() * 3 for p in member.parameters()]
        member.zero_grad()
        torch.nn.CrossEntropyLoss(weights)(member(image), label).backward()
        for one, alone in zip(together, member.parameters(), strict=True):
            assert torch.allclose(one, alone.grad)


def test_members_start_differently_and_are_averaged() -> None:
    torch.manual_seed(0)
    ensemble = ResNetEnsemble(2, **ARGUMENTS).eval()
    image = torch.rand(2, 1, 16, 16, 16)
    one, two = (member(image).log_softmax(1) for member in ensemble.members)
    assert not torch.allclose(one, two)
    assert torch.allclose(ensemble(image), (one + two) / 2, atol=1e-6)
    assert torch.allclose(torch.jit.script(ensemble)(image), (one + two) / 2, atol=1e-6)


def test_an_empty_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="num_members is 0"):
        ResNetEnsemble(0, **ARGUMENTS)
