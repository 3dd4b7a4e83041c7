import numpy as np
import pytest
import torch
from scripts.subject_features import ALPHAS, SubjectFeatures
from scripts.subject_row import upper_triangle
from scripts.tangent import correlation_matrices, mean_whitening, tangent_matrices
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

N, T = 7, 25
E = N * (N - 1) // 2


def subjects(count: int, first: int = 0) -> tuple[Tensor, list[int]]:
    """Fisher-z edges (count, E), of which one depends on the label; two of five are cases."""
    edges, labels = [], [int(number % 5 < 2) for number in range(first, first + count)]
    for number, label in zip(range(first, first + count), labels, strict=True):
        series = torch.randn(N, 50, generator=torch.Generator().manual_seed(number))
        series[0] += (0.3 + 0.5 * label) * series[1]
        edges.append(upper_triangle(torch.corrcoef(series)).atanh())
    return torch.stack(edges), labels


def values(edges: Tensor, training: Tensor, tangent: bool) -> np.ndarray:
    """What is standardised: edges, and edges in the tangent space."""
    if not tangent:
        return edges.double().numpy()
    whitening = mean_whitening(correlation_matrices(training.double(), N))
    projected = tangent_matrices(correlation_matrices(edges.double(), N), whitening)
    return torch.cat([edges.double(), upper_triangle(projected)], 1).numpy()


def fitted(tangent: bool = True, features: int = 4, **settings: object) -> tuple[SubjectFeatures, Tensor]:
    module = SubjectFeatures(N, features, tangent=tangent, **settings)  # type: ignore[arg-type]
    return module, module.fit(*subjects(T))


def unscaled(module: SubjectFeatures, features: Tensor) -> np.ndarray:
    return (features.double() * module.scale + module.offset).detach().numpy()


def z_and_target() -> tuple[np.ndarray, np.ndarray]:
    edges, labels = subjects(T)
    return StandardScaler().fit_transform(values(edges, edges, True)), np.where(np.array(labels) == 1, 1.0, -1.0)


