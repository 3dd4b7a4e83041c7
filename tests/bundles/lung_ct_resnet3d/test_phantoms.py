"""Phantoms: determinism, densities, geometry in the files, and a task that simple statistics do not solve."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage, Orientation
from scipy import ndimage
from scripts.phantoms import Phantom, PhantomSettings, full_size_series, make_cohort, make_phantom
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

SETTINGS = PhantomSettings()
COARSE = PhantomSettings(
    training=8, validation=2, test=2, matrix=56, spacing_range_mm=(5.4, 6.0), slice_spacing_range_mm=(6.0, 7.0)
)


@pytest.fixture(scope="module")
def ill() -> Phantom:
    return make_phantom(1, 1, SETTINGS, nodules=4, couch=True, circle=True, feet_first=False, prone=False)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, COARSE, workers=2)
    return folder


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def entries(folder: Path) -> list[dict[str, Any]]:
    datalist = json.loads((folder / "dataset.json").read_text())
    return [case for section in ("training", "validation", "test") for case in datalist[section]]


def test_one_seed_gives_one_phantom() -> None:
    first, again, other = make_phantom(7, 1, COARSE), make_phantom(7, 1, COARSE), make_phantom(8, 1, COARSE)
    assert np.array_equal(first.volume, again.volume)
    assert np.array_equal(first.truth(), again.truth())
    assert np.array_equal(first.affine, again.affine)
    assert first.volume.shape != other.volume.shape or not np.array_equal(first.volume, other.volume)


def test_labels_of_one_seed_differ_in_opacities_only() -> None:
    healthy, ill = make_phantom(7, 0, COARSE), make_phantom(7, 1, COARSE)
    changed = healthy.volume != ill.volume
    assert not healthy.opacity.any() and ill.opacity.any()
    assert np.array_equal(healthy.lung, ill.lung)
    assert not changed[~ndimage.binary_dilation(ill.lung, iterations=1)].any()
    assert changed[ill.opacity].mean() > 0.8


def test_masks_are_nested_and_the_truth_map_numbers_them(ill: Phantom) -> None:
    truth = ill.truth()
    assert ill.volume.dtype == np.int16 and truth.dtype == np.uint8
    assert set(np.unique(truth)) == {0, 1, 2, 3}
    assert not (ill.opacity & ~ill.lung).any()
    assert not (ill.nodules & ~ill.lung).any()
    assert not (ill.nodules & ill.opacity).any()
    assert np.array_equal(truth > 0, ill.lung)


def test_densities_are_those_of_a_chest(ill: Phantom) -> None:
    hu = ill.volume
    assert hu.min() == -2048 and hu.max() > 400
    plain = ndimage.binary_erosion(ill.lung, iterations=2) & ~ill.opacity & ~ill.nodules
    assert -920 < np.median(hu[plain]) < -760
    body = ndimage.binary_erosion(hu > -300, iterations=2)
    assert ((hu > -130) & (hu < -60) & body).sum() > 5000, "fat"
    assert ((hu > 20) & (hu < 90) & body).sum() > 50000, "muscle and organs"
    assert (hu[~ill.lung] > 300).sum() > 5000, "bone"
    assert -700 < np.median(hu[ill.opacity]) < 100
    litres = ill.lung.sum() * np.prod(ill.meta["spacing_mm"]) / 1e6
    assert 1.2 < litres < 6


def test_both_lungs_carry_peripheral_opacities() -> None:
    for seed in range(4):
        phantom = make_phantom(seed, 1, SETTINGS, roll_deg=0.0)
        middle = phantom.lung.shape[0] // 2
        share = phantom.opacity[:middle].sum() / phantom.opacity.sum()
        assert 0.1 < share < 0.9
        assert 0.02 < phantom.opacity.sum() / phantom.lung.sum() < 0.3
        aside = [np.abs(np.argwhere(mask)[:, 0] - middle).mean() for mask in (phantom.opacity, phantom.lung)]
        assert aside[0] > aside[1] + 3  # voxels nearer to the chest wall than the average of the lung


def test_ground_glass_and_consolidation_have_their_densities() -> None:
    quiet = {"noise_hu": 0.01, "nodules": 0, "haze_hu": 0.0, "atelectasis_hu": 0.0, "vessels": 0}
    glass = make_phantom(3, 1, SETTINGS, consolidation=0.0, **quiet)
    dense = make_phantom(3, 1, SETTINGS, consolidation=1.0, **quiet)
    for phantom, low, high in ((glass, -700, -100), (dense, -100, 60)):
        core = ndimage.binary_erosion(phantom.opacity, iterations=2)
        assert low < np.median(phantom.volume[core]) < high


@pytest.mark.parametrize("label", [0, 1])
def test_nodules_are_solid_and_occur_in_both_classes(label: int) -> None:
    phantom = make_phantom(2, label, SETTINGS, nodules=5, noise_hu=0.01)
    components, count = ndimage.label(phantom.nodules)
    assert 3 <= count <= 6
    volumes = np.bincount(components.ravel())[1:] * np.prod(phantom.meta["spacing_mm"])
    diameters = (6 * volumes / np.pi) ** (1 / 3)
    assert np.all(diameters > 3) and np.all(diameters < 20)
    assert np.median(phantom.volume[phantom.nodules]) > -150


def test_trachea_is_open_at_the_top_and_no_part_of_the_lung() -> None:
    phantom = make_phantom(2, 0, SETTINGS, feet_first=False, noise_hu=0.01, couch=False, circle=False)
    top = phantom.volume[:, :, -1] < -900
    inner, _ = ndimage.label(top)
    centre = ndimage.center_of_mass(np.ones_like(top))
    tubes = [r for r in ndimage.find_objects(inner) if (r[0].stop - r[0].start) < 20]
    assert any(abs((r[0].start + r[0].stop) / 2 - centre[0]) < 25 for r in tubes)
    assert not phantom.lung[:, :, -1].any()


@pytest.mark.parametrize("feet_first", [False, True], ids=["head-first", "feet-first"])
@pytest.mark.parametrize("prone", [False, True], ids=["supine", "prone"])
def test_storage_order_and_affine_belong_together(prone: bool, feet_first: bool) -> None:
    plain = {"roll_deg": 0.0, "lean": (0.0, 0.0), "couch": False, "air_around": True}
    phantom = make_phantom(4, 0, COARSE, prone=prone, feet_first=feet_first, **plain)
    signs = np.sign(np.diag(phantom.affine)[:3])
    assert list(signs) == [1 if prone else -1, 1 if prone else -1, -1 if feet_first else 1]
    # The heart lies left, the domes of the diaphragm low: where the lung is must not depend on the storage order.
    points = nibabel.affines.apply_affine(phantom.affine, np.argwhere(phantom.lung))
    bone = nibabel.affines.apply_affine(phantom.affine, np.argwhere(phantom.volume > 350))
    assert np.median(bone[:, 1]) < np.median(points[:, 1])  # the spine is at the back
    left, right = (points[points[:, 0] < np.median(points[:, 0])], points[points[:, 0] > np.median(points[:, 0])])
    assert left.size and right.size
    reference = make_phantom(4, 0, COARSE, prone=False, feet_first=False, **plain)
    expected = nibabel.affines.apply_affine(reference.affine, np.argwhere(reference.lung))
    assert np.allclose(points.mean(0), expected.mean(0), atol=0.5)


@pytest.mark.parametrize(("prone", "front"), [(False, False), (True, True)], ids=["supine", "prone"])
def test_dependent_density_and_couch_are_on_the_side_of_gravity(prone: bool, front: bool) -> None:
    quiet = {"emphysema": 0.0, "haze_hu": 0.0, "scars": 0, "nodules": 0, "roll_deg": 0.0, "lean": (0.0, 0.0)}
    phantom = make_phantom(4, 0, SETTINGS, prone=prone, gravity_hu=90.0, circle=False, couch=True, **quiet)
    lung = ndimage.binary_erosion(phantom.lung, iterations=2) & (phantom.volume < -600)
    y = nibabel.affines.apply_affine(phantom.affine, np.argwhere(lung))[:, 1]
    slope = np.polyfit(y, phantom.volume[lung], 1)[0]
    assert (slope > 0.1) if front else (slope < -0.1)
    bare = make_phantom(4, 0, SETTINGS, prone=prone, gravity_hu=90.0, circle=False, couch=False, **quiet)
    couch = nibabel.affines.apply_affine(phantom.affine, np.argwhere(phantom.volume != bare.volume))[:, 1]
    assert couch.size > 10000
    assert couch.min() > y.max() if front else couch.max() < y.min()


def test_settings_and_overrides_are_checked() -> None:
    with pytest.raises(ValueError, match="PhantomSettings: training=3"):
        PhantomSettings(training=3)
    with pytest.raises(ValueError, match="PhantomSettings: matrix=8"):
        PhantomSettings(matrix=8)
    with pytest.raises(ValueError, match="spacing_range_mm"):
        PhantomSettings(spacing_range_mm=(2.0, 1.0))
    with pytest.raises(ValueError, match="make_phantom: label=2"):
        make_phantom(0, 2, COARSE)
    with pytest.raises(ValueError, match="make_phantom: cough=True is no trait"):
        make_phantom(0, 0, COARSE, cough=True)


def test_cohort_is_balanced_in_every_section_and_format(cohort: Path) -> None:
    datalist = json.loads((cohort / "dataset.json").read_text())
    assert {"name", "description", "labels", "training", "validation", "test"} == set(datalist)
    assert datalist["labels"] == {"0": "healthy", "1": "pneumonia-like"}
    for section, count in (("training", 8), ("validation", 2), ("test", 2)):
        labels = [case["label"] for case in datalist[section]]
        assert len(labels) == count and sum(labels) == count // 2
    cases = entries(cohort)
    assert len({case["id"] for case in cases}) == len({case["group"] for case in cases}) == len(cases)
    kinds: dict[str, set[int]] = {}
    for case in cases:
        path = case["image"] if isinstance(case["image"], str) else case["image"][0]
        kinds.setdefault("".join(Path(path).suffixes), set()).add(case["label"])
    assert kinds == {".nii.gz": {0, 1}, ".nii": {0, 1}, ".nrrd": {0, 1}, ".dcm": {0, 1}}


def test_cohort_does_not_depend_on_the_number_of_workers_or_the_clock(cohort: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path / "again", COARSE, workers=1)
    assert digest(tmp_path / "again") == digest(cohort)


def test_every_format_reads_back_to_the_same_world(cohort: Path) -> None:
    """Loaded with MONAI's readers, image and truth share one grid, and the lung truth covers dark voxels."""
    orient = Orientation("RAS", labels=None)
    seen = set()
    for case in entries(cohort)[:8]:
        image = case["image"]
        source = cohort / image if isinstance(image, str) else (cohort / image[0]).parent
        seen.add(source.suffix)
        loaded = orient(LoadImage(image_only=True, ensure_channel_first=True)(source))
        truth = orient(LoadImage(image_only=True, ensure_channel_first=True)(cohort / case["truth"]))
        assert loaded.shape == truth.shape
        assert np.allclose(loaded.affine, truth.affine, atol=1e-3)
        values, mask = loaded.numpy(), truth.numpy()
        assert -950 < np.median(values[mask == 1]) < -650
        assert np.median(values[(mask == 0) & (values > -900)]) > -150
        assert (mask == 2).any() == bool(case["label"])
    assert len(seen) == 4


