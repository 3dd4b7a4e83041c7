import math

import pytest
import torch
from scripts.phenotype import UNKNOWN, edge_tolerance, phenotype_edges, phenotype_numbers
from torch import Tensor

# site, sex, age
ONE = torch.tensor([[7.0, 1.0, 20.0]])
OTHERS = torch.tensor([[7.0, 1.0, 22.0], [7.0, 0.0, 23.0], [8.0, 0.0, 40.0]])
ALL = {"site": 0.0, "sex": 0.0, "age": 2.0}


def test_the_number_of_a_site_never_changes() -> None:
    # a literal: weights of one process meet subjects of another
    assert phenotype_numbers({"site": "NYU", "sex": 1, "age": 23.5}).tolist() == [4012734.0, 1.0, 23.5]


def test_numbers_of_sites_are_exact_in_single_precision() -> None:
    codes = [phenotype_numbers({"site": f"site {k}"})[0].item() for k in range(200)]
    assert all(code == int(code) and 0 <= code < 2**24 for code in codes) and len(set(codes)) == 200


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param({}, id="no entries"),
        pytest.param({"site": "", "sex": None, "age": math.nan}, id="empty, None and NaN"),
        pytest.param({"site": math.nan, "sex": "", "age": None}, id="NaN, empty and None"),
    ],
)
def test_absent_entries_are_unknown(subject: dict) -> None:
    assert phenotype_numbers(subject).tolist() == [UNKNOWN] * 3


def test_sex_zero_is_known() -> None:
    assert phenotype_numbers({"site": "NYU", "sex": 0, "age": 0})[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("combine", "expected"),
    [pytest.param("sum", [[3.0, 1.0, 0.0]], id="sum"), pytest.param("product", [[1.0, 0.0, 0.0]], id="product")],
)
def test_eq_3_by_hand(combine: str, expected: list) -> None:
    # of the first all three agree (22 - 20 is within 2), of the second the site alone, of the third nothing
    assert phenotype_edges(ONE, OTHERS, edge_tolerance(ALL), combine).tolist() == expected


@pytest.mark.parametrize(
    ("tolerance", "expected"), [(0.0, [0, 0, 0]), (1.9, [0, 0, 0]), (2.0, [1, 0, 0]), (3.0, [1, 1, 0])]
)
def test_ages_agree_up_to_the_tolerance(tolerance: float, expected: list) -> None:
    assert phenotype_edges(ONE, OTHERS, edge_tolerance({"age": tolerance}), "sum").tolist() == [expected]


@pytest.mark.parametrize("name", ["site", "sex", "age"])
@pytest.mark.parametrize("combine", ["sum", "product"])
def test_unknown_agrees_with_nothing_not_even_with_unknown(name: str, combine: str) -> None:
    absent = torch.full((2, 3), UNKNOWN)
    assert not phenotype_edges(absent, torch.cat([absent, ONE]), edge_tolerance({name: 1e9}), combine).any()


def test_no_entries_connect_everybody_also_the_unknown() -> None:
    unknown = torch.full((1, 3), UNKNOWN)
    assert torch.equal(phenotype_edges(OTHERS, unknown, edge_tolerance({}), "sum"), torch.ones(3, 1))


def test_agreement_is_mutual() -> None:
    people: Tensor = torch.cat([ONE, OTHERS])
    found = phenotype_edges(people, people, edge_tolerance(ALL), "sum")
    assert torch.equal(found, found.T)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        pytest.param({"height": 1}, "edge_tolerance: 'height' is no entry, choose from site, sex, age", id="name"),
        pytest.param({"site": 0, "age": -1}, "tolerance of age is -1, it must be 0 or more", id="tolerance"),
    ],
)
def test_bad_entries_are_refused(edges: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edge_tolerance(edges)
