import numpy as np
import pytest
import torch
from scripts.omics_features import OmicsFeatures
from sklearn.decomposition import PCA
from torch import Tensor

C, SIZES, COMPONENTS = 20, {"expression": 30, "mutation": 8}, {"expression": 5, "mutation": 3}


def cells(count: int = C, seed: int = 0) -> Tensor:
    """Values (count, 38): expression of low rank with noise, mutations 0 or 1."""
    generator = torch.Generator().manual_seed(7)
    loadings = torch.randn(4, 30, generator=generator)
    own = torch.Generator().manual_seed(seed)
    expression = torch.randn(count, 4, generator=own) @ loadings + 0.3 * torch.randn(count, 30, generator=own) + 5
    return torch.cat([expression, (torch.rand(count, 8, generator=own) < 0.3).float()], dim=1)


def fitted(num_genes: int = 0) -> tuple[OmicsFeatures, Tensor]:
    module = OmicsFeatures(COMPONENTS, num_genes)
    return module, module.fit(cells(), SIZES)


def lacking(values: Tensor, cell: int, first: int, last: int) -> Tensor:
    values = values.clone()
    values[cell, first:last] = torch.nan
    return values


def test_components_equal_those_of_sklearn_in_proportion() -> None:
    _, features = fitted()
    scores = PCA(5, svd_solver="full").fit_transform(cells()[:, :30].double().numpy())
    expected = scores / scores[:, 0].std() * 3
    np.testing.assert_allclose(features[:, :5].abs(), np.abs(expected), atol=1e-4)
    assert features[:, 0].std(correction=0) == pytest.approx(3, abs=1e-4)
    assert features[:, 5].std(correction=0) == pytest.approx(3, abs=1e-4)  # each kind by itself
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)


@pytest.mark.parametrize("shape", [pytest.param((9, 30), id="wide"), pytest.param((60, 30), id="tall")])
def test_scores_are_left_singular_vectors_of_the_decomposition(shape: tuple[int, int]) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    features = OmicsFeatures({"expression": 4}).fit(values, {"expression": 30})
    left, singular, _ = torch.linalg.svd(values.double() - values.double().mean(0), full_matrices=False)
    expected = left[:, :4] * singular[:4] / (singular[0] / len(values) ** 0.5) * 3
    np.testing.assert_allclose(features.abs(), expected.abs(), atol=1e-4)


def test_largest_entry_of_each_component_is_positive() -> None:
    module, features = fitted()
    for kind in SIZES:
        components = module.kinds[kind].components
        assert (components.gather(0, components.abs().argmax(0, keepdim=True)) > 0).all()
    turned = OmicsFeatures(COMPONENTS).fit(cells().flip(0), SIZES).flip(0)
    assert torch.allclose(turned, features, atol=1e-4)


def test_parts_follow_the_order_of_the_sizes() -> None:
    module, features = fitted(num_genes=6)
    assert module.parts == [5, 3, 6]
    assert module.num_features == 14 == features.shape[1]
    assert module.num_values == 38 and OmicsFeatures(COMPONENTS).num_values == 0
    assert OmicsFeatures(COMPONENTS).parts == [5, 3]


def test_more_components_than_cells_determine_are_zero() -> None:
    module = OmicsFeatures({"expression": 12, "mutation": 10})
    features = module.fit(cells(4), SIZES)
    assert (features[:, :3].std(0) > 0.01).all()
    assert (features[:, 3:12] == 0).all() and (module.features(cells(9, 3))[:, 3:12] == 0).all()
    assert features.isfinite().all()


def test_one_cell_and_a_constant_kind_give_zeros() -> None:
    assert (OmicsFeatures(COMPONENTS, 4).fit(cells(1), SIZES) == 0).all()
    values = cells()
    values[:, 30:] = 1
    features = OmicsFeatures(COMPONENTS).fit(values, SIZES)
    assert (features[:, 5:] == 0).all() and features.isfinite().all()


