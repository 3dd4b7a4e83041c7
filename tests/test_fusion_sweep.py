"""The sweep of loss weights: its figures on images whose answer is known, and the script on a tiny cohort."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fusion_sweep
from benchmarks.fusion_sweep import FIGURES, MODALITIES, PRESETS, SETTINGS, Options, Pair, crop, main, measure, parsed
from common.losses import SurfaceLoss

CONFIGS = fusion_sweep.ROOT / "bundles/brain_fusion_haf/configs"
NAMES = {"intensity": "intensity_weight", "gradient": "gradient_weight", "ssim": "ssim_weight"}
TINY = ["--training", "1", "--test", "2", "--slices", "1", "--steps", "2", "--patch", "48", "--batch", "1"]


def planted() -> Pair:
    """A brain of noise around 0.4 with a lesion of 0.7 in the MRI alone and a finding of 0.2 in the other source."""
    truth = np.zeros((80, 80), dtype=np.uint8)
    truth[4:76, 4:76] = 1
    sources = 0.4 + 0.02 * torch.rand(2, 80, 80, generator=torch.Generator().manual_seed(0))
    truth[20:32, 20:32], truth[50:60, 50:60] = 3, 4
    sources[1, 20:32, 20:32] += 0.3
    sources[0, 50:60, 50:60] -= 0.2
    return Pair(sources * torch.from_numpy(truth > 0), truth, "a")


@pytest.mark.parametrize(
    ("fuse", "mri", "functional"),
    [
        pytest.param(lambda sources: sources[:, 1:], 1, 0, id="the MRI alone"),
        pytest.param(lambda sources: sources[:, :1], 0, 1, id="the other source alone"),
        pytest.param(lambda sources: sources.mean(1, keepdim=True), 0.5, 0.5, id="average"),
    ],
)
def test_kept_is_the_share_of_the_contrast_of_each_lesion(fuse, mri: float, functional: float) -> None:
    row = measure(fuse, [planted()])[0]
    assert row["kept_mri"] == pytest.approx(mri, abs=0.03)
    assert row["edge_kept"] == pytest.approx(mri, abs=0.06)
    assert row["kept_functional"] == pytest.approx(functional, abs=0.03)


def test_a_lesion_that_its_source_hardly_shows_does_not_count() -> None:
    pair = planted()
    pair.sources[1, 20:32, 20:32] -= 0.29
    row = measure(lambda sources: sources[:, 1:], [pair])[0]
    assert math.isnan(row["kept_mri"]) and math.isnan(row["cnr_mri"]) and row["kept_functional"] < 0.1


def test_crops_hold_a_part_of_the_head() -> None:
    chance = np.random.default_rng(0)
    crops = [crop([planted()], 16, chance) for _ in range(50)]
    assert all(part.shape == (2, 16, 16) and part.any() for part in crops)


def test_settings_are_arguments_of_the_loss_and_presets_are_settings() -> None:
    for weights in SETTINGS.values():
        SurfaceLoss(**weights)
    assert set(PRESETS.values()) <= set(SETTINGS)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_files_hold_the_weights_of_the_sweep(preset: str) -> None:
    loss = SurfaceLoss(**SETTINGS[PRESETS[preset]])
    wanted = {NAMES[name]: weight for name, weight in loss.weights.items()}
    wanted["source_weights"] = list(loss.source_weights or ())
    assert json.loads((CONFIGS / f"{preset}.json").read_text()) == wanted


def test_a_tiny_sweep_writes_page_and_figure_and_goes_on_from_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = [*TINY, "--settings", "default", PRESETS["function"], "--output", str(tmp_path), "--write"]
    main(parsed([*choice, "--docs", str(tmp_path / "first")]))
    report = json.loads((tmp_path / "first/fusion_sweep.json").read_text())
    assert set(report) == set(MODALITIES) and set(report["CT"]["default"]) == {"cpu_s", *FIGURES}
    assert (tmp_path / "first/figures/fusion_sweep.png").stat().st_size > 10_000
    monkeypatch.delattr(fusion_sweep, "train")  # all that is left to do is to read
    main(parsed([*choice, "--docs", str(tmp_path / "second")]))
    assert (tmp_path / "second/fusion_sweep.md").read_text() == (tmp_path / "first/fusion_sweep.md").read_text()


@pytest.mark.parametrize("other", [{"steps": 2}, {"seed": 1}, {"patch": 48}])
def test_other_numbers_are_not_mistaken_for_those_on_file(other: dict[str, int], tmp_path: Path) -> None:
    files = [fusion_sweep.file_of("CT", "default", tmp_path, options) for options in (Options(), Options(**other))]
    assert files[0] != files[1]


def test_other_weights_under_the_same_name_are_not_mistaken_either(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fusion_sweep.file_of("CT", "default", Path(), Options())
    monkeypatch.setitem(SETTINGS, "default", {"ssim": 51.0})
    assert fusion_sweep.file_of("CT", "default", Path(), Options()) != before
