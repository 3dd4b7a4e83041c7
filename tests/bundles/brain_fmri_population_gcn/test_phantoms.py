"""Phantoms: determinism, files, sites, and a planted difference in edges and in who is whose neighbour."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scripts.common.data import load_datalist, load_or_make
from scripts.common.transforms import LoadRegionSeries
from scripts.phantom_series import covariance
from scripts.phantom_subjects import (
    AGE_BANDS,
    DROPOUT,
    SITES,
    Subject,
    cell_name,
    draw_subject,
    prevalence,
    region_table,
)
from scripts.phantoms import PhantomSettings, make_cohort, make_subject, planted_edges, planted_regions
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

SETTINGS = PhantomSettings()
SMALL = PhantomSettings(training=6, validation=2, test=2, frames=(60, 80), missing_share=1.0)
CODES = region_table().codes
UPPER = np.triu_indices(len(CODES), 1)
SIGN = np.zeros((110, 110))  # of the planted change
for (_one, _other), _sign in planted_edges().items():
    SIGN[CODES.index(_one), CODES.index(_other)] = SIGN[CODES.index(_other), CODES.index(_one)] = _sign
SIGN_OF_EDGE = SIGN[UPPER]


class Cohort(NamedTuple):
    subjects: list[Subject]
    labels: NDArray[np.int64]
    edges: NDArray[np.float64]  # (S, E) Fisher z, NaN at missing regions


@pytest.fixture(scope="module")
def drawn() -> Cohort:
    """The 400 subjects of the default cohort, not written."""
    subjects, edges = [], []
    for index in range(400):
        subject, series = make_subject(index, index % 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            edges.append(np.arctanh(np.corrcoef(series.T)[UPPER]))
        subjects.append(subject)
    return Cohort(subjects, np.arange(400) % 2, np.array(edges))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort")
    make_cohort(path, SMALL)
    return path


def people(count: int, settings: PhantomSettings = SETTINGS) -> list[Subject]:
    """Subjects without their series."""
    return [draw_subject(k, k % 2, settings, np.random.default_rng(k)) for k in range(count)]


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def neighbours(subjects: list[Subject]) -> NDArray[np.bool_]:
    """Pairs of the same site and sex whose ages differ by 2 years at most, (S, S)."""
    site, sex, age = (np.array([getattr(s, name) for s in subjects]) for name in ("site", "sex", "age"))
    same = np.equal.outer(site, site) & np.equal.outer(sex, sex) & (np.abs(np.subtract.outer(age, age)) <= 2)
    return same & ~np.eye(len(subjects), dtype=bool)


def site_means(cohort: Cohort) -> NDArray[np.float64]:
    """Mean edges of each site, (6, E)."""
    site = np.array([subject.site for subject in cohort.subjects])
    return np.array([np.nanmean(cohort.edges[site == k], axis=0) for k in range(len(SITES))])


def within_sites(cohort: Cohort) -> NDArray[np.float64]:
    """Standard deviation of each edge round the mean of its site, (E,)."""
    site = np.array([subject.site for subject in cohort.subjects])
    return np.nanstd(cohort.edges - site_means(cohort)[site], axis=0)


def main_effects(subjects: list[Subject]) -> NDArray[np.float64]:
    rows = [[*np.eye(len(SITES))[s.site], s.sex, *np.eye(3)[list(AGE_BANDS).index(s.age_band)]] for s in subjects]
    return np.array(rows)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"version": 2}], ids=["seed", "version"])
def test_one_seed_and_version_give_the_same_files(tmp_path: Path, folder: Path, changes: dict[str, int]) -> None:
    for name, settings in (("again", SMALL), ("other", replace(SMALL, **changes))):
        make_cohort(tmp_path / name, settings)
    first, again, other = digest(folder), digest(tmp_path / "again"), digest(tmp_path / "other")
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_a_subject_does_not_depend_on_the_size_of_the_cohort(tmp_path: Path, folder: Path) -> None:
    make_cohort(tmp_path, replace(SMALL, training=2, validation=0, test=0))
    name = "images/phantom_0001_rois_ho.1D"
    assert digest(tmp_path)[name] == digest(folder)[name]


def test_sections_are_balanced_and_share_nobody(folder: Path) -> None:
    datalist = load_datalist(folder)
    assert {section: len(items) for section, items in datalist.items()} == {"training": 6, "validation": 2, "test": 2}
    for items in datalist.values():
        assert sorted(item["label"] for item in items) == [0] * (len(items) // 2) + [1] * (len(items) // 2)
    items = [item for section in datalist.values() for item in section]
    assert len({item["group"] for item in items}) == len({item["id"] for item in items}) == len(items)
    files = [value for name, value in digest(folder).items() if name.startswith("images/")]
    assert len(set(files)) == len(items)


def test_every_case_has_its_phenotype(folder: Path) -> None:
    for section in load_datalist(folder).values():
        for item in section:
            assert item["site"] in SITES and item["sex"] in (1, 2)
            assert 7 <= item["age"] <= 35 and item["motion"] > 0


def test_series_files_hold_the_series_under_atlas_codes(folder: Path) -> None:
    item = load_datalist(folder)["training"][1]
    assert Path(item["image"]).read_text().split("\n", 1)[0].split("\t") == [f"#{code}" for code in CODES]
    table = Path(__file__).parents[3] / "bundles/brain_fmri_population_gcn/configs/harvard_oxford.csv"
    series = LoadRegionSeries(regions=str(table))(item["image"]).numpy()
    np.testing.assert_allclose(series, make_subject(1, 1, SMALL)[1], rtol=1e-3, atol=1e-6)


def test_dataset_json_tells_the_truth(folder: Path) -> None:
    truth = json.loads((folder / "dataset.json").read_text())
    assert truth["labels"] == {"0": "control", "1": "patient"}
    assert truth["planted_regions"] == {str(code): name for code, name in planted_regions(SMALL).items()}
    assert truth["planted_edges"] == {f"{one} {two}": sign for (one, two), sign in planted_edges(SMALL).items()}
    assert truth["prevalence"] == {cell_name(*cell): share for cell, share in prevalence(SMALL).items()}
    assert len(truth["planted_regions"]) == 16 and len(truth["planted_edges"]) == 120 and len(truth["prevalence"]) == 36


def test_load_or_make_makes_the_cohort_once(tmp_path: Path) -> None:
    items = load_or_make(str(tmp_path), str(tmp_path), make_cohort, SMALL)
    assert load_or_make(str(tmp_path), str(tmp_path), make_cohort, SMALL) == items


def test_settings_may_come_from_json(tmp_path: Path) -> None:
    make_cohort(
        tmp_path, PhantomSettings(**json.loads('{"training": 2, "test": 0, "frames": [60, 70], "planted": []}'))
    )
    assert len(load_datalist(tmp_path)["training"]) == 2


def test_site_changes_edges_more_than_the_class_does(drawn: Cohort) -> None:
    site = np.array([subject.site for subject in drawn.subjects])
    means = site_means(drawn)
    classes = np.array([np.nanmean(drawn.edges[drawn.labels == k], axis=0) for k in (0, 1)])
    by_chance = within_sites(drawn) / np.sqrt(np.bincount(site).min())
    assert np.median(means.std(axis=0) / by_chance) > 3
    assert np.median(means.std(axis=0)) > 5 * np.median(np.abs(classes[1] - classes[0]))


@pytest.mark.parametrize(("site_effect", "alone"), [(0.0, True), (0.5, False)], ids=["without", "with"])
def test_sites_differ_by_the_global_signal_and_by_a_pattern(site_effect: float, alone: bool) -> None:
    subject, settings = make_subject(0, 0)[0], replace(SETTINGS, site_effect=site_effect)
    one, other = (covariance(replace(subject, site=k), settings, np.random.default_rng(0)) for k in (0, 1))
    difference = (other - one)[UPPER]
    assert (difference > 0).all() == alone


def test_planted_edges_differ_between_classes_and_others_do_not(drawn: Cohort) -> None:
    patient = drawn.labels == 1
    change = np.nanmean(drawn.edges[patient], axis=0) - np.nanmean(drawn.edges[~patient], axis=0)
    effect = change / within_sites(drawn)
    planted = SIGN_OF_EDGE != 0
    assert (effect * SIGN_OF_EDGE)[planted].mean() > 0.3
    assert np.mean(np.sign(effect[planted]) == SIGN_OF_EDGE[planted]) > 0.97
    assert abs(effect[~planted].mean()) < 0.05
    assert effect[~planted].std() == pytest.approx(2 / np.sqrt(400), rel=0.2)  # two means of 200 subjects, no more
    assert roc_auc_score(planted, np.abs(effect)) > 0.9


def test_severity_changes_the_planted_covariance_only() -> None:
    subject = make_subject(1, 1)[0]
    well, ill = (
        covariance(replace(subject, severity=severity), SETTINGS, np.random.default_rng(0)) for severity in (0.0, 2.0)
    )
    np.testing.assert_allclose(ill - well, 2 * SETTINGS.effect * SIGN, atol=1e-12)


def test_severity_differs_between_patients_and_is_zero_in_controls() -> None:
    severity = np.array([subject.severity for subject in people(400)])
    assert not severity[::2].any()
    assert severity[1::2].mean() == pytest.approx(1, abs=0.1) and severity[1::2].std() > 0.3


def test_covariance_is_positive_definite_at_the_largest_effect() -> None:
    subject = replace(make_subject(1, 1)[0], severity=2.5, motion=0.01, site=0)
    matrix = covariance(subject, replace(SETTINGS, effect=0.4, site_effect=0.0), np.random.default_rng(0))
    assert np.linalg.eigvalsh(matrix)[0] > 0


def test_ridge_on_edges_finds_the_class_only_in_part(drawn: Cohort) -> None:
    edges = (drawn.edges - np.nanmean(drawn.edges[:240], axis=0)) / np.nanstd(drawn.edges[:240], axis=0)
    edges = np.nan_to_num(edges)
    model = Ridge(alpha=1000).fit(edges[:240], drawn.labels[:240])
    assert 0.58 < roc_auc_score(drawn.labels[300:], model.predict(edges[300:])) < 0.88


def test_neighbours_share_the_class_more_often_than_chance(drawn: Cohort) -> None:
    agree = np.equal.outer(drawn.labels, drawn.labels)
    pairs = neighbours(drawn.subjects)
    assert pairs.sum(axis=1).mean() > 4
    assert agree[pairs].mean() > 0.65
    assert agree.mean() == 0.5


def test_cells_have_their_prevalence() -> None:
    subjects = people(4000)
    found: dict[tuple[int, int, str], list[int]] = {cell: [] for cell in prevalence()}
    for subject in subjects:
        found[subject.site, subject.sex, subject.age_band].append(subject.label)
    for cell, share in prevalence().items():
        assert np.mean(found[cell]) == pytest.approx(share, abs=0.05)
        assert len(found[cell]) == pytest.approx(4000 / 12 * AGE_BANDS[cell[2]][0], rel=0.1)


def test_without_homophily_every_cell_is_half_patients() -> None:
    assert set(prevalence(replace(SETTINGS, prevalence=0.5)).values()) == {0.5}


def test_ages_lie_in_their_band() -> None:
    for subject in people(400):
        _, _, low, high = AGE_BANDS[subject.age_band]
        assert low <= subject.age <= high
    names = [subject.age_band for subject in people(400) if subject.age > 21]
    assert set(names) == {"adults"}


def test_main_effects_of_the_phenotype_say_nothing() -> None:
    subjects = people(2000)
    labels = np.arange(2000) % 2
    table = main_effects(subjects)
    for column in table.T:
        for value in np.unique(column):
            assert labels[column == value].mean() == pytest.approx(0.5, abs=0.03)
    probability = cross_val_predict(LogisticRegression(), table, labels, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(labels, probability) < 0.55


def test_some_subjects_miss_regions_of_known_dropout(drawn: Cohort) -> None:
    missing = [subject.missing for subject in drawn.subjects]
    assert 0.02 < np.mean([one.size > 0 for one in missing]) < 0.12
    for index, one in enumerate(missing):
        matrix = np.ones((110, 110))
        matrix[UPPER] = drawn.edges[index]
        lost = np.isnan(np.triu(matrix, 1) + np.triu(matrix, 1).T).sum(axis=0) >= 109
        assert np.array_equal(lost.nonzero()[0], np.sort(one))
        assert all(region_table().names[k].split(" ", 1)[1] in DROPOUT for k in one)


def test_missing_regions_are_constant_in_the_file(folder: Path) -> None:
    for item in load_datalist(folder)["training"]:
        assert 1 <= (np.ptp(np.loadtxt(item["image"], comments="#"), axis=0) == 0).sum() <= 3


def test_planted_regions_follow_the_settings() -> None:
    assert planted_regions(PhantomSettings(planted=("Thalamus",))) == {10: "Left Thalamus", 49: "Right Thalamus"}
    assert planted_edges(PhantomSettings(planted=("Thalamus", "Amygdala"))) == {
        **{(10, 18): -1, (10, 49): 1, (10, 54): -1},
        **{(18, 49): -1, (18, 54): 1, (49, 54): -1},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"training": 3}, "training is 3, and half of a section are patients", id="odd"),
        pytest.param({"test": -2}, "test is -2, and half", id="negative"),
        pytest.param({"frames": (150, 100)}, r"frames is \(150, 100\), it must be 60", id="range"),
        pytest.param({"frames": (20, 120)}, r"frames is \(20, 120\), it must be 60", id="short"),
        pytest.param({"effect": 0.5}, r"effect is 0.5, it must lie in 0 .. 0.4", id="effect"),
        pytest.param({"site_effect": -1.0}, r"site_effect is -1.0, it must lie in 0 .. 2", id="site"),
        pytest.param({"prevalence": 0.3}, r"prevalence is 0.3, it must lie in 0.5 .. 1", id="prevalence"),
        pytest.param({"missing_share": 1.5}, r"missing_share is 1.5, it must lie in 0 .. 1", id="missing"),
        pytest.param({"planted": ("Left Moon",)}, "planted holds 'Left Moon', which is no region", id="name"),
        pytest.param({"seed": -1}, "seed is -1, it must be 0 or more", id="seed"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomSettings(**changes)


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label is 2, it must be 0"):
        make_subject(0, 2)