@pytest.mark.parametrize(("first", "last"), [pytest.param(0, 30, id="expression"), pytest.param(30, 38, id="mutation")])
def test_a_kind_that_a_cell_lacks_is_its_mean(first: int, last: int) -> None:
    module = OmicsFeatures(COMPONENTS, 4)
    module.fit(lacking(cells(), 3, first, last), SIZES)
    mean = torch.cat([module.kinds[kind].mean[:size] for kind, size in SIZES.items()])
    known = np.nanmean(lacking(cells(), 3, first, last), 0)
    np.testing.assert_allclose(mean, known, atol=1e-5)
    new = lacking(cells(3, 5), 1, first, last)
    filled = torch.where(new.isnan(), mean, new)
    assert torch.allclose(module.features(new), module.features(filled), atol=1e-5)


def test_a_kind_that_no_training_cell_has_is_zero() -> None:
    values = cells()
    values[:, 30:] = torch.nan
    module = OmicsFeatures(COMPONENTS)
    assert (module.fit(values, SIZES)[:, 5:] == 0).all()
    assert (module.features(cells(3, 1))[:, 5:] == 0).all()


def test_genes_are_the_most_variable_standardised_by_training() -> None:
    module, features = fitted(num_genes=6)
    std = cells()[:, :30].std(0, correction=0)
    assert module.gene_index.tolist() == std.argsort(descending=True)[:6].tolist()
    chosen = cells()[:, module.gene_index]
    expected = (chosen - chosen.mean(0)) / chosen.std(0, correction=0)
    assert torch.allclose(features[:, 8:], expected, atol=1e-4)
    without = OmicsFeatures(COMPONENTS).fit(cells(), SIZES)
    assert torch.equal(features[:, :8], without)


def test_a_cell_has_the_same_features_alone_and_among_others() -> None:
    module, _ = fitted(num_genes=6)
    new = cells(10, 3)
    alone = torch.cat([module.features(row[None]) for row in new])
    assert torch.allclose(alone, module.features(new), atol=1e-5)


def test_cells_outside_training_have_no_part_in_the_fit() -> None:
    module, _ = fitted()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.features(100 * cells(10, 3))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_weights_keep_their_shapes_and_carry_the_fit() -> None:
    module, _ = fitted(num_genes=6)
    fresh = OmicsFeatures(COMPONENTS, 6)
    fresh.load_state_dict(module.state_dict())
    new = cells(3, 1)
    assert torch.equal(fresh.features(new), module.features(new))
    assert "kinds.expression.components" in module.state_dict()


def test_refit_forgets_the_first_fit() -> None:
    module, features = fitted(num_genes=6)
    module.fit(10 * cells(4, 8), SIZES)
    assert torch.equal(module.fit(cells(), SIZES), features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(({},), r"num_components is \{\}, name one kind or more", id="no kind"),
        pytest.param(({"mutation": 0},), "num_components is .*, each with 1 or more", id="no component"),
        pytest.param((COMPONENTS, -1), "num_genes is -1 for the kinds", id="negative"),
        pytest.param(({"mutation": 2}, 1), r"num_genes is 1 for the kinds \['mutation'\]", id="no expression"),
    ],
)
def test_bad_settings_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OmicsFeatures(*arguments)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        pytest.param({"expression": 38}, "give 1 or more values of each of expression, mutation", id="other kinds"),
        pytest.param({"mutation": 8, "expression": 30}, "in this order", id="other order"),
        pytest.param({"expression": 38, "mutation": 0}, "give 1 or more values of each", id="empty kind"),
        pytest.param({"expression": 3, "mutation": 35}, "num_genes is 4, expression has 3 genes; lower it", id="genes"),
    ],
)
def test_bad_sizes_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OmicsFeatures(COMPONENTS, 4).fit(cells(), sizes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(torch.zeros(3, 37), r"shape \[3, 37\], expected \(cells, 38\): 30 of expression, 8", id="width"),
        pytest.param(torch.zeros(38), r"shape \[38\], expected", id="one axis"),
        pytest.param(torch.zeros(0, 38), "there is no training cell", id="no cell"),
        pytest.param(torch.eye(38) * torch.inf, "expression of the cell in row 0 is infinite", id="beside NaN"),
        pytest.param(
            torch.cat([cells(1), cells(1).masked_fill(torch.arange(38) == 33, torch.inf)]),
            "mutation of the cell in row 1 is infinite",
            id="infinite",
        ),
    ],
)
def test_bad_values_are_refused(values: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OmicsFeatures(COMPONENTS).fit(values, SIZES)
