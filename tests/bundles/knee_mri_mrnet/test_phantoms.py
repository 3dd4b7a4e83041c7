"""Phantoms: determinism, one knee in three planes, labels that follow from the truth, quotas, and no easy statistics."""

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scripts.phantom_anatomy import LATERAL, MEDIAL, Ring, meniscus_depth, ring_coordinates
from scripts.phantom_findings import intrasubstance_depth, tear_depth
from scripts.phantom_traits import CELLS, PhantomSettings, draw_findings, draw_labels, draw_pose
from scripts.phantoms import Phantom, make_cohort, make_phantom
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PLANES = ("axial", "coronal", "sagittal")
COARSE = PhantomSettings(training=9, validation=2, test=2, slices=(6, 8), matrix=64)
MIDDLE = PhantomSettings(matrix=128)
TORN = {"abnormal": 1, "acl": 1, "meniscus": 1}
NORMAL = {"abnormal": 0, "acl": 0, "meniscus": 0}


@pytest.fixture(scope="module")
def torn() -> Phantom:
    return make_phantom(3, TORN)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, COARSE, workers=2)
    return folder


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def entries(folder: Path) -> list[dict[str, Any]]:
    content = json.loads((folder / "dataset.json").read_text())
    return [case for section in ("training", "validation", "test") for case in content[section]]


def centre(phantom: Phantom, plane: str, finding: int) -> NDArray[np.float64]:
    voxels = np.argwhere(phantom.masks[plane] == finding)
    affine = np.array(phantom.meta["affines"][plane])
    return affine[:3, :3] @ voxels.mean(0) + affine[:3, 3]


def test_one_seed_gives_one_phantom() -> None:
    first, again, other = (make_phantom(seed, TORN, COARSE) for seed in (7, 7, 8))
    for plane in PLANES:
        assert np.array_equal(first.planes[plane], again.planes[plane])
        assert np.array_equal(first.masks[plane], again.masks[plane])
    assert first.meta == again.meta
    assert not np.array_equal(first.planes["axial"][:6], other.planes["axial"][:6])


def test_planes_are_bytes_of_the_set_size_with_values_over_the_whole_range(torn: Phantom) -> None:
    for plane in PLANES:
        image, mask = torn.planes[plane], torn.masks[plane]
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == mask.shape and image.shape[1:] == (256, 256) and 10 <= image.shape[0] <= 14
        assert image.min() < 10 and image.max() > 230
        assert (image.reshape(len(image), -1).max(1) > 0).all()  # no slice looks like padding


@pytest.mark.parametrize(
    ("plane", "codes"),
    [
        pytest.param("axial", "SPL", id="axial"),
        pytest.param("coronal", "PIL", id="coronal"),
        pytest.param("sagittal", "LIP", id="sagittal"),
    ],
)
def test_slices_are_shown_as_mrnet_shows_them(torn: Phantom, plane: str, codes: str) -> None:
    assert "".join(nibabel.aff2axcodes(np.array(torn.meta["affines"][plane]))) == codes


def test_effusion_lies_above_and_in_front_of_the_torn_ligament() -> None:
    full = (make_phantom(seed, TORN, MIDDLE) for seed in range(20))
    knee = next(knee for knee in full if knee.meta["findings"]["effusion"])
    recess, tear = centre(knee, "sagittal", 3), centre(knee, "sagittal", 1)
    assert recess[1] > tear[1] + 20 and recess[2] > tear[2] + 10  # anterior and superior, mm


@pytest.mark.parametrize("left", [pytest.param(True, id="left"), pytest.param(False, id="right")])
def test_lateral_meniscus_lies_outside_and_medial_one_inside_on_both_knees(left: bool) -> None:
    met = set()
    for seed in range(40):
        rng_left = draw_pose(np.random.default_rng(np.random.SeedSequence([seed, COARSE.version]).spawn(5)[0])).left
        if rng_left != left or len(met) == 2:
            continue
        knee = make_phantom(seed, {"abnormal": 1, "acl": 0, "meniscus": 1}, COARSE)
        lateral = knee.meta["findings"]["meniscus_lateral"]
        outward = (centre(knee, "coronal", 2)[0] - knee.meta["pose"]["shift_mm"][0]) * (-1 if left else 1)
        assert (outward > 5) == lateral and abs(outward) > 5
        met.add(lateral)
    assert met == {True, False}


@pytest.mark.parametrize("finding", [pytest.param(1, id="acl"), pytest.param(2, id="meniscus")])
@pytest.mark.parametrize("seed", [3, 4])
def test_planes_agree_on_the_place_of_the_tear(finding: int, seed: int) -> None:
    knee = make_phantom(seed, TORN, MIDDLE)
    places = np.array([centre(knee, plane, finding) for plane in PLANES])
    assert np.ptp(places, axis=0).max() < 8  # mm, about one distance of slices
    assert np.linalg.norm(places.mean(0) - np.array(knee.meta["pose"]["shift_mm"])) < 55


