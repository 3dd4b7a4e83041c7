import numpy as np
import pytest
import torch
from scripts.cell_features import CellFeaturesd
from scripts.response_network import CAPACITY, ResponseNetwork

CELLS, SIZES = ["a", "b", "c", "d", "e", "f"], {"expression": 12, "mutation": 4}


@pytest.fixture
def values() -> torch.Tensor:
    return torch.randn(6, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network(values: torch.Tensor) -> ResponseNetwork:
    found = ResponseNetwork({"expression": 3, "mutation": 2}, 0, ("cell",), 8, 0, False, CAPACITY)
    found.omics.fit(values, SIZES)
    found.known.fit(np.arange(12.0).reshape(6, 2), ["C", "CC"], CELLS)
    return found


def test_a_training_cell_gets_its_effect_and_the_features_of_the_fit(
    network: ResponseNetwork, values: torch.Tensor
) -> None:
    for row, cell in enumerate(CELLS):
        item = {"id": cell, "image": values[row], "label": 7}
        found = CellFeaturesd("image", network)(item)
        assert float(found["image"][0]) == pytest.approx(2 * row - 5)
        assert torch.allclose(found["image"][1:], network.omics.features(values)[row], atol=1e-5)
        assert found["label"] == 7 and item["image"].shape == (16,)


@pytest.mark.parametrize("item", [{"id": "new"}, {}])
def test_an_unknown_cell_has_no_effect(network: ResponseNetwork, values: torch.Tensor, item: dict) -> None:
    assert float(CellFeaturesd("image", network)(item | {"image": values[0]})["image"][0]) == 0


def test_missing_values_are_the_mean_of_training(network: ResponseNetwork, values: torch.Tensor) -> None:
    row = values[0].clone()
    row[12:] = torch.nan
    features = CellFeaturesd("image", network)({"image": row})["image"]
    assert (features[4:] == 0).all() and (features[1:4] != 0).all()


def test_arrays_are_taken_and_no_gradient_is_kept(network: ResponseNetwork, values: torch.Tensor) -> None:
    found = CellFeaturesd("image", network)({"image": values[0].double().numpy()})["image"]
    assert found.dtype == torch.float32 and not found.requires_grad and found.shape == (6,)


def test_a_missing_key_is_skipped_where_allowed(network: ResponseNetwork) -> None:
    assert CellFeaturesd("image", network, allow_missing_keys=True)({"label": 1}) == {"label": 1}
    with pytest.raises(KeyError):
        CellFeaturesd("image", network)({"label": 1})


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        pytest.param(lambda x: x[:15], r"OmicsFeatures: the values have shape \[1, 15\], expected", id="length"),
        pytest.param(lambda x: x.where(x != x[2], torch.inf), "OmicsFeatures: expression .* infinite", id="infinite"),
        pytest.param(
            lambda x: x.where(torch.arange(16) < 3, torch.nan), "CellFeaturesd: a has 3 of 16 values", id="empty"
        ),
    ],
)
def test_cells_that_cannot_be_judged_are_refused(
    network: ResponseNetwork, values: torch.Tensor, spoil: object, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        CellFeaturesd("image", network)({"id": "a", "image": spoil(values[0])})


def test_a_quarter_of_the_values_suffices(network: ResponseNetwork, values: torch.Tensor) -> None:
    row = values[0].where(torch.arange(16) < 4, torch.nan)
    assert CellFeaturesd("image", network)({"image": row})["image"].isfinite().all()
