import pytest
import torch
from scripts.bipartite_graph import hide_edges, training_edges
from torch import Tensor

C, D = 30, 20


@pytest.fixture
def mask() -> Tensor:
    return torch.rand(C, D, generator=torch.Generator().manual_seed(0)) < 0.7


def test_an_edge_for_each_training_response_with_its_residual() -> None:
    residuals = torch.tensor([[0.5, -1.0, 2.0], [3.0, torch.nan, 0.0]])
    mask = torch.tensor([[True, False, True], [False, False, True]])
    index, weight = training_edges(residuals, mask)
    assert index.tolist() == [[0, 2, 2], [0, 0, 1]]  # drugs, cells
    assert weight.tolist() == [0.5, 2.0, 0.0]  # a residual of 0 is a response


def test_what_is_not_training_is_never_read(mask: Tensor) -> None:
    residuals = torch.randn(C, D)
    spoilt = torch.where(mask, residuals, torch.nan)
    for found, expected in zip(training_edges(spoilt, mask), training_edges(residuals, mask), strict=True):
        assert torch.equal(found, expected)


def test_no_training_response_gives_no_edge() -> None:
    index, weight = training_edges(torch.randn(C, D), torch.zeros(C, D, dtype=torch.bool))
    assert index.shape == (2, 0) and weight.shape == (0,)


def test_hidden_pairs_are_training_pairs_and_leave_the_messages(mask: Tensor) -> None:
    hidden = hide_edges(mask, "pair", 0.3, torch.Generator().manual_seed(1))
    assert not (hidden & ~mask).any() and 0.2 < hidden.sum() / mask.sum() < 0.4
    drug, cell = training_edges(torch.randn(C, D), mask & ~hidden)[0]
    assert not hidden[cell, drug].any() and len(cell) == mask.sum() - hidden.sum()


@pytest.mark.parametrize(("unit", "other"), [("cell", 1), ("drug", 0)])
def test_a_unit_is_hidden_with_all_its_edges_or_none(unit: str, other: int, mask: Tensor) -> None:
    hidden = hide_edges(mask, unit, 0.4, torch.Generator().manual_seed(2))
    touched, left = hidden.any(other), (mask & ~hidden).any(other)
    assert touched.any() and left.any() and not (touched & left).any()


def test_the_draw_follows_from_its_generator(mask: Tensor) -> None:
    draws = [hide_edges(mask, "pair", 0.5, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(("unit", "share"), [("tissue", 0.3), ("pair", 0.0), ("cell", 1.0)])
def test_units_and_shares_out_of_range_are_refused(unit: str, share: float, mask: Tensor) -> None:
    with pytest.raises(
        ValueError, match=f"hide_edges: unit is '{unit}' and share {share}; choose a unit of pair, cell"
    ):
        hide_edges(mask, unit, share)


def test_masks_that_do_not_fit_are_refused(mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"training_edges: residuals have shape \[30, 20\] and mask \[20, 30\]"):
        training_edges(torch.randn(C, D), mask.T)
    with pytest.raises(ValueError, match="the mask of torch.bool"):
        training_edges(torch.randn(C, D), mask.float())


def test_a_training_residual_that_is_not_finite_is_named() -> None:
    residuals = torch.zeros(3, 2)
    residuals[1, 0] = torch.nan
    with pytest.raises(ValueError, match="residual of cell 1 and drug 0 is nan"):
        training_edges(residuals, torch.ones(3, 2, dtype=torch.bool))
