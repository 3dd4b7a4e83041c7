"""The fusion study on phantoms in the layout of AANLIB, with folds that another run has trained."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import fusion_study, fusion_study_figures, fusion_study_tables
from benchmarks.fusion_study import main, read_rows, shifted, thinned
from benchmarks.fusion_study_methods import NETWORKS, ROOT, fold_of, fusers, load_pair, make_network
from benchmarks.fusion_study_tables import render
from common.data import datalist_aanlib, load_datalist, write_datalist
from common.data.brain_phantoms import PhantomSettings, make_phantom
from common.metrics import FUSION_BASELINES, FUSION_METRICS

MODALITY, CASES, SLICES = "SPECT", 2, 2
CHOICE = ["--modalities", MODALITY, "--networks", "emfusion,attention", "--folds", f"{MODALITY}=2"]


@pytest.fixture(scope="module")
def aanlib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aanlib")
    for case in range(CASES):
        phantom = make_phantom(case, MODALITY, PhantomSettings(slices=SLICES, size=192))
        for name, images in ((MODALITY, phantom.image), ("MRI", phantom.mri)):
            place = folder / f"{MODALITY}-MRI" / name
            place.mkdir(parents=True, exist_ok=True)
            for k, image in enumerate(images):
                Image.fromarray(image).save(place / f"{case + 1}{10 + k:03d}.png")
    return folder


@pytest.fixture(scope="module")
def study(aanlib: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder after the training: two folds a network, of one case each, with random weights that differ by fold."""
    output = tmp_path_factory.mktemp("study")
    datalist_aanlib(aanlib, output / MODALITY / "data", MODALITY, validation=0, test=0)
    items = [item for part in load_datalist(output / MODALITY / "data").values() for item in part]
    for k, name in enumerate(("emfusion", "attention")):
        for fold in range(CASES):
            place = output / MODALITY / name / f"fold{fold}"
            sections = {"training": [], "test": []}
            for item in items:
                sections["test" if item["group"] == f"case{fold + 1}" else "training"].append(item)
            write_datalist(place, "fold", "", {}, sections)
            torch.manual_seed(10 * k + fold)
            network = NETWORKS[name]
            (place / "models").mkdir()
            made = make_network(network.bundle, network.module, network.name)
            torch.save(made.state_dict(), place / "models" / "model.pt")
            (place / "metrics.json").touch()  # as a finished fold has it
    return output


@pytest.fixture(scope="module")
def finished(aanlib: Path, study: Path) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setattr(fusion_study, "MOVED", 2)
    patch.setattr(fusion_study, "WORKERS", 1)
    patch.setattr(fusion_study_tables, "REPEATS", 1)
    patch.setattr(fusion_study_figures, "PATIENTS", 2)
    main([str(aanlib), str(study), *CHOICE, "--stage", "score"])
    main([str(aanlib), str(study), *CHOICE, "--stage", "write"])
    patch.undo()
    return study


def test_the_networks_of_two_bundles_live_side_by_side() -> None:
    made = [make_network(network.bundle, network.module, network.name) for network in NETWORKS.values()]
    assert [type(network).__name__ for network in made] == [network.name for network in NETWORKS.values()]
    assert len({type(network).__module__ for network in made}) == len(NETWORKS)
    assert "scripts" not in {type(network).__module__.split(".")[0] for network in made}


def test_an_unknown_bundle_is_named() -> None:
    with pytest.raises(ImportError, match=r"make_network: bundle is 'nothing', and .*__init__.py is missing"):
        make_network("nothing", "network", "Net")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("modality", ["CT", "PET", "SPECT"])
def test_every_training_config_exists(name: str, modality: str) -> None:
    folder = ROOT / "bundles" / NETWORKS[name].bundle / "configs"
    files = NETWORKS[name].config_files(modality)
    assert [file for file in files if not (folder / file).is_file()] == []


def test_a_pair_is_fused_by_the_network_that_never_saw_its_case(study: Path) -> None:
    folder = study / MODALITY
    image = torch.rand(1, 2, 16, 16)
    for case, fold in ((f"{MODALITY}-1010", 0), (f"{MODALITY}-2010", 1)):
        assert fold_of(folder / "emfusion")[case].name == f"fold{fold}"
        network = make_network("brain_fusion_emfusion", "network", "EMFusionNet")
        weights = folder / "emfusion" / f"fold{fold}" / "models" / "model.pt"
        network.load_state_dict(torch.load(weights, weights_only=True))
        torch.testing.assert_close(fusers(folder, ["emfusion"], case)["emfusion"](image), network(image))


def test_no_folds_name_the_stage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no finished fold; run --stage train first"):
        fold_of(tmp_path)


def test_a_fold_that_is_not_finished_is_named(study: Path) -> None:
    with pytest.raises(ValueError, match="fusers: case is 'SPECT-3', which no finished fold of .*emfusion holds out"):
        fusers(study / MODALITY, ["emfusion"], "SPECT-3")


def test_thinning_is_even_within_each_case_and_keeps_every_case() -> None:
    items = [{"group": group, "slice": k} for group, n in (("a", 10), ("b", 2)) for k in reversed(range(n))]
    assert [(item["group"], item["slice"]) for item in thinned(items, 4)] == [("a", 1), ("a", 5), ("a", 9), ("b", 1)]
    assert len(thinned(items, 1)) == len(items)


