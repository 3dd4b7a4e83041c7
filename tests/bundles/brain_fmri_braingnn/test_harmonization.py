import numpy as np
import pytest
import torch
from scripts.harmonization import ComBat, ComBatd

EDGES = 10
SITES = ["A"] * 6 + ["B"] * 9 + ["C"] * 5


def cohort(seed: int = 0, count: int = 1) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Edges with a shift and a scale of each site, and an effect of age that must stay."""
    generator = np.random.default_rng(seed)
    sites = SITES * count
    covariates = np.stack([generator.normal(size=len(sites)), generator.integers(0, 2, len(sites))], axis=1)
    shift, scale = {"A": 0.0, "B": 1.5, "C": -1.0}, {"A": 1.0, "B": 2.0, "C": 0.5}
    noise = generator.normal(size=(len(sites), EDGES))
    edges = [0.3 * c[0] + shift[s] + scale[s] * e for s, c, e in zip(sites, covariates, noise, strict=True)]
    return np.stack(edges), sites, covariates


def textbook(y: np.ndarray, sites: list[str], x: np.ndarray) -> np.ndarray:
    """Johnson et al. 2007, section 3.2, one edge and one site at a time."""
    names, m = sorted(set(sites)), len(sites)
    design = np.column_stack([[float(s == name) for s in sites] for name in names] + [x])
    beta = np.linalg.inv(design.T @ design) @ design.T @ y
    alpha = sum(sites.count(name) / m * beta[k] for k, name in enumerate(names))
    sigma = np.sqrt(((y - design @ beta) ** 2).sum(0) / m)
    expected = alpha + x @ beta[len(names) :]
    z = (y - expected) / sigma
    result = np.empty_like(y)
    for name in names:
        rows = [k for k in range(m) if sites[k] == name]
        n = len(rows)
        gamma_hat, delta_hat = z[rows].mean(0), z[rows].var(0, ddof=1)
        gamma_bar, tau = gamma_hat.mean(), gamma_hat.var(ddof=1)
        v, s = delta_hat.mean(), delta_hat.var(ddof=1)
        shape, theta = (v**2 + 2 * s) / s, (v**3 + v * s) / s
        for edge in range(EDGES):
            gamma, delta = gamma_hat[edge], delta_hat[edge]
            for _ in range(500):
                gamma = (n * tau * gamma_hat[edge] + delta * gamma_bar) / (n * tau + delta)
                delta = (theta + 0.5 * ((z[rows, edge] - gamma) ** 2).sum()) / (n / 2 + shape - 1)
            result[rows, edge] = sigma[edge] * (z[rows, edge] - gamma) / np.sqrt(delta) + expected[rows, edge]
    return result


def test_it_equals_the_textbook() -> None:
    edges, sites, covariates = cohort()
    found = ComBat(tolerance=1e-12).fit(edges, sites, covariates).transform(edges, sites, covariates)
    np.testing.assert_allclose(found, textbook(edges, sites, covariates), atol=1e-9)


def test_site_means_and_variances_go_and_the_effect_of_age_stays() -> None:
    edges, sites, covariates = cohort(count=40)
    found = ComBat().fit(edges, sites, covariates).transform(edges, sites, covariates)
    names = np.array(sites)
    for name in "ABC":
        rest = found[names == name] - 0.3 * covariates[names == name, :1]
        overall = found - 0.3 * covariates[:, :1]
        np.testing.assert_allclose(rest.mean(0), overall.mean(0), atol=0.1)
        np.testing.assert_allclose(rest.std(0) / overall.std(0), 1, atol=0.1)
    slope = np.polyfit(covariates[:, 0], found.mean(axis=1), 1)[0]
    assert slope == pytest.approx(0.3, abs=0.05)


def test_new_cases_are_treated_one_by_one() -> None:
    combat = ComBat().fit(*cohort(0))
    edges, sites, covariates = cohort(1)
    together = combat.transform(edges, sites, covariates)
    alone = [combat.transform(edges[k : k + 1], sites[k : k + 1], covariates[k : k + 1])[0] for k in range(len(sites))]
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_a_site_that_training_lacks_comes_back_unchanged() -> None:
    edges, sites, covariates = cohort()
    combat = ComBat().fit(edges, ["A"] * 6 + ["B"] * 13 + ["single"], covariates)
    new = cohort(1)[0]
    np.testing.assert_allclose(combat.transform(new, ["unseen"] * 20, covariates), new, atol=1e-12)
    np.testing.assert_allclose(combat.transform(new, ["single"] * 20, covariates), new, atol=1e-12)
    assert np.abs(combat.transform(new, sites, covariates) - new).max() > 0.1


def test_missing_edges_stay_missing_and_move_the_others_little() -> None:
    edges, sites, covariates = cohort(count=10)
    holed = edges.copy()
    holed[:, 9] = np.nan
    without = ComBat().fit(edges[:, :9], sites, covariates).transform(edges[:, :9], sites, covariates)
    found = ComBat().fit(holed, sites, covariates).transform(holed, sites, covariates)
    assert np.isnan(found[:, 9]).all()
    np.testing.assert_allclose(found[:, :9], without, atol=1e-12)
    holed[0, 3] = np.nan
    found = ComBat().fit(holed, sites, covariates).transform(holed, sites, covariates)
    assert np.isnan(found).sum() == len(sites) + 1
    np.testing.assert_allclose(found[1:, :9], without[1:], atol=0.05)


def test_one_edge_has_no_prior_and_is_standardised_alone() -> None:
    edges, sites, covariates = cohort()
    found = ComBat().fit(edges[:, :1], sites, covariates[:, :0]).transform(edges[:, :1], sites, covariates[:, :0])
    means = [found[np.array(sites) == name].mean() for name in "ABC"]
    np.testing.assert_allclose(means, means[0], atol=1e-9)


def items(seed: int) -> list[dict]:
    edges, sites, covariates = cohort(seed)
    result = []
    for k, (row, site, (age, sex)) in enumerate(zip(edges, sites, covariates, strict=True)):
        image = torch.zeros(2, 5, 5)
        image[0][np.triu_indices(5, 1)] = torch.from_numpy(row).float()
        image = image + image.transpose(1, 2)
        image[1] = 7
        result.append({"id": str(k), "image": image, "site": site, "age": age, "sex": "FM"[int(sex)]})
    return result


class Watched(list):
    """Training cases that count how often they are read."""

    reads = 0

    def __getitem__(self, index: int) -> dict:  # type: ignore[override]
        self.reads += 1
        return super().__getitem__(index)


def test_the_transform_is_combat_of_channel_0() -> None:
    training, new = Watched(items(0)), items(1)
    transform = ComBatd("image", training)
    assert training.reads == 0  # nothing is read before first use
    before = new[2]["image"].clone()
    found = [transform(item)["image"] for item in new]
    assert training.reads == len(training)
    assert torch.equal(new[2]["image"], before)
    edges, sites, covariates = cohort(0)
    scaled = np.column_stack([covariates[:, 0], 1 - covariates[:, 1], covariates[:, 1]])
    combat = ComBat().fit(edges.astype(np.float32), sites, scaled)
    other, sites, covariates = cohort(1)
    scaled = np.column_stack([covariates[:, 0], 1 - covariates[:, 1], covariates[:, 1]])
    expected = combat.transform(other.astype(np.float32), sites, scaled)
    for image, row in zip(found, expected, strict=True):
        np.testing.assert_allclose(image[0][np.triu_indices(5, 1)], row, atol=1e-4)
        assert torch.equal(image[0], image[0].T)
        assert torch.equal(image[1], torch.full((5, 5), 7.0))


def test_missing_regions_and_covariates_are_borne() -> None:
    transform = ComBatd("image", items(0))
    item = items(1)[0]
    item["image"][0, 2], item["image"][0, :, 2] = 0, 0
    del item["age"]
    image = transform(item | {"sex": float("nan")})["image"]
    assert torch.isfinite(image).all()
    assert not image[0, 2].any()
    assert not image[0, :, 2].any()


def test_bad_input_is_refused() -> None:
    edges, sites, covariates = cohort()
    with pytest.raises(ValueError, match="ComBat: edges are .* give one row of each"):
        ComBat().fit(edges, sites[1:], covariates)
    with pytest.raises(ValueError, match="covariates without NaN"):
        ComBat().fit(edges, sites, covariates * np.nan)
    with pytest.raises(ValueError, match="no site has two training cases"):
        ComBat().fit(edges, list(range(20)), covariates)
