import torch
from scripts.network import BrainGNNEnsemble
from scripts.scores_inferer import ScoresInferer

N, C, M = 6, 2, 3


def test_scores_of_every_member_are_appended() -> None:
    network = BrainGNNEnsemble(M, num_regions=N, num_classes=C, channels=(4, 3), num_communities=2).eval()
    image = torch.rand(2, 2, N, N)
    output = ScoresInferer()(image, network)
    assert output.shape == (2, M * (C + 2 * N + 2))
    assert torch.allclose(output, network(image, with_scores=True), equal_nan=True)


def test_the_wrapper_is_called_and_not_what_it_wraps() -> None:
    calls = []

    class Wrapper(torch.nn.Module):
        def forward(self, image: torch.Tensor, with_scores: bool = False) -> torch.Tensor:
            calls.append(with_scores)
            return image

    ScoresInferer()(torch.zeros(1), Wrapper())
    assert calls == [True]
