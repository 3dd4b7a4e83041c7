"""Phantoms: determinism, exact background, findings that one modality shows alone, files and datalist."""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from common.data import load_datalist, load_or_make
from common.data.brain_phantoms import (
    Phantom,
    PhantomSettings,
    SequencesPhantom,
    make_cohort,
    make_phantom,
    make_sequences_cohort,
    make_sequences_phantom,
)
from common.data.brain_phantoms.canvas import Canvas, Noise, ellipse, shrink, tube
from common.data.brain_phantoms.colour import colour_scale, colourise, luminance
from common.data.brain_phantoms.traits import FINDINGS, draw_traits

SMALL = PhantomSettings(training=2, validation=1, test=1, slices=2, size=96)
VOLUMES = PhantomSettings(training=1, validation=1, test=1, modalities=("BraTS",), volume_shape=(32, 32, 8))
MODALITIES = ("CT", "PET", "SPECT")
BRAIN, SKULL, MRI_LESION, FINDING, SCALP = 1, 2, 3, 4, 5


def gray(phantom: Phantom) -> np.ndarray:
    """Values of the first modality, float (S, H, W) in 0..255."""
    return (phantom.image if phantom.image.ndim == 3 else luminance(phantom.image)).astype(float)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def first_seed(modality: str, kind: str) -> int:
    """A seed whose patient has this kind of finding."""
    for seed in range(50):
        chance = np.random.SeedSequence([seed, SMALL.version]).spawn(3)[0]
        if draw_traits(np.random.default_rng(chance), modality, 4).finding.kind == kind:
            return seed
    raise AssertionError(kind)


@pytest.fixture(scope="module")
def patients() -> dict[str, Phantom]:
    return {name: make_phantom(3, name, PhantomSettings()) for name in MODALITIES}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, SMALL, workers=2)
    return folder


@pytest.fixture(scope="module")
def volumes() -> SequencesPhantom:
    return make_sequences_phantom(2)