@pytest.mark.parametrize(
    "labels",
    [pytest.param(cell, id="-".join(str(v) for v in cell.values())) for cell, _ in CELLS],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_follow_from_the_masks_of_every_plane(labels: dict[str, int], seed: int) -> None:
    knee = make_phantom(seed, labels, MIDDLE)
    for plane in PLANES:
        found = set(np.unique(knee.masks[plane])) - {0}
        assert (1 in found) == bool(labels["acl"])
        assert (2 in found) == bool(labels["meniscus"])
        assert bool(found) == bool(labels["abnormal"])


def test_findings_change_the_image_only_around_themselves() -> None:
    torn_only = {"abnormal": 1, "acl": 1, "meniscus": 0}
    seed = next(s for s in range(50) if not make_phantom(s, torn_only, COARSE).meta["findings"]["effusion"])
    normal, torn = make_phantom(seed, NORMAL, COARSE), make_phantom(seed, torn_only, COARSE)
    for plane in PLANES:
        changed = normal.planes[plane] != torn.planes[plane]
        affine = np.array(torn.meta["affines"][plane])
        places = np.argwhere(changed) @ affine[:3, :3].T + affine[:3, 3]
        assert changed.any() and not changed.all()
        assert np.linalg.norm(places - centre(torn, plane, 1), axis=1).max() < 35


def test_torn_ligament_is_bright_where_the_whole_one_is_dark(torn: Phantom) -> None:
    whole = make_phantom(3, NORMAL)
    for plane, gain in (("axial", 85), ("coronal", 20), ("sagittal", 85)):
        gap = torn.masks[plane] == 1
        rise = torn.planes[plane][gap].astype(float) - whole.planes[plane][gap]
        assert np.percentile(rise, 75) > gain  # a third of the range where fluid is bright
        assert gap.sum((1, 2)).max() > 200


def section(ring: Ring, height_mm: float) -> tuple[NDArray[np.float32], ...]:
    """Fine grid over one meniscus: distance from the rim, angle, height and depth in the wedge."""
    u = (ring.centre[0] + np.arange(-22, 22, 0.35, dtype=np.float32))[:, None, None]
    v = (ring.centre[1] + np.arange(-26, 26, 0.35, dtype=np.float32))[None, :, None]
    w = np.arange(0, 11, 0.25, dtype=np.float32)[None, None, :]
    inward, angle = ring_coordinates(u, v, ring)
    return inward, angle, w, meniscus_depth(inward, angle, w, ring, height_mm)


@pytest.mark.parametrize("ring", [pytest.param(MEDIAL, id="medial"), pytest.param(LATERAL, id="lateral")])
def test_tear_reaches_the_surface_of_the_wedge_and_harmless_signal_does_not(ring: Ring) -> None:
    inward, angle, w, wedge = section(ring, 6.5)
    for seed in range(4):
        findings = draw_findings(np.random.default_rng(seed), TORN)
        tear = tear_depth(inward, angle, w, wedge, ring, 6.5, findings) > 0
        assert (tear & (wedge > 1)).any()  # comes from inside
        assert (tear & (np.abs(wedge) < 0.3)).any()  # and meets the surface
    harmless = intrasubstance_depth(inward, angle, w, 6.5) > 0
    assert harmless.any() and wedge[harmless].min() > 0.4


def test_quotas_are_those_of_the_real_set() -> None:
    labels = draw_labels(1370, np.random.default_rng(0))
    assert [sum(case[task] for case in labels) for task in ("abnormal", "acl", "meniscus")] == [1104, 319, 508]
    assert sum(case["acl"] * case["meniscus"] for case in labels) == 144


@pytest.mark.parametrize(
    ("count", "acl"), [pytest.param(20, 5, id="20"), pytest.param(56, 13, id="56"), pytest.param(0, 0, id="none")]
)
def test_every_section_gets_its_share_in_an_order_of_its_seed(count: int, acl: int) -> None:
    first, other = (draw_labels(count, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(first) == count and sum(case["acl"] for case in first) == acl
    assert sorted(map(str, first)) == sorted(map(str, other))
    assert count == 0 or first != other


def test_cohort_is_the_same_for_any_number_of_workers(cohort: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path, COARSE, workers=1)
    assert digest(tmp_path) == digest(cohort)


def test_cohort_lists_what_it_holds(cohort: Path) -> None:
    listed = entries(cohort)
    assert [case["id"] for case in listed] == [f"{k:04d}" for k in range(13)]
    for case in listed:
        found: set[int] = set()
        for plane in PLANES:
            image = np.load(cohort / case[plane])
            mask = np.load(cohort / case["truth"][plane])["mask"]
            assert image.shape == mask.shape and image.dtype == np.uint8
            found |= set(np.unique(mask).tolist())
        assert case["label"] == case["abnormal"] == int(bool(found - {0}))
        assert case["acl"] == int(1 in found) and case["meniscus"] == int(2 in found)
    assert len({digest(cohort)[case["sagittal"]] for case in listed}) == len(listed)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param({"abnormal": 1, "acl": 1}, "needs", id="missing"),
        pytest.param(NORMAL | {"pcl": 0}, "needs", id="unknown"),
        pytest.param(NORMAL | {"abnormal": 2}, "no label", id="two"),
        pytest.param(NORMAL | {"acl": 1}, "calls? a tear normal", id="normal-with-tear"),
    ],
)
def test_impossible_labels_are_refused(labels: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_phantom(0, labels, COARSE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"training": -1}, "training=-1", id="negative"),
        pytest.param({"slices": (12, 10)}, "no range", id="descending"),
        pytest.param({"slices": (2, 10)}, "no range", id="too-few"),
        pytest.param({"matrix": 16}, "matrix=16", id="too-small"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomSettings(**values)


def test_simple_statistics_do_not_find_the_torn_ligament() -> None:
    small = PhantomSettings(slices=(7, 7), matrix=64)
    cases = draw_labels(48, np.random.default_rng(0))
    truth = np.array([case["acl"] for case in cases])
    rows = []
    for seed, labels in enumerate(cases):
        planes = make_phantom(seed, labels, small).planes
        rows.append([f(planes[p]) for p in PLANES for f in (np.mean, np.std)])
        rows[-1] += [q for p in PLANES for q in np.percentile(planes[p], (50, 90, 99, 99.9))]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    score = cross_val_predict(model, np.array(rows), truth, cv=folds, method="predict_proba")[:, 1]
    assert roc_auc_score(truth, score) < 0.75
