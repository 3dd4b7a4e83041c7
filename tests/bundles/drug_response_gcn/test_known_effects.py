import numpy as np
import pytest
import torch
from scripts.known_effects import EFFECTS, KnownEffects, key_of
from scripts.pair_layout import DRUG_CODE, OFFSET, SCALE

C, D = 30, 5
PARENTS = ["C", "CC", "CCC", "CO", "CN"]
CELLS = [f"cell {c}" for c in range(C)]


def table() -> np.ndarray:
    """Drug d has effect d and noise .2 + d / 2, cells differ, a third is not measured; drug 4 has 6 cells."""
    rng = np.random.default_rng(0)
    values = 2 + np.arange(D) + rng.normal(size=(C, 1)) + rng.normal(size=(C, D)) * (0.2 + np.arange(D) / 2)
    values[rng.random((C, D)) < 0.3] = np.nan
    values[:, 4] = np.where(np.arange(C) < 6, 7.0 + rng.normal(size=C), np.nan)
    return values


def fitted(*effects: str) -> KnownEffects:
    known = KnownEffects(effects)
    known.fit(table(), PARENTS, CELLS)
    return known


def offsets(known: KnownEffects) -> np.ndarray:
    cells = np.array([known.cell_offset(cell) for cell in CELLS])
    return known.drug_lead(PARENTS)[:, OFFSET].numpy() + cells[:, None]


@pytest.mark.parametrize("effects", [(), ("drug",), ("cell",), ("drug", "cell"), ("cell", "drug")])
def test_the_offset_is_the_mean_plus_the_effects_named_and_no_other(effects: tuple[str, ...]) -> None:
    y = table()
    expected = np.full((C, D), np.nanmean(y))
    if "drug" in effects:
        expected += np.nanmean(y, 0) - np.nanmean(y)
    if "cell" in effects:
        expected += np.nanmean(y, 1)[:, None] - np.nanmean(y)
    np.testing.assert_allclose(offsets(fitted(*effects)), expected, atol=1e-5)


@pytest.mark.parametrize(("effects", "part"), [(("drug",), 0.0), (("drug", "cell"), 1.0)])
def test_a_model_of_unseen_cells_must_not_know_the_effect_of_cells(effects: tuple[str, ...], part: float) -> None:
    """The omics tell how sensitive a cell is; a network asked for the rest around the cell's own mean never learns it."""
    rng = np.random.default_rng(0)
    omics = rng.normal(size=(2 * C, 4))
    sensitivity = omics @ [0.5, 0.5, 0.5, 0.5]
    y = 2 + np.arange(D) + sensitivity[:, None]
    known = KnownEffects(effects)
    known.fit(y[:C], PARENTS, CELLS)
    design = np.c_[np.ones(2 * C), omics]
    rest = (y[:C] - offsets(known)).mean(1)
    answer = design[C:] @ np.linalg.lstsq(design[:C], rest, rcond=None)[0]  # the best linear cell tower
    unseen = y[C:] - known.drug_lead(PARENTS)[:, OFFSET].numpy() - known.cell_offset("new") - answer[:, None]
    spread = sensitivity[C:] - sensitivity[:C].mean()
    assert np.square(unseen).mean() == pytest.approx(part * np.square(spread).mean(), abs=1e-5)


def test_the_scale_is_the_geometric_mean_of_own_and_common_spread() -> None:
    y = table()
    rest = y - offsets(fitted("drug"))
    common = np.nanstd(rest)
    scale = fitted("drug").drug_lead(PARENTS)[:, SCALE].numpy()
    np.testing.assert_allclose(scale[:4], np.sqrt(np.nanstd(rest, 0) * common)[:4], rtol=1e-5)
    assert (np.diff(scale[:4]) > 0).all()
    assert scale[4] == pytest.approx(common)  # 6 cells are too few for a spread of its own


@pytest.mark.parametrize("effects", [(), ("cell",)])
def test_a_model_of_unseen_drugs_has_one_scale(effects: tuple[str, ...]) -> None:
    known = fitted(*effects)
    spread = np.nanstd(table() - offsets(known))
    np.testing.assert_allclose(known.drug_lead([*PARENTS, "new"])[:, SCALE], spread, rtol=1e-5)


def test_constant_responses_have_a_scale_above_zero() -> None:
    known = KnownEffects(EFFECTS)
    known.fit(np.full((C, D), 3.0), PARENTS, CELLS)
    lead = known.drug_lead(PARENTS)
    assert (lead[:, SCALE] > 0).all() and (lead[:, OFFSET] == 3).all()


def test_unknown_drugs_and_cells_have_code_and_effect_0() -> None:
    known = fitted(*EFFECTS)
    lead = known.drug_lead(["CC", "new", "CN"])
    assert lead[:, DRUG_CODE].tolist() == [2, 0, 5]
    assert lead[1, OFFSET] == known.mean and lead[1, SCALE] == known.spread
    assert known.cell_offset("new") == 0 != known.cell_offset("cell 1")
    assert known.drug_lead([]).shape == (0, 3)


def test_before_the_fit_everything_is_unknown() -> None:
    assert KnownEffects(EFFECTS).drug_lead(["C"]).tolist() == [[0, 1, 0]]


def test_names_of_one_parent_are_one_drug() -> None:
    y = np.array([[1.0, 3.0, 8.0], [2.0, np.nan, 9.0]])
    known = KnownEffects(["drug"])
    known.fit(y, ["C", "C", "CC"], CELLS[:2])
    lead = known.drug_lead(["C", "CC"])
    assert lead[:, DRUG_CODE].tolist() == [1, 2] and int((known.drug_keys >= 0).sum()) == 2
    assert lead[0, OFFSET] == pytest.approx(2)


def test_weights_of_another_cohort_load() -> None:
    known, fresh = fitted(*EFFECTS), KnownEffects(EFFECTS)
    fresh.fit(np.ones((2, 1)), ["N"], ["x", "y"])
    fresh.load_state_dict(known.state_dict())
    assert torch.equal(fresh.drug_lead([*PARENTS, "N"]), known.drug_lead([*PARENTS, "N"]))
    assert [fresh.cell_offset(cell) for cell in CELLS] == [known.cell_offset(cell) for cell in CELLS]


def test_keys_fit_into_a_tensor_and_tell_no_name() -> None:
    keys = [key_of(name) for name in (*PARENTS, *CELLS, "")]
    assert len(set(keys)) == len(keys) and all(0 <= key < 2**63 for key in keys)
    assert key_of("C") == key_of("C")
    assert torch.tensor(keys).tolist() == keys


def test_an_unknown_effect_and_no_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="KnownEffects: effects has 'tissue', it takes"):
        KnownEffects(["tissue"])
    with pytest.raises(ValueError, match="KnownEffects: the training section holds no measured pair"):
        KnownEffects(["drug"]).fit(np.full((C, D), np.nan), PARENTS, CELLS)