@pytest.mark.parametrize("modality", MODALITIES)
def test_one_seed_gives_one_patient(modality: str) -> None:
    first, again, other = (make_phantom(seed, modality, SMALL) for seed in (5, 5, 6))
    for part in ("image", "mri", "truth"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
    assert first.meta == again.meta
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize(("modality", "channels"), [("CT", ()), ("PET", (3,)), ("SPECT", (3,))])
def test_shapes_types_and_labels(patients: dict[str, Phantom], modality: str, channels: tuple[int, ...]) -> None:
    phantom = patients[modality]
    assert phantom.image.shape == (4, 256, 256, *channels)
    assert phantom.mri.shape == phantom.truth.shape == (4, 256, 256)
    assert phantom.image.dtype == phantom.mri.dtype == phantom.truth.dtype == np.uint8
    assert set(np.unique(phantom.truth)) == {0, BRAIN, SKULL, MRI_LESION, FINDING, SCALP}


@pytest.mark.parametrize("modality", MODALITIES)
def test_background_is_exactly_zero_and_nearly_only_there(patients: dict[str, Phantom], modality: str) -> None:
    phantom = patients[modality]
    outside = phantom.truth == 0
    assert 0.3 < outside.mean() < 0.8
    assert not phantom.image[outside].any() and not phantom.mri[outside].any()
    brain = phantom.truth == BRAIN
    assert (gray(phantom)[brain] > 0).mean() > 0.98 and (phantom.mri[brain] > 0).mean() > 0.98


def test_the_skull_is_the_brightest_in_ct_and_the_darkest_in_mri(patients: dict[str, Phantom]) -> None:
    phantom = patients["CT"]
    image, truth = gray(phantom), phantom.truth
    bone = np.stack([ndimage.binary_erosion(plane == SKULL, iterations=2) for plane in truth])
    assert np.median(image[bone]) == 255
    assert np.median(image[truth == BRAIN]) < 180
    assert np.quantile(phantom.mri[bone], 0.25) < 0.5 * np.median(phantom.mri[truth == BRAIN])


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_brain_is_enclosed_by_skull_and_the_skull_by_scalp(patients: dict[str, Phantom], modality: str) -> None:
    for plane in patients[modality].truth:
        inside = np.isin(plane, (BRAIN, MRI_LESION, FINDING))
        assert not (ndimage.binary_dilation(inside) & np.isin(plane, (0, SCALP))).any()
        assert not (ndimage.binary_dilation(inside | (plane == SKULL)) & (plane == 0)).any()
        assert ndimage.label(plane > 0)[1] == 1


@pytest.mark.parametrize("modality", ["PET", "SPECT"])
def test_uptake_is_high_in_cortex_and_low_in_ventricles_and_bone(patients: dict[str, Phantom], modality: str) -> None:
    phantom = patients[modality]
    image = gray(phantom)
    brain = image[phantom.truth == BRAIN]
    assert np.median(image[phantom.truth == SCALP]) < 0.3 * np.quantile(brain, 0.9)
    assert np.quantile(brain, 0.05) < 0.5 * np.quantile(brain, 0.9)


@pytest.mark.parametrize("modality", MODALITIES)
def test_each_lesion_changes_its_own_modality_only(modality: str) -> None:
    settings = dataclasses.replace(SMALL, size=128, slices=3)
    both = make_phantom(3, modality, settings)
    no_tumour = make_phantom(3, modality, settings, tumour=False)
    no_finding = make_phantom(3, modality, settings, finding=False)
    assert np.array_equal(both.image, no_tumour.image)
    assert np.array_equal(both.mri, no_finding.mri)
    tumour, found = both.truth == MRI_LESION, both.truth == FINDING
    assert (both.mri != no_tumour.mri)[tumour].mean() > 0.9
    assert (both.mri != no_tumour.mri)[~ndimage.binary_dilation(tumour, iterations=4)].mean() < 0.01
    assert (gray(both) != gray(no_finding))[found].mean() > 0.9
    assert MRI_LESION not in no_tumour.truth and FINDING not in no_finding.truth


@pytest.mark.parametrize(("modality", "kind"), [(m, kind) for m in MODALITIES for kind in FINDINGS[m]])
def test_findings_stand_out_from_noise_in_one_modality(modality: str, kind: str) -> None:
    """Contrast to the patient without lesions, over the noise of healthy deep brain: high in its own image, else 0."""
    settings = PhantomSettings(size=160)
    seed = first_seed(modality, kind)
    ill, healthy = make_phantom(seed, modality, settings), make_phantom(seed, modality, settings, False, False)
    found, tumour = ill.truth == FINDING, ill.truth == MRI_LESION
    assert found.sum() > 20 and tumour.sum() > 50
    calm = np.stack([ndimage.binary_erosion(plane == BRAIN, iterations=3) for plane in healthy.truth])

    def contrast(image: Callable[[Phantom], np.ndarray], mask: np.ndarray) -> float:
        high_pass = image(healthy) - ndimage.gaussian_filter(image(healthy), (0, 1.5, 1.5))
        noise = 1.4826 * np.median(np.abs(high_pass[calm])) + 0.5
        return abs(float((image(ill) - image(healthy))[mask].mean())) / noise

    def mri(phantom: Phantom) -> np.ndarray:
        return phantom.mri.astype(float)

    assert contrast(gray, found) > 5 and contrast(mri, found) == 0
    assert contrast(mri, tumour) > 3 and contrast(gray, tumour) < 0.5
    change = (gray(ill) - gray(healthy))[found].mean()
    assert change < -20 if kind == "cold" else change > 20


def test_tumour_and_finding_lie_in_different_hemispheres() -> None:
    for seed in range(30):
        traits = draw_traits(np.random.default_rng(seed), "CT", 4)
        assert traits.tumour.centre[0] * traits.finding.centre[0] < 0


@pytest.mark.parametrize("modality", ["PET", "SPECT"])
def test_luminance_rises_by_one_level_per_value_and_leads_back(modality: str) -> None:
    values = np.arange(256, dtype=np.uint8)
    back = luminance(colourise(values, modality))
    assert np.abs(back.astype(int) - values).max() <= 1
    assert (np.diff(colour_scale(modality) @ [0.299, 0.587, 0.114]) > 0).all()
    assert not colour_scale(modality)[0].any()
    assert np.ptp(colour_scale(modality).astype(int), axis=1).max() > 150, "colours, not gray"


def test_noise_has_unit_variance_and_the_same_values_on_a_canvas_and_at_points() -> None:
    noise = Noise(np.random.default_rng(0), (10, 6, 6))
    canvas = Canvas((64, 80), (2.0, 2.0))
    field = np.stack([noise.on(canvas, z) for z in range(0, 240, 20)])
    assert abs(field.std() - 1) < 0.1 and abs(field.mean()) < 0.1
    rows, columns = np.meshgrid(canvas.rows_mm, canvas.columns_mm, indexing="ij")
    assert np.allclose(noise.at(rows, columns, 20.0), field[1], atol=1e-4)


def test_shapes_have_their_area() -> None:
    canvas = Canvas((120, 120), (1.0, 1.0), roll_deg=20)
    assert abs(shrink(ellipse(canvas, (5, -8), (20, 30), 40) < 1).sum() - np.pi * 600) < 15
    straight = [(-20.0, 0.0, 5.0), (0.0, 0.0, 5.0), (20.0, 0.0, 5.0)]
    assert abs(shrink(tube(canvas, straight)).sum() - (400 + np.pi * 25)) < 8


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"training": -1}, "training=-1", id="negative"),
        pytest.param({"training": 0, "validation": 0, "test": 0}, "all 0", id="nobody"),
        pytest.param({"slices": 0}, "slices=0", id="no slice"),
        pytest.param({"size": 16}, "size=16", id="tiny"),
        pytest.param({"modalities": ("CT", "US")}, "modalities=", id="unknown"),
        pytest.param({"modalities": ()}, "modalities=", id="none"),
        pytest.param({"modalities": "CT"}, "modalities=", id="string"),
        pytest.param({"modalities": ("CT", "BraTS")}, "alone", id="mixed with volumes"),
        pytest.param({"bits": 12}, "bits=12", id="bits"),
        pytest.param({"volume_shape": (96, 96, 2)}, "volume_shape=", id="flat"),
        pytest.param({"volume_shape": (96, 96)}, "volume_shape=", id="plane"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=f"PhantomSettings: .*{match}"):
        PhantomSettings(**change)


