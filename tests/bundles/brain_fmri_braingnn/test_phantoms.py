"""Phantoms: determinism, files, networks, artefacts, and a planted difference that a linear model finds where it is."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scripts.common.data import load_datalist, load_or_make
from scripts.phantom_files import BASELINE, CONFOUNDS, GAIN, HEAD_RADIUS_MM, make_atlas
from scripts.phantom_networks import NETWORKS, centroids_mm, homologues, load_regions
from scripts.phantom_series import Subject, simulate_streamlines
from scripts.phantom_subjects import DROPOUT, HYPERCONNECTED
from scripts.phantoms import PhantomSettings, communities, make_cohort, make_subject, planted_regions
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SMALL = PhantomSettings(training=6, validation=2, test=2, frames=(60, 80), missing_share=1.0)
SECTIONS = ("training", "validation", "test")
SAME = np.equal.outer(communities(), communities()) & ~np.eye(110, dtype=bool)
PLANTED = np.array([region.code in planted_regions() for region in load_regions()])


class Cohort(NamedTuple):
    subjects: list[Subject]
    labels: NDArray[np.int64]
    fisher_z: NDArray[np.float64]  # (S, N, N), NaN at missing regions


@pytest.fixture(scope="module")
def drawn() -> Cohort:
    """The 360 scans of the default cohort, not written."""
    subjects, matrices = [], []
    for index in range(360):
        subject, scan = make_subject(index, index % 2)
        subjects.append(subject)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.corrcoef(scan.series.T)
        matrices.append(np.arctanh(np.clip(correlation, -0.999, 0.999)))
    return Cohort(subjects, np.arange(360) % 2, np.array(matrices))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort")
    make_cohort(path, SMALL)
    return path


@pytest.fixture(scope="module")
def nifti_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nifti")
    make_cohort(path, replace(SMALL, training=4, validation=0, test=0, nifti=True))
    return path


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def description(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "dataset.json").read_text())


def effect_size(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Cohen's d of patients against controls."""
    groups = [values[labels == label] for label in (0, 1)]
    return float((groups[1].mean() - groups[0].mean()) / np.sqrt((groups[0].var() + groups[1].var()) / 2))


@pytest.mark.parametrize("kind", ["nifti", "structural"])
def test_one_seed_gives_the_same_files(tmp_path: Path, kind: str) -> None:
    settings = replace(SMALL, training=2, validation=0, **{kind: True})
    for name, chosen in (("a", settings), ("b", settings), ("c", replace(settings, seed=1))):
        make_cohort(tmp_path / name, chosen)
    first, again, other = (digest(tmp_path / name) for name in "abc")
    assert first == again
    changed = [name for name in set(first) & set(other) if first[name] != other[name]]
    assert set(changed) >= {name for name in first if name.startswith("images/")}


def test_a_subject_does_not_depend_on_the_size_of_the_cohort(tmp_path: Path, folder: Path) -> None:
    make_cohort(tmp_path, replace(SMALL, training=2, validation=0, test=0))
    name = "images/phantom_0001_rois_ho.1D"
    assert digest(tmp_path)[name] == digest(folder)[name]