def left_out(z: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    """Score of each subject by a regression refitted without it."""
    scores = []
    for subject in range(len(z)):
        kept = np.arange(len(z)) != subject
        scores.append(Ridge(alpha).fit(z[kept], target[kept]).predict(z[subject : subject + 1])[0])
    return np.array(scores)


def best_alpha(z: np.ndarray, target: np.ndarray) -> float:
    return min(ALPHAS, key=lambda alpha: np.square(left_out(z, target, alpha) - target).mean())


@pytest.mark.parametrize("tangent", [True, False])
def test_components_equal_those_of_sklearn(tangent: bool) -> None:
    module, training = fitted(tangent)
    edges, _ = subjects(T)
    twin = make_pipeline(StandardScaler(), PCA(3, svd_solver="full")).fit(values(edges, edges, tangent))
    new, _ = subjects(10, 100)
    for mine, other in ((training, edges), (module.features(new), new)):
        expected = twin.transform(values(other, edges, tangent)) / np.sqrt(twin[1].explained_variance_[0] * (T - 1) / T)
        sign = np.sign((mine[:, :3].numpy() * expected).sum(0))
        np.testing.assert_allclose(mine[:, :3].numpy() * sign, expected, atol=2e-3)


@pytest.mark.parametrize("tangent", [True, False])
def test_score_of_a_new_subject_equals_ridge_of_sklearn(tangent: bool) -> None:
    module, _ = fitted(tangent)
    edges, labels = subjects(T)
    own = values(edges, edges, tangent)
    target = np.where(np.array(labels) == 1, 1.0, -1.0)
    alpha = best_alpha(StandardScaler().fit_transform(own), target)
    twin = make_pipeline(StandardScaler(), Ridge(alpha)).fit(own, target)
    new, _ = subjects(10, 100)
    found = unscaled(module, module.features(new))[:, -1] + target.mean()
    np.testing.assert_allclose(found, twin.predict(values(new, edges, tangent)), atol=1e-4)


def test_score_of_a_training_subject_is_that_of_a_regression_without_it() -> None:
    module, training = fitted()
    z, target = z_and_target()
    alpha, expected = best_alpha(z, target), []
    for subject in range(T):
        kept = np.arange(T) != subject
        expected.append(z[subject] @ Ridge(alpha).fit(z[kept], target[kept]).coef_)
    np.testing.assert_allclose(unscaled(module, training)[:, -1], expected, atol=1e-4)


def test_scores_of_noise_tell_nothing_of_the_labels() -> None:
    # the fault: a score with its intercept, the mean label of the others, which is lower for a case: AUC 0.33
    areas = []
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        edges, labels = 0.2 * torch.randn(60, E, generator=generator), (torch.arange(60) % 5 < 2).long().tolist()
        score = SubjectFeatures(N, 4).fit(edges, labels)[:, -1]
        areas.append(roc_auc_score(labels, score))
    assert 0.4 < np.mean(areas) < 0.6


def test_score_of_a_training_subject_is_not_the_one_in_sample() -> None:
    # the fault: a network that is trained on scores which already know the label trusts them too much
    module, training = fitted()
    edges, labels = subjects(T)
    in_sample = module.features(edges)
    assert (training[:, -1] - in_sample[:, -1]).abs().max() > 0.1
    own = torch.tensor(labels).double() * 2 - 1
    assert (own * training[:, -1]).mean() < (own * in_sample[:, -1]).mean() - 0.1
    assert torch.allclose(training[:, :-1], in_sample[:, :-1], atol=1e-4)


def test_own_label_has_no_part_in_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.subject_features.ALPHAS", (100.0, 100.0))  # all labels have a part in the choice
    edges, labels = subjects(T)
    scores = []
    for turned in (0, 1):
        labels[3] = (labels[3] + turned) % 2
        module = SubjectFeatures(N, 4)
        scores.append(unscaled(module, module.fit(edges, labels))[:, -1])
    assert scores[0][3] == pytest.approx(scores[1][3], abs=1e-5)
    assert (np.abs(np.delete(scores[0] - scores[1], 3)) > 1e-4).all()


@pytest.mark.parametrize("method", ["components", "selection"])
def test_training_features_have_mean_zero_and_a_score_of_unit_variance(method: str) -> None:
    _, training = fitted(method=method)
    assert training.dtype == torch.float32 and training.shape == (T, 4)
    assert torch.allclose(training.mean(0), torch.zeros(4), atol=1e-5)
    std = training.std(0, correction=0)
    assert std[[0, -1]].tolist() == pytest.approx([1, 1], abs=1e-5)
    if method == "selection":
        assert torch.allclose(std, torch.ones(4), atol=1e-5)


def test_components_keep_their_proportions() -> None:
    _, training = fitted()
    z, _ = z_and_target()
    expected = PCA(3, svd_solver="full").fit(z).explained_variance_ ** 0.5
    np.testing.assert_allclose(training.std(0, correction=0)[:3], expected / expected[0], rtol=1e-3)


def test_missing_edges_become_the_mean() -> None:
    edges, labels = subjects(T)
    edges[2, 5] = edges[9, 5] = edges[4, 0] = 0
    module = SubjectFeatures(N, 4, tangent=False)
    module.fit(edges, labels)
    known = torch.where(edges == 0, torch.nan, edges).numpy()
    np.testing.assert_allclose(module.mean, np.nanmean(known, 0), atol=1e-6)
    np.testing.assert_allclose(module.std, np.nanstd(known, 0), atol=1e-6)
    z = module.standardised(edges)
    assert z[2, 5] == z[9, 5] == z[4, 0] == 0 and (z != 0).sum() == edges.numel() - 3
    mean = edges.clone()
    mean[edges == 0] = module.mean.expand_as(edges)[edges == 0]
    assert torch.allclose(module.features(edges), module.features(mean), atol=1e-5)


def test_edges_that_nobody_has_and_constant_ones_stay_finite() -> None:
    edges, labels = subjects(T)
    edges[:, 4], edges[:, 8] = 0, 0.3
    module = SubjectFeatures(N, 4)
    assert module.fit(edges, labels).isfinite().all()
    new, _ = subjects(3, 100)
    assert module.features(new).isfinite().all() and module.features(torch.zeros(1, E)).isfinite().all()


def test_selection_returns_single_edges() -> None:
    module, training = fitted(False, method="selection")
    chosen = module.projection[:, :-1]
    assert torch.equal(chosen.sum(0), torch.ones(3)) and ((chosen == 0) | (chosen == 1)).all()
    places = chosen.argmax(0)
    assert len(set(places.tolist())) == 3 and 0 in places  # the edge that depends on the label
    edges, _ = subjects(T)
    own = edges[:, places]
    assert torch.allclose(training[:, :3], (own - own.mean(0)) / own.std(0, correction=0), atol=1e-4)


def test_alpha_is_the_one_of_least_error_left_out() -> None:
    module, _ = fitted()
    z, target = z_and_target()
    coefficients = Ridge(best_alpha(z, target)).fit(z, target).coef_
    np.testing.assert_allclose(module.projection[:, -1], coefficients, atol=1e-6)


def test_a_subject_has_the_same_features_alone_and_among_others() -> None:
    module, _ = fitted()
    new, _ = subjects(10, 100)
    alone = torch.cat([module.features(edges[None]) for edges in new])
    assert torch.allclose(alone, module.features(new), atol=1e-5)


def test_same_seed_same_fit() -> None:
    (one, first), (other, second) = fitted(), fitted()
    assert torch.equal(first, second)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_weights_keep_their_shapes_and_carry_the_fit() -> None:
    module, _ = fitted()
    fresh = SubjectFeatures(N, 4)
    fresh.load_state_dict(module.state_dict())
    new, _ = subjects(3, 100)
    assert torch.equal(fresh.features(new), module.features(new))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"num_features": 1}, "SubjectFeatures: num_features is 1, it must be 2 or more", id="one feature"),
        pytest.param({"num_features": 4, "method": "lasso"}, "method is 'lasso', choose components or", id="method"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SubjectFeatures(N, **settings)


def test_too_few_subjects_and_one_class_are_refused() -> None:
    edges, labels = subjects(5)
    with pytest.raises(ValueError, match=r"5 training subjects with labels \[0, 1\] do not suffice for 5 features"):
        SubjectFeatures(N, 5).fit(edges, labels)
    with pytest.raises(ValueError, match=r"5 training subjects with labels \[1\] do not suffice for 3 features"):
        SubjectFeatures(N, 3).fit(edges, [1] * 5)