def test_unknown_modalities_are_refused() -> None:
    with pytest.raises(ValueError, match="make_phantom: modality='US'"):
        make_phantom(0, "US", SMALL)
    with pytest.raises(ValueError, match="colour_scale: modality='CT'"):
        colour_scale("CT")


def test_every_setting_changes_the_cohort_folder(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path, settings: Any) -> None:
        made.append(folder)
        (folder / "a.png").touch()
        cases = [{"id": "a", "image": "a.png"}]
        (folder / "dataset.json").write_text(json.dumps({"labels": {}, "training": cases}))

    other = {
        "training": 25,
        "validation": 7,
        "test": 13,
        "slices": 5,
        "size": 128,
        "seed": 1,
        "version": 99,
        "bits": 16,
    }
    changes: list[dict[str, Any]] = [{}, *({key: value} for key, value in other.items())]
    changes += [{"modalities": ("CT",)}, {"volume_shape": (64, 64, 16)}]
    assert {key for change in changes for key in change} == {f.name for f in dataclasses.fields(PhantomSettings)}
    for change in changes:
        load_or_make(str(tmp_path), str(tmp_path), make, PhantomSettings(**change))
    assert len(made) == len({path.name.split(".")[0] for path in made}) == len(changes)


def test_cohort_files_agree_with_the_datalist(cohort: Path) -> None:
    datalist = load_datalist(cohort)
    assert {section: len(items) for section, items in datalist.items()} == {"training": 4, "validation": 2, "test": 2}
    assert json.loads((cohort / "dataset.json").read_text())["labels"] == {}
    items = [item for part in datalist.values() for item in part]
    assert [item["modality"] for item in items[::2]] == ["CT", "PET", "SPECT", "CT"]
    assert len({item["id"] for item in items}) == 8
    for item in items:
        image, mri, truth = (Image.open(cohort / item[key]) for key in ("image", "mri", "truth"))
        assert image.size == mri.size == truth.size == (96, 96)
        assert (image.mode, mri.mode, truth.mode) == ("L" if item["modality"] == "CT" else "RGB", "L", "L")
        assert item["label"] == -1
        stem = Path(item["image"]).stem
        assert stem == f"{item['id']}_{item['modality'].lower()}"
        assert Path(item["mri"]).name == f"{item['id']}_mri.png"
        background = np.array(truth) == 0
        assert not np.array(image)[background].any() and not np.array(mri)[background].any()


