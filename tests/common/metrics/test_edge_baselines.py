import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from common.metrics import CovariateBaseline, EdgeBaseline, edge_vector

REGIONS = 8


def cohort(count: int, seed: int, effect: float = 1.0) -> list[dict]:
    generator = np.random.default_rng(seed)
    items = []
    for k in range(count):
        matrix = generator.normal(0.3, 0.2, (REGIONS, REGIONS))
        matrix[0, 1:5] += effect * (k % 2)
        matrix = np.triu(matrix, 1)
        item = {"id": f"s{seed}-{k}", "image": np.stack([matrix + matrix.T] * 2).astype(np.float32), "label": k % 2}
        items.append(item)
    return items


def drop_region(item: dict, region: int) -> dict:
    image = item["image"].copy()
    image[:, region] = 0
    image[:, :, region] = 0
    return item | {"image": image}


def test_edges_are_the_upper_triangle_and_those_of_a_missing_region_are_nan() -> None:
    item = cohort(1, 0)[0]
    first = item["image"][0]
    assert edge_vector(item["image"])[:3].tolist() == pytest.approx(first[0, 1:4].tolist())
    edges = edge_vector(drop_region(item, 2)["image"])
    assert edges.shape == (28,)
    assert np.isnan(edges).sum() == 7
    assert np.isnan(edges[1])  # edge 0-2


@pytest.mark.parametrize("model", ["ridge", "logistic", "svm", "mlp"])
def test_each_model_finds_a_planted_difference_and_orders_by_id(model: str) -> None:
    baseline = EdgeBaseline(model, cohort(600, 0, 3.0), cohort(40, 1, 3.0))
    ids = [f"s1-{k}" for k in reversed(range(40))]
    probabilities = baseline(ids)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert roc_auc_score([1, 0] * 20, probabilities[:, 1]) > 0.98
    np.testing.assert_allclose(baseline(ids[:2]), probabilities[:2], atol=1e-9)


def test_ridge_is_the_closed_form_on_z_scored_edges() -> None:
    training, cases = cohort(30, 0), cohort(6, 1)
    x, new = (np.stack([edge_vector(i["image"]) for i in part]) for part in (training, cases))
    y = np.array([2 * i["label"] - 1 for i in training])
    z, new = (x - x.mean(0)) / x.std(0), (new - x.mean(0)) / x.std(0)
    weights = np.linalg.solve(z.T @ z + 5000 * np.eye(28), z.T @ (y - y.mean()))
    expected = 1 / (1 + np.exp(-2 * (new @ weights + y.mean())))
    found = EdgeBaseline("ridge", training, cases)([i["id"] for i in cases])[:, 1]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_missing_region_counts_as_the_training_mean() -> None:
    training, case = cohort(40, 0), cohort(1, 1)[0]
    mean = np.mean([i["image"] for i in training], axis=0)
    filled = case["image"].copy()
    filled[:, 3], filled[:, :, 3] = mean[:, 3], mean[:, :, 3]
    lacking = EdgeBaseline("logistic", training, [drop_region(case, 3)])([case["id"]])
    at_mean = EdgeBaseline("logistic", training, [case | {"image": filled}])([case["id"]])
    np.testing.assert_allclose(lacking, at_mean, atol=1e-6)


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")
def test_a_region_that_no_training_case_has_is_ignored() -> None:
    training = [drop_region(item, 3) for item in cohort(20, 0)]
    assert np.isfinite(EdgeBaseline("ridge", training, cohort(2, 1))(["s1-0", "s1-1"])).all()


def test_covariates_alone_find_what_motion_and_site_tell() -> None:
    generator = np.random.default_rng(0)

    def subjects(count: int) -> list[dict]:
        labels = generator.integers(0, 2, count)
        return [
            {"id": str(k), "label": int(y), "motion": 0.1 + 0.2 * y + 0.01 * generator.random(), "site": "A", "sex": 1}
            for k, y in enumerate(labels)
        ]

    training = subjects(100)
    training[0] |= {"motion": float("nan"), "age": None, "site": None}
    cases = [{"id": "still", "motion": 0.1, "site": "unseen"}, {"id": "moving", "motion": 0.3}, {"id": "nothing"}]
    found = CovariateBaseline(training, cases)(["moving", "nothing", "still"])[:, 1]
    assert found[0] > 0.9
    assert found[2] < 0.1
    assert np.isfinite(found[1])
    training = [item | {"motion": 0.1, "site": "AB"[item["label"]]} for item in training]
    found = CovariateBaseline(training, [{"id": "b", "site": "B"}, {"id": "a", "site": "A"}])(["a", "b"])[:, 1]
    assert found[0] < 0.2 < 0.8 < found[1]


def test_edges_of_another_kind_of_image_come_from_the_function_given() -> None:
    training, cases = cohort(40, 0), cohort(6, 1)
    ids = [item["id"] for item in cases]

    def flat(items: list[dict]) -> list[dict]:
        return [item | {"image": edge_vector(item["image"])} for item in items]

    found = EdgeBaseline("ridge", flat(training), flat(cases), edges=np.asarray)(ids)
    np.testing.assert_array_equal(found, EdgeBaseline("ridge", training, cases)(ids))


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="EdgeBaseline: model is 'forest', choose one of"):
        EdgeBaseline("forest", [], [])