def test_sections_are_balanced_and_share_nobody(folder: Path) -> None:
    datalist = load_datalist(folder)
    assert {section: len(items) for section, items in datalist.items()} == {"training": 6, "validation": 2, "test": 2}
    for items in datalist.values():
        assert sorted(item["label"] for item in items) == [0] * (len(items) // 2) + [1] * (len(items) // 2)
    items = [item for section in SECTIONS for item in datalist[section]]
    assert all(item["group"] == item["id"] for item in items)
    assert len({item["id"] for item in items}) == len(items)
    files = [hash_ for name, hash_ in digest(folder).items() if name.startswith("images/")]
    assert len(set(files)) == len(items)
    assert {"site", "age", "sex", "motion"} <= set(items[0])


def test_dataset_json_tells_the_truth(folder: Path) -> None:
    truth = description(folder)
    assert truth["labels"] == {"0": "control", "1": "patient"}
    assert truth["communities"] == list(communities())
    assert truth["planted_regions"] == {str(code): name for code, name in planted_regions(SMALL).items()}
    assert truth["tr_seconds"] == 2.0
    assert len(truth["planted_regions"]) == 14


def test_series_files_hold_the_series_under_atlas_codes(folder: Path) -> None:
    item = load_datalist(folder)["training"][1]
    lines = Path(item["image"]).read_text().splitlines()
    assert lines[0].split("\t") == [f"#{region.code}" for region in load_regions()]
    expected = make_subject(1, 1, SMALL)[1].series
    np.testing.assert_allclose(np.loadtxt(item["image"], comments="#"), expected, rtol=1e-3, atol=1e-6)


def test_load_or_make_makes_the_cohort_once(tmp_path: Path) -> None:
    settings = replace(SMALL, training=2, validation=2, test=2)
    items = load_or_make(str(tmp_path), str(tmp_path), make_cohort, settings)
    assert [len(items[section]) for section in SECTIONS] == [2, 2, 2]
    assert load_or_make(str(tmp_path), str(tmp_path), make_cohort, settings) == items


def test_homologues_share_a_network_and_every_network_is_used() -> None:
    assert len(NETWORKS) == 8 and set(communities()) == set(range(8))
    assert min(np.bincount(communities())) >= 10
    pairs = homologues()
    assert all(count == 2 for count in np.bincount(pairs))
    assert all(len(set(np.array(communities())[pairs == pair])) == 1 for pair in range(55))


def test_communities_are_visible(drawn: Cohort) -> None:
    mean = np.nanmean(drawn.fisher_z, axis=0)
    numbers = np.array(communities())
    between = ~np.equal.outer(numbers, numbers)
    assert mean[SAME].mean() > mean[between].mean() + 0.2
    pair = np.equal.outer(homologues(), homologues()) & ~np.eye(110, dtype=bool)
    assert mean[pair].mean() > mean[SAME & ~pair].mean() + 0.1
    blocks = [[mean[np.ix_(numbers == i, numbers == j)].mean() for j in range(8)] for i in range(8)]
    assert np.array_equal(np.argmax(blocks, axis=1), np.arange(8))


def test_planted_regions_are_weaker_in_patients_and_no_others(drawn: Cohort) -> None:
    clean = ~PLANTED[None, :] & SAME  # edges to the own network that no planted region touches
    strength = np.nansum(np.where(clean, drawn.fisher_z, 0), axis=2) / clean.sum(axis=1)
    present = ~np.isnan(drawn.fisher_z).all(axis=2)
    effect = np.array([effect_size(strength[present[:, k], k], drawn.labels[present[:, k]]) for k in range(110)])
    assert (effect[PLANTED] < -0.3).all()
    assert abs(effect[~PLANTED].mean()) < 0.1
    assert (np.abs(effect[~PLANTED]) < 0.35).all()


def test_patients_have_hyperconnected_edges(drawn: Cohort) -> None:
    names = [region.name for region in load_regions()]
    for edge in HYPERCONNECTED:
        for side in ("Left", "Right"):
            row, column = (names.index(f"{side} {end}") for end in edge)
            assert effect_size(drawn.fisher_z[:, row, column], drawn.labels) > 0.1


def test_no_weakening_leaves_nothing_to_find() -> None:
    settings = PhantomSettings(weakening=0.0, hyperconnection=0.0)
    assert not any(make_subject(index, 1, settings)[0].weakening.any() for index in range(4))


def test_ridge_finds_the_difference_and_where_it_is(drawn: Cohort) -> None:
    upper = np.triu_indices(110, 1)
    edges = np.nan_to_num(drawn.fisher_z)[:, *upper]
    training, test = np.arange(200), np.arange(260, 360)
    model = make_pipeline(StandardScaler(), Ridge(alpha=5000)).fit(edges[training], drawn.labels[training])
    assert 0.83 < roc_auc_score(drawn.labels[test], model.predict(edges[test])) < 0.93
    weights = np.zeros((110, 110))
    weights[upper] = np.abs(model[-1].coef_)
    assert roc_auc_score(PLANTED, (weights + weights.T).sum(axis=0)) > 0.9


def test_covariates_alone_are_weak_but_not_nothing(drawn: Cohort) -> None:
    sites = sorted({subject.site.name for subject in drawn.subjects})
    table = np.array(
        [[s.age, s.sex, np.log(s.motion), *(float(s.site.name == site) for site in sites)] for s in drawn.subjects]
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    probability = cross_val_predict(model, table, drawn.labels, cv=10, method="predict_proba")[:, 1]
    assert roc_auc_score(drawn.labels, probability) < 0.65
    motion = np.log([subject.motion for subject in drawn.subjects])
    assert 0.05 < effect_size(motion, drawn.labels) < 0.6


def test_sites_differ_in_frames_noise_and_repetition_time(drawn: Cohort) -> None:
    sites = {subject.site for subject in drawn.subjects}
    assert len(sites) == 6
    assert {site.tr_seconds for site in sites} == {1.5, 2.0, 2.5}
    assert min(site.frames for site in sites) == 120 and max(site.frames for site in sites) == 240
    assert len({site.noise for site in sites}) == len({site.global_signal for site in sites}) == 6


def test_motion_couples_near_regions_more_than_far_ones(drawn: Cohort) -> None:
    distance = cdist(centroids_mm(), centroids_mm())
    other = ~np.equal.outer(communities(), communities())
    near, far = other & (distance < 25), other & (distance > 90)
    rise = np.nanmean(drawn.fisher_z[:, near], axis=1) - np.nanmean(drawn.fisher_z[:, far], axis=1)
    motion = [subject.motion for subject in drawn.subjects]
    assert np.corrcoef(motion, rise)[0, 1] > 0.2


def test_some_subjects_miss_regions_of_known_dropout(drawn: Cohort) -> None:
    missing = [subject.missing for subject in drawn.subjects]
    assert 0.03 < np.mean([bool(len(one)) for one in missing]) < 0.15
    names = [region.base_name for region in load_regions()]
    for index, one in enumerate(missing):
        assert np.array_equal(np.isnan(drawn.fisher_z[index]).all(axis=0).nonzero()[0], np.sort(one))
        assert all(names[region].startswith(DROPOUT) for region in one)


def test_atlas_has_every_region_at_its_place() -> None:
    atlas = make_atlas()
    labels = np.asarray(atlas.dataobj)
    assert set(np.unique(labels)) == {0} | {region.code for region in load_regions()}
    for region in load_regions():
        voxels = np.argwhere(labels == region.code)
        assert len(voxels) >= 6
        centre = nibabel.affines.apply_affine(atlas.affine, voxels).mean(axis=0)
        assert np.linalg.norm(centre - region.position_mm) < 5


def test_nifti_gives_the_series_back(nifti_folder: Path) -> None:
    settings = replace(SMALL, training=4, validation=0, test=0, nifti=True)
    item = load_datalist(nifti_folder)["training"][1]
    subject, scan = make_subject(1, 1, settings)
    assert nibabel.load(item["image"]).header.get_zooms()[3] == pytest.approx(subject.site.tr_seconds)
    atlas = nifti_folder / description(nifti_folder)["atlas"]
    series = NiftiLabelsMasker(atlas, standardize=None).fit_transform(item["image"])  # sorted by code, as the table is
    present = scan.series.any(axis=0)
    assert 0 < (~present).sum() < 4
    np.testing.assert_allclose(((series - BASELINE) / GAIN)[:, present], scan.series[:, present], atol=0.01)
    assert not series[:, ~present].any()


def test_voxels_of_a_region_differ(nifti_folder: Path) -> None:
    item = load_datalist(nifti_folder)["training"][0]
    labels = np.asarray(make_atlas().dataobj)
    voxels = np.asarray(nibabel.load(item["image"]).dataobj)[labels == load_regions()[0].code]
    correlation = np.corrcoef(voxels)[np.triu_indices(len(voxels), 1)]
    assert 0.05 < correlation.mean() < 0.9


def test_confounds_hold_the_displacement(nifti_folder: Path) -> None:
    entry = description(nifti_folder)["training"][0]
    file = nifti_folder / entry["confounds"]
    assert tuple(file.read_text().splitlines()[0].split("\t")) == (*CONFOUNDS, "framewise_displacement")
    table = np.loadtxt(file, skiprows=1)
    steps = np.abs(np.diff(table[:, :6], axis=0)) * ([1] * 3 + [HEAD_RADIUS_MM] * 3)
    np.testing.assert_allclose(steps.sum(axis=1), table[1:, 6], atol=5e-4)
    assert table[:, 6].mean() == pytest.approx(entry["motion"], abs=1e-4)


def test_structural_matrices_are_counts_and_some_are_absent(tmp_path: Path) -> None:
    make_cohort(tmp_path, replace(SMALL, training=10, frames=(40, 40), structural=True, structural_share=0.5))
    entries = [entry for section in SECTIONS for entry in description(tmp_path)[section]]
    have = [entry["structural"] for entry in entries if "structural" in entry]
    assert 0 < len(have) < len(entries)
    counts = np.array([np.load(tmp_path / name) for name in have])
    assert counts.shape[1:] == (110, 110) and counts.dtype == np.float32
    assert np.array_equal(counts, counts.swapaxes(1, 2)) and not np.diagonal(counts, axis1=1, axis2=2).any()
    assert (counts >= 0).all() and np.array_equal(counts, counts.round())
    assert counts[:, SAME].mean() > 2 * counts[:, ~SAME].mean()


def test_structural_weakening_takes_streamlines_of_the_own_network() -> None:
    weakening = np.where(PLANTED, 0.4, 0.0)
    full, weak = (simulate_streamlines(loss, np.random.default_rng(0)) for loss in (0 * weakening, weakening))
    touched = SAME & np.logical_or.outer(PLANTED, PLANTED)
    assert weak[touched].sum() < 0.75 * full[touched].sum()
    assert weak[~touched].sum() == pytest.approx(full[~touched].sum(), rel=0.05)


def test_planted_regions_follow_the_settings() -> None:
    assert planted_regions(PhantomSettings(planted=("Thalamus",))) == {10: "Left Thalamus", 49: "Right Thalamus"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"training": 3}, "training=3 subjects cannot be balanced", id="odd"),
        pytest.param({"test": -2}, "test=-2 subjects cannot be balanced", id="negative"),
        pytest.param({"frames": (240, 120)}, r"frames=\(240, 120\) is no range", id="range"),
        pytest.param({"frames": (20, 120)}, r"frames=\(20, 120\) is no range", id="short"),
        pytest.param({"tr_seconds": 6.0}, "tr_seconds=6.0 cannot hold", id="slow"),
        pytest.param({"weakening": 1.5}, "weakening=1.5 is no share", id="share"),
        pytest.param({"planted": ("Left Moon",)}, r"planted=\['Left Moon'\] are no regions", id="name"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomSettings(**changes)


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label=2 is no class"):
        make_subject(0, 2)
