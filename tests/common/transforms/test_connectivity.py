import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from nilearn.connectome import ConnectivityMeasure
from sklearn.covariance import LedoitWolf

from common.transforms import (
    Connectivity,
    Connectivityd,
    correlation,
    fisher_z,
    ledoit_wolf,
    partial_correlation,
    present,
)


def series(batch: int = 3, frames: int = 60, regions: int = 20, seed: int = 0) -> torch.Tensor:
    """Correlated regions of unlike means and variances."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(batch, frames, regions)) @ (np.eye(regions) + 0.3 * rng.normal(size=(regions, regions)))
    return torch.from_numpy(100 + mixed * rng.uniform(0.5, 4, regions)).float()


def nilearn(kind: str, x: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(ConnectivityMeasure(kind=kind).fit_transform([*x.double().numpy()]))


SHAPES = [pytest.param(60, 20, id="T>N"), pytest.param(78, 110, id="T<N"), pytest.param(296, 200, id="large")]


@pytest.mark.parametrize(("frames", "regions"), SHAPES)
def test_both_kinds_equal_nilearn(frames: int, regions: int) -> None:
    x = series(3, frames, regions)
    torch.testing.assert_close(correlation(x).double(), nilearn("correlation", x), atol=1e-5, rtol=0)
    torch.testing.assert_close(partial_correlation(x).double(), nilearn("partial correlation", x), atol=1e-5, rtol=0)


@pytest.mark.skipif("BUNDLES_DATA" not in os.environ, reason="BUNDLES_DATA is not set: no real data")
def test_both_kinds_equal_nilearn_on_real_series() -> None:
    files = sorted(Path(os.environ["BUNDLES_DATA"], "ABIDE_pcp").glob("*/*/*_rois_ho.1D"))[::200]
    for file in files:
        x = torch.from_numpy(np.loadtxt(file))[None]
        x = x[..., present(x)[0]].float()
        torch.testing.assert_close(correlation(x).double(), nilearn("correlation", x), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            partial_correlation(x).double(), nilearn("partial correlation", x), atol=1e-5, rtol=0
        )


def test_covariance_equals_scikit_learn() -> None:
    x = series(2, 30, 40)
    for own, one in zip(ledoit_wolf(x), x, strict=True):
        np.testing.assert_allclose(own, LedoitWolf().fit(one.double().numpy()).covariance_, atol=1e-9)


def test_without_shrinkage_it_is_pearson() -> None:
    x = series()
    expected = torch.stack([torch.corrcoef(one.T) for one in x.double()])
    torch.testing.assert_close(correlation(x.double(), shrink=False), expected)
    assert (correlation(x).double() - expected).abs().max() > 1e-3


def test_missing_regions_have_zero_rows_and_no_influence() -> None:
    x = series(2, 50, 12)
    x[0, :, [3, 7]] = 5.0
    x[1, :, 0] = 0.0
    assert present(x).sum(-1).tolist() == [10, 11]
    for function in (correlation, partial_correlation):
        result = function(x)
        for one, has, matrix in zip(x, present(x), result, strict=True):
            assert not matrix[~has].any() and not matrix[:, ~has].any()
            torch.testing.assert_close(matrix[has][:, has], function(one[None, :, has])[0])


def test_perfect_correlation_stays_finite() -> None:
    """The tutorial applies no Fisher z, and the official code sets infinities to 0."""
    x = series(1, 50, 5)
    x[..., 1] = x[..., 0] * 2
    z = fisher_z(correlation(x, shrink=False))
    assert torch.isfinite(z).all() and z[0, 0, 1] == pytest.approx(np.arctanh(0.9999), abs=1e-3)
    image = Connectivity(shrink=False)(x[0])
    assert torch.isfinite(image).all() and image[0, 0, 1] > 4.9


def test_the_image_is_symmetric_with_zero_diagonal_and_fisher_z_in_channel_0_only() -> None:
    x = series(1)[0]
    image = Connectivity()(x)
    assert image.shape == (2, 20, 20) and image.dtype == torch.float32
    assert torch.equal(image, image.mT) and not image.diagonal(dim1=1, dim2=2).any()
    off = ~torch.eye(20, dtype=torch.bool)
    torch.testing.assert_close(image[0][off], correlation(x[None])[0][off].arctanh())
    torch.testing.assert_close(image[1][off], partial_correlation(x[None], standardise=True)[0][off])


def test_a_batch_equals_single_subjects() -> None:
    x = series(19)  # more than one chunk
    torch.testing.assert_close(Connectivity().batch(x), torch.stack([Connectivity()(one) for one in x]))
    for function in (correlation, partial_correlation):
        torch.testing.assert_close(function(x), torch.cat([function(one[None]) for one in x]))


def test_amplitude_of_a_region_does_not_decide_about_its_edges() -> None:
    x = series(1, 60, 20)
    scaled = x.clone()
    scaled[..., :3] *= 0.01
    torch.testing.assert_close(Connectivity()(scaled[0]), Connectivity()(x[0]), atol=1e-4, rtol=0)
    z = (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True)
    expected = nilearn("partial correlation", z)
    torch.testing.assert_close(partial_correlation(scaled, standardise=True).double(), expected, atol=1e-5, rtol=0)
    faded = partial_correlation(scaled)[0, :3, 3:].abs().mean()  # nilearn's rule: edges of weak regions vanish
    assert faded < 0.2 * partial_correlation(x)[0, :3, 3:].abs().mean()


def test_a_ready_matrix_gives_the_same_features_and_close_partial_correlations() -> None:
    x = series(1, 400, 10)
    matrix = correlation(x, shrink=False)[0]
    matrix[4] = matrix[:, 4] = 0
    image = Connectivity(source="matrix", matrix_shrinkage=1e-6)(matrix)
    x[0, :, 4] = 0
    expected = Connectivity(shrink=False)(x[0])
    torch.testing.assert_close(image[0], expected[0], atol=1e-5, rtol=0)
    assert not image[:, 4].any()
    inverse = torch.linalg.inv(correlation(x, shrink=False)[0][present(x)[0]][:, present(x)[0]].double())
    assert image[1, 0, 1] == pytest.approx(float(-inverse[0, 1] / (inverse[0, 0] * inverse[1, 1]).sqrt()), abs=1e-4)
    zero_diagonal = matrix - torch.diag(matrix.diagonal())
    torch.testing.assert_close(Connectivity(source="matrix", matrix_shrinkage=1e-6)(zero_diagonal), image)


def test_the_dictionary_version_equals_the_array_version() -> None:
    data = {"image": series(1)[0], "other": series(1, seed=1)[0], "id": "s1"}
    kept = dict(data)
    result = Connectivityd(["image", "other"])(data)
    assert torch.equal(result["image"], Connectivity()(kept["image"]))
    assert torch.equal(result["other"], Connectivity()(kept["other"])) and data["image"] is kept["image"]


NAN = torch.full((30, 4), float("nan"))
NOISE = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))[30:60]
HOSTILE = torch.tensor([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])


@pytest.mark.parametrize(
    ("source", "data", "message"),
    [
        pytest.param("series", NAN, "subject 's1' holds NaN", id="nan"),
        pytest.param("series", torch.rand(2, 4), r"subject 's1' has shape \(2, 4\)", id="short"),
        pytest.param("series", torch.ones(30, 4), "subject 's1' has fewer than 2 regions", id="constant"),
        pytest.param("series", NOISE, "subject 's1' has regions whose correlations all shrink to 0", id="noise"),
        pytest.param("matrix", torch.rand(4, 4), "matrix of subject 's1' is not symmetric", id="asymmetric"),
        pytest.param("matrix", torch.rand(4, 5), "matrix of subject 's1' is not symmetric", id="not-square"),
        pytest.param("matrix", HOSTILE, "eigenvalues too far below 0", id="indefinite"),
    ],
)
def test_bad_input_is_refused_by_name(source: str, data: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Connectivityd("image", source=source)({"image": data, "id": "s1"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"source": "file"}, "source is 'file'", id="source"),
        pytest.param({"fisher_clip": 1.0}, "fisher_clip is 1.0", id="clip"),
        pytest.param({"matrix_shrinkage": 0.0}, "matrix_shrinkage is 0.0", id="shrinkage"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Connectivity(**settings)