@pytest.mark.parametrize("direction", range(4))
def test_a_shift_moves_the_second_source_alone_and_zeros_come_in(direction: int) -> None:
    image = torch.ones(2, 6, 6)
    image[1, 3, 2] = 5
    moved = shifted(image, 2, direction)
    assert torch.equal(moved[0], image[0])
    rows, columns = fusion_study.DIRECTIONS[direction]
    assert moved[1, 3 + 2 * rows, 2 + 2 * columns] == 5
    assert (moved[1] == 0).sum() == 2 * 6
    assert torch.equal(shifted(image, 0, direction), image)


def test_scores_are_those_of_the_metrics_on_the_luma(finished: Path) -> None:
    rows = {(row["id"], row["method"]): row for row in read_rows(finished / MODALITY / "scores.csv")}
    assert len(rows) == CASES * SLICES * 5
    item = next(item for part in load_datalist(finished / MODALITY / "data").values() for item in part)
    case = load_pair(item)
    levels = (255 * case["image"][None]).round()
    background = (case["image"] == 0).all(0)
    fused = case["image"].amax(0).masked_fill(background, 0)
    fused = (255 * fused / fused.max()).round()
    values = rows[item["id"], "maximum"]["values"]
    assert set(FUSION_METRICS) < set(values)
    assert values["qabf"] == pytest.approx(float(FUSION_METRICS["qabf"](fused[None, None], levels)), rel=1e-5)
    assert np.isfinite(values["chroma_error"])


def test_shifted_images_are_scored_against_both_kinds_of_sources(finished: Path) -> None:
    rows = {(row["id"], row["method"]): row["values"] for row in read_rows(finished / MODALITY / "shifted.csv")}
    assert len(rows) == CASES * 5 * 4
    scores = {(row["id"], row["method"]): row["values"] for row in read_rows(finished / MODALITY / "scores.csv")}
    for (case, method), values in rows.items():
        name, pixels, _ = method.split(" ")
        if pixels == "0":
            assert values["vif"] == values["vif_unshifted"] == scores[case, name]["vif"]
        else:
            assert values["vif"] != values["vif_unshifted"]
            assert values["vif_unshifted"] < scores[case, name]["vif"]


def test_a_second_run_scores_nothing_anew(finished: Path, aanlib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (finished / MODALITY / "scores.csv").read_bytes()
    monkeypatch.setattr(fusion_study, "MOVED", 2)
    monkeypatch.setattr(fusion_study, "score_pair", lambda *_, **__: pytest.fail("scored again"))
    main([str(aanlib), str(finished), *CHOICE, "--stage", "score"])
    assert (finished / MODALITY / "scores.csv").read_bytes() == before


def test_missing_scores_are_named(finished: Path, aanlib: Path) -> None:
    arguments = [str(aanlib), str(finished), *CHOICE, "--stage", "write"]
    arguments[arguments.index("emfusion,attention")] = "emfusion,haf"
    with pytest.raises(ValueError, match="scores.csv lacks pairs of haf; run --stage score first"):
        main(arguments)


def test_the_page_is_rendered_from_the_figures_alone(finished: Path) -> None:
    study = json.loads((finished / "fusion_study.json").read_text())
    page = (finished / "fusion_study.md").read_text()
    assert page == render(study)
    part = study["modalities"][MODALITY]
    assert part["cases"] == CASES and part["pairs"] == CASES * SLICES
    assert "2 folds of whole cases, the same for all networks" in part["protocol"]
    rows = [row for row in read_rows(finished / MODALITY / "scores.csv") if row["method"] == "attention"]
    mean = np.mean([row["values"]["qabf"] for row in rows])
    assert part["figures"]["attention"]["qabf"]["value"] == pytest.approx(mean, rel=1e-4)
    assert f"| attention | {mean:.3f} [" in page
    assert set(part["figures"]) == {"emfusion", "attention", *FUSION_BASELINES}
    for metric in FUSION_METRICS:
        assert metric in part["figures"]["maximum"]
    emfusion = np.mean([row["values"]["qabf"] for row in read_rows(finished / MODALITY / "scores.csv")
                        if row["method"] == "emfusion"])  # fmt: skip
    difference = part["differences"]["attention"]["emfusion"]["qabf"]["difference"]
    assert difference == pytest.approx(mean - emfusion, rel=1e-3, abs=1e-5)
    assert set(part["differences"]["emfusion"]) == {"maximum"}
    assert study["networks"]["emfusion"]["parameters"] == 148545
    assert study["networks"]["emfusion"]["training"][MODALITY]["start"] == "phantoms_edges.pt"
    assert study["networks"]["attention"]["training"][MODALITY] == {"epochs": 8, "start": None}
    assert set(study["cpu_seconds"]) == set(part["figures"])


def test_parameters_used_in_inference_stand_in_brackets(finished: Path) -> None:
    study = json.loads((finished / "fusion_study.json").read_text())
    study["networks"]["attention"] |= {"parameters": 67091, "parameters_used": 28705}
    assert "| 67,091 (28,705) |" in render(study)


def test_the_picture_is_a_slide(finished: Path) -> None:
    with Image.open(finished / "figures/fusion_study.png") as picture:
        assert picture.width == 1600
        assert len(np.unique(np.asarray(picture.convert("L")))) > 200


def test_an_unknown_network_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.fusion_study", "a", "b", "--networks", "emfusion,unet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search("network 'unet' is unknown; choose of emfusion,", done.stderr)