def test_no_patient_is_in_two_sections(cohort: Path) -> None:
    sections = defaultdict(set)
    for section, items in load_datalist(cohort).items():
        for item in items:
            sections[item["group"]].add(section)
    assert len(sections) == 4 and all(len(found) == 1 for found in sections.values())


def test_cohort_does_not_depend_on_the_number_of_workers(cohort: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path, SMALL, workers=1)
    assert digest(tmp_path) == digest(cohort)


def test_sixteen_bits_hold_suv_of_pet(tmp_path: Path) -> None:
    settings = PhantomSettings(training=1, validation=0, test=0, slices=1, size=128, modalities=("PET",), bits=16)
    make_cohort(tmp_path, settings, workers=1)
    item = load_datalist(tmp_path)["training"][0]
    suv = np.array(Image.open(item["image"])) / 1000
    truth = np.array(Image.open(tmp_path / item["truth"]))
    assert suv.max() > 5 and suv.max() < 13
    assert not suv[truth == 0].any()
    colours = make_phantom(7, "PET", dataclasses.replace(settings, bits=8))
    levels = make_phantom(7, "PET", settings).image / (9000 / 0.7) * 255
    assert np.abs(levels - gray(colours)).max() <= 1.6  # rounding of value, colour and luminance


def test_rim_is_seen_in_t1ce_alone_and_oedema_in_flair_and_t2(volumes: SequencesPhantom) -> None:
    images = volumes.volumes / np.array(volumes.meta["scale"])[:, None, None, None]
    truth = volumes.truth
    rim, oedema, brain = truth == 4, truth == 2, (truth == 0) & (images[0] > 0)
    assert min(rim.sum(), oedema.sum(), (truth == 1).sum()) > 50
    flair, t1, t1ce, t2 = images
    near = ndimage.binary_dilation(rim, iterations=4) & brain
    assert np.median(t1ce[rim]) > 1.25 * np.quantile(t1ce[brain], 0.9)
    assert abs(np.median(t1[rim]) - np.median(t1[near])) < 0.15
    for image in (flair, t2):
        assert np.median(image[oedema]) > 1.4 * np.median(image[brain])
        assert abs(np.median(image[rim]) / np.median(image[oedema]) - 1) < 0.1
    for image in (t1, t1ce):
        assert abs(np.median(image[oedema]) / np.quantile(image[brain], 0.75) - 1) < 0.15


def test_sequences_have_brats_shape_orientation_scale_and_background(volumes: SequencesPhantom) -> None:
    assert volumes.volumes.shape == (4, 96, 96, 24) and volumes.volumes.dtype == np.int16
    assert nibabel.aff2axcodes(volumes.affine) == ("L", "P", "S")
    assert not np.allclose(volumes.affine, np.eye(4))
    tops = volumes.volumes.max(axis=(1, 2, 3))
    assert (tops > 300).all() and (tops < 3100).all() and len(set(tops)) == 4
    outside = (volumes.volumes == 0).all(axis=0)
    assert outside[0, 0, 0] and 0.3 < outside.mean() < 0.8
    assert not volumes.truth[outside].any()


def test_sequences_cohort_has_the_names_of_brats(tmp_path: Path) -> None:
    make_cohort(tmp_path / "a", VOLUMES, workers=2)
    make_sequences_cohort(tmp_path / "b", VOLUMES, workers=1)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    datalist = load_datalist(tmp_path / "a")
    assert [len(datalist[section]) for section in ("training", "validation", "test")] == [1, 1, 1]
    for items in datalist.values():
        item = items[0]
        names = [Path(path).name for path in item["image"]]
        assert names == [f"{item['id']}_{key}.nii.gz" for key in ("flair", "t1", "t1ce", "t2")]
        assert "mri" not in item
        truth = nibabel.load(tmp_path / "a" / item["truth"])
        for path in item["image"]:
            image = nibabel.load(path)
            assert image.shape == truth.shape == (32, 32, 8)
            assert np.allclose(image.affine, truth.affine)