def test_dicom_slices_are_complete_and_in_order(cohort: Path) -> None:
    case = next(case for case in entries(cohort) if isinstance(case["image"], list))
    slices = [pydicom.dcmread(cohort / path) for path in case["image"]]
    truth = nibabel.load(cohort / case["truth"])
    first = slices[0]
    assert (first.Columns, first.Rows, len(slices)) == truth.shape
    assert len({item.SeriesInstanceUID for item in slices}) == 1
    assert len({item.SOPInstanceUID for item in slices}) == len(slices)
    assert first.RescaleIntercept == -1024 and first.Modality == "CT"
    to_lps = np.diag([-1, -1, 1])
    for index, item in enumerate(slices):
        expected = to_lps @ nibabel.affines.apply_affine(truth.affine, [0, 0, index])
        assert np.allclose(item.ImagePositionPatient, expected, atol=1e-3)
    row, column = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
    spacing = np.linalg.norm(truth.affine[:3, :3], axis=0)
    assert np.allclose(row * spacing[0], to_lps @ truth.affine[:3, 0], atol=1e-3)
    assert np.allclose(column * spacing[1], to_lps @ truth.affine[:3, 1], atol=1e-3)
    assert first.pixel_array.min() + first.RescaleIntercept >= -2048


def test_full_size_series_are_512_wide_and_differ_in_position(tmp_path: Path) -> None:
    folders = full_size_series(tmp_path, count=2)
    heads = [pydicom.dcmread(sorted(folder.iterdir())[0], stop_before_pixels=True) for folder in folders]
    assert [(head.Rows, head.Columns) for head in heads] == [(512, 512)] * 2
    assert len({head.SeriesInstanceUID for head in heads}) == len({head.PatientID for head in heads}) == 2
    assert [head.PatientPosition for head in heads] == ["HFS", "FFS"]
    assert all(len(list(folder.iterdir())) > 30 for folder in folders)


def test_a_case_costs_about_a_second() -> None:
    start = time.process_time()
    make_phantom(5, 1, SETTINGS)
    assert time.process_time() - start < 3  # about 0.7 on an idle core


def test_simple_statistics_do_not_solve_the_task() -> None:
    """Forest on mean, standard deviation and three quantiles of the true lung, 5-fold, on phantoms of half resolution."""
    half = PhantomSettings(matrix=80, spacing_range_mm=(3.6, 4.4), slice_spacing_range_mm=(3.6, 5.0))
    labels = np.arange(120) % 2
    rows = []
    for seed, label in enumerate(labels):
        phantom = make_phantom(1000 + seed, int(label), half)
        lung = phantom.volume[phantom.lung]
        rows.append([lung.mean(), lung.std(), *np.quantile(lung, [0.25, 0.5, 0.75])])
    forest = RandomForestClassifier(300, min_samples_leaf=2, random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(forest, np.array(rows), labels, cv=folds, method="predict_proba")[:, 1]
    assert roc_auc_score(labels, scores) < 0.85
