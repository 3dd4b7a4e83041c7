import pytest
import torch
from scripts.drug_towers import DRUG_ENCODERS, build_drug_tower
from scripts.molecule_graph import ATOM_FEATURES as F
from scripts.pair_layout import DRUG_CODE, LEAD, PairLayout
from torch import Tensor, nn

N, BITS, B = 10, 16, 4

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def layout(encoder: str) -> PairLayout:
    return PairLayout(
        max_atoms=N,
        cell_features=5,
        fingerprint_bits=BITS if encoder == "fingerprint" else 0,
        conformer="distance" in encoder,
    )


def tower(encoder: str) -> nn.Module:
    return build_drug_tower(encoder, layout(encoder), 16, 2, 9, 0.3, 20).eval()


def inputs(encoder: str) -> tuple[Tensor, Tensor]:
    """Chains of 10, 1, 0 and 6 atoms on a line, and vectors."""
    form = layout(encoder)
    drug, vector = torch.zeros(B, N, form.width), torch.randn(B, form.vector_length)
    line = 1.5 * torch.arange(N)
    for number, size in enumerate((10, 1, 0, 6)):
        drug[number, torch.arange(size), torch.randint(0, 17, (size,))] = 1
        chain = torch.diag(torch.ones(N - 1), 1)[:size, :size]
        drug[number, :size, F : F + size] = chain + chain.T
        if form.conformer:
            drug[number, :size, F + N : F + N + size] = (line[:size, None] - line[:size]).abs()
    vector[:, DRUG_CODE] = torch.arange(B)
    vector[:, LEAD : LEAD + form.fingerprint_bits] = (torch.rand(B, form.fingerprint_bits) < 0.5).float()
    return drug, vector


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_every_tower_gives_finite_numbers_of_the_wanted_width(encoder: str) -> None:
    out = tower(encoder)(*inputs(encoder))
    assert out.shape == (B, 9) and out.isfinite().all() and out.std() > 0


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_scripted_and_exported_towers_give_the_same_for_any_batch(encoder: str) -> None:
    net, (drug, vector) = tower(encoder), inputs(encoder)
    expected = net(drug, vector)
    scripted = torch.jit.script(net)
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(net, (drug, vector), dynamic_shapes=(batch, batch)).module()
    for size in (B, 2):
        assert torch.allclose(scripted(drug[:size], vector[:size]), expected[:size], rtol=0, atol=1e-5)
        assert torch.allclose(exported(drug[:size], vector[:size]), expected[:size], rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_other_drugs_and_the_cell_do_not_matter_also_in_training(encoder: str) -> None:
    net, (drug, vector) = build_drug_tower(encoder, layout(encoder), 16, 2, 9, 0.0, 20).train(), inputs(encoder)
    out = net(drug, vector)
    other = vector.clone()
    other[:, LEAD + layout(encoder).fingerprint_bits :] = 3
    assert torch.equal(net(drug, other), out)
    assert torch.allclose(net(drug[:1], vector[:1]), out[:1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", DRUG_ENCODERS)
def test_only_the_graph_towers_take_a_packed_library(encoder: str) -> None:
    assert hasattr(tower(encoder), "forward_packed") == (encoder in DRUG_ENCODERS[:5])


def test_what_a_layout_lacks_and_an_unknown_name_are_refused() -> None:
    form = layout("gine")
    with pytest.raises(ValueError, match="build_drug_tower: encoder is 'smiles', choose one of"):
        build_drug_tower("smiles", form, 16, 2, 9, 0.3, 20)
    for encoder in ("distance", "gine_distance"):
        with pytest.raises(ValueError, match=f"build_drug_tower: encoder is '{encoder}', which reads distances"):
            build_drug_tower(encoder, form, 16, 2, 9, 0.3, 20)
    with pytest.raises(ValueError, match="FingerprintTower: fingerprint_bits is 0"):
        build_drug_tower("fingerprint", form, 16, 2, 9, 0.3, 20)
