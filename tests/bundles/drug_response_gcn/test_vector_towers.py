import pytest
import torch
from scripts.pair_layout import DRUG_CODE, LEAD
from scripts.vector_towers import EmbeddingTower, FingerprintTower
from torch import nn

DRUG = torch.zeros(4, 3, 5)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_the_fingerprint_tower_reads_the_bits_and_nothing_else() -> None:
    tower, vector = FingerprintTower(8, 16, 6, 0.5).eval(), torch.randn(4, LEAD + 8 + 3)
    out = tower(DRUG, vector)
    assert torch.equal(out, tower.network(vector[:, LEAD : LEAD + 8])) and out.shape == (4, 6)
    other = vector.clone()
    other[:, :LEAD] = other[:, LEAD + 8 :] = 7
    assert torch.equal(tower(DRUG + 1, other), out)


@pytest.mark.parametrize(
    ("code", "row"),
    [
        pytest.param(0.0, 0, id="unknown"),
        pytest.param(3.0, 3, id="known"),
        pytest.param(2.9999, 3, id="rounded"),
        pytest.param(99.0, 5, id="beyond"),
        pytest.param(-2.0, 0, id="below"),
    ],
)
def test_the_code_chooses_the_embedding(code: float, row: int) -> None:
    tower, vector = EmbeddingTower(5, 6, 0.0), torch.full((1, LEAD + 4), 4.0)
    vector[0, DRUG_CODE] = code
    assert torch.equal(tower(DRUG[:1], vector)[0], tower.embedding.weight[row])


def test_the_unknown_drug_is_zero_and_stays_so() -> None:
    tower = EmbeddingTower(5, 6, 0.0)
    optimizer = torch.optim.SGD(tower.parameters(), 1.0)
    vector = torch.zeros(4, LEAD)
    vector[2:, DRUG_CODE] = 2
    before = tower.embedding.weight.detach().clone()
    tower(DRUG, vector).sum().backward()
    optimizer.step()
    assert not tower(DRUG, vector)[:2].any()
    assert torch.allclose(tower.embedding.weight[2], before[2] - 2)
    assert before[1:].std().item() == pytest.approx(0.3, rel=0.4)


def test_dropout_acts_in_training_only() -> None:
    vector = torch.zeros(4, LEAD + 8)
    vector[:, DRUG_CODE], vector[:, LEAD:] = 1, 1
    towers: list[nn.Module] = [EmbeddingTower(5, 64, 0.5), FingerprintTower(8, 64, 64, 0.5)]
    for tower in towers:
        assert not torch.equal(tower(DRUG, vector), tower(DRUG, vector))
        tower.eval()
        assert torch.equal(tower(DRUG, vector), tower(DRUG, vector))


def test_a_fingerprint_without_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="FingerprintTower: fingerprint_bits is 0, it must be 1 or more"):
        FingerprintTower(0, 16, 6, 0.5)
