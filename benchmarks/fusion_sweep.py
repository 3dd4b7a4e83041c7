"""Loss weights against tumour contrast: what `SurfaceLoss` makes visible, on phantoms with planted findings.

Run from the repository root: ``python benchmarks/fusion_sweep.py [--write]``. `HAFusionNet` is trained from one seed for
each setting and modality and scored on unseen patients. Each result is a file in ``--output``, so that an interrupted
sweep goes on where it stopped.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from monai.optimizers import WarmupCosineSchedule
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor, nn
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.fusion_study_methods import make_network  # noqa: E402
from common.data.atomic import atomic_path  # noqa: E402
from common.data.brain_phantoms import PhantomSettings, make_cohort  # noqa: E402
from common.losses import SurfaceLoss  # noqa: E402
from common.metrics import FUSION_BASELINES, bootstrap_intervals, fusion_metrics  # noqa: E402
from common.metrics.fusion_filters import sobel  # noqa: E402
from common.metrics.lesion_contrast import PAIR_LESIONS, lesion_regions, region_contrast  # noqa: E402
from common.transforms import fused_output, rgb_to_ycbcr  # noqa: E402

MODALITIES = ("CT", "PET")
BRAIN, MRI_LESION = 1, 3  # of the truth
SHOWN_BY = {"finding": 0, "mri_lesion": 1}  # source that shows what was planted
SMALLEST = 20  # pixels of a lesion that counts
VISIBLE = 0.04  # contrast in its own source, of the range, from which on a share of it means something
FUNCTION, STRUCTURE = [3.0, 1.0], [1.0, 3.0]  # source weights: CT or PET, MRI
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "no intensity": {"intensity": 0.0},
    "intensity x4": {"intensity": 80.0},
    "no gradient": {"gradient": 0.0},
    "gradient x4": {"gradient": 400.0},
    "no SSIM": {"ssim": 0.0},
    "SSIM x4": {"ssim": 200.0},
    "CT/PET x3": {"source_weights": FUNCTION},
    "MRI x3": {"source_weights": STRUCTURE},
    "CT/PET x3, SSIM x2": {"ssim": 100.0, "source_weights": FUNCTION},
    "MRI x3, SSIM x2": {"ssim": 100.0, "source_weights": STRUCTURE},
}
PRESETS = {"structure": "MRI x3", "function": "CT/PET x3"}
BASELINES = ("average", "maximum")
FIGURES = {
    "kept_mri": "MRI lesion kept",
    "kept_functional": "CT/PET finding kept",
    "edge_kept": "lesion border kept",
    "cnr_mri": "CNR MRI lesion",
    "cnr_functional": "CNR finding",
    "qabf": "Qabf",
    "vif": "VIF",
    "ssim": "SSIM",
}
COLOURS = {"baseline": "#777777", "setting": "#0072B2", "structure": "#009E73", "function": "#D55E00"}


@dataclass(frozen=True)
class Options:
    """What a training run depends on besides the setting; part of the name of its file."""

    training: int = 24
    test: int = 12
    slices: int = 4
    steps: int = 300
    patch: int = 64
    batch: int = 8
    learning_rate: float = 4e-3
    seed: int = 0


class Pair(NamedTuple):
    """Sources (2, H, W) in [0, 1], CT or PET first; truth (H, W); patient."""

    sources: Tensor
    truth: np.ndarray
    patient: str


def read(cohort: Path, section: str) -> list[Pair]:
    """Pairs of a section."""
    pairs = []
    for case in json.loads((cohort / "dataset.json").read_text())[section]:
        sources = torch.cat([_luma(cohort / case[key]) for key in ("image", "mri")])
        pairs.append(Pair(sources, np.array(Image.open(cohort / case["truth"])), case["group"]))
    return pairs


def _luma(path: Path) -> Tensor:
    """(1, H, W) in [0, 1] of a gray or colour file."""
    pixels = torch.from_numpy(np.array(Image.open(path), dtype=np.float32) / 255)
    return pixels[None] if pixels.ndim == 2 else rgb_to_ycbcr(pixels.permute(2, 0, 1))[0]


def train(loss: SurfaceLoss, pairs: list[Pair], options: Options) -> tuple[nn.Module, float]:
    """Network after the steps, and CPU seconds; the crops are the same for every loss."""
    torch.manual_seed(options.seed)
    chance = np.random.default_rng(options.seed)
    network = make_network("brain_fusion_haf", "ha_fusion_network", "HAFusionNet").train()
    optimizer = torch.optim.Adam(network.parameters(), options.learning_rate)
    schedule = WarmupCosineSchedule(optimizer, round(0.1 * options.steps), options.steps, warmup_multiplier=0.1)
    start = time.process_time()
    for _ in range(options.steps):
        sources = torch.stack([crop(pairs, options.patch, chance) for _ in range(options.batch)])
        optimizer.zero_grad()
        loss(network(sources), sources).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval(), time.process_time() - start


def crop(pairs: list[Pair], side: int, chance: np.random.Generator) -> Tensor:
    """A random square (2, side, side) around a random pixel of a head."""
    sources = pairs[chance.integers(len(pairs))].sources
    inside = sources.amax(0).nonzero()
    centre = inside[chance.integers(len(inside))]
    y, x = ((centre - side // 2).clamp(min=0).minimum(torch.tensor(sources.shape[1:]) - side)).tolist()
    return sources[:, y : y + side, x : x + side]


@torch.no_grad()
def measure(fuse: Callable[[Tensor], Tensor], pairs: list[Pair]) -> list[dict[str, float]]:
    """Figures of each pair, output range clip; NaN where its slice has no such lesion."""
    rows = []
    for pair in pairs:
        sources = pair.sources[None]
        fused = fused_output(fuse(sources), sources, "clip")
        row = contrasts(fused[0, 0], pair) | {"edge_kept": edge_kept(fused, pair)}
        quality = fusion_metrics(255 * fused, 255 * sources, ("qabf", "vif", "ssim"))
        rows.append(row | {name: float(value) for name, value in quality.items()})
    return rows


def contrasts(fused: Tensor, pair: Pair) -> dict[str, float]:
    """Share of the contrast to the brain around it that is kept, and contrast-to-noise, of both lesions."""
    foreground = pair.sources.amax(0) > 0
    regions = lesion_regions(torch.from_numpy(pair.truth), foreground, PAIR_LESIONS, normal=(BRAIN,))
    row = {}
    for name, source in SHOWN_BY.items():
        kind = "mri" if source else "functional"
        own, shown = (region_contrast(image, regions[name]) for image in (fused, pair.sources[source]))
        there = regions[name].lesion.sum() > SMALLEST and abs(shown.contrast) > VISIBLE
        row[f"kept_{kind}"] = own.contrast / shown.contrast if there else np.nan
        row[f"cnr_{kind}"] = own.cnr if there else np.nan
    return row


def edge_kept(fused: Tensor, pair: Pair) -> float:
    """Slope of the fused gradients on those of the MRI at the border of its lesion; 1 is all of the edge."""
    lesion = pair.truth == MRI_LESION
    if lesion.sum() <= SMALLEST:
        return float("nan")
    border = torch.from_numpy(binary_dilation(lesion) & ~binary_erosion(lesion))
    own, shown = (
        torch.cat(sobel(image, "replicate"))[:, 0, border] for image in (fused, pair.sources[None, 1:])
    )  # (2, pixels)
    return float((own * shown).sum() / shown.square().sum())


def row_of(modality: str, setting: str, output: Path, options: Options) -> dict[str, Any]:
    """Result of a setting or baseline, from its file when it was measured with the same numbers before."""
    weights, file = SETTINGS.get(setting, {}), file_of(modality, setting, output, options)
    if not file.exists():
        cohort = output / f"phantoms_{modality}_{options.training}_{options.test}_{options.slices}"
        prepare(cohort, modality, options)
        fuse, seconds = FUSION_BASELINES.get(setting), 0.0
        if fuse is None:
            fuse, seconds = train(SurfaceLoss(**weights), read(cohort, "training"), options)
        test = read(cohort, "test")
        result = {"cpu_s": round(seconds, 1), **intervals(measure(fuse, test), [pair.patient for pair in test])}
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(result, indent=4) + "\n")
    return json.loads(file.read_text())


def file_of(modality: str, setting: str, output: Path, options: Options) -> Path:
    """Name of a result, with a digest of all numbers that it depends on."""
    identity = {"modality": modality, "weights": SETTINGS.get(setting, {}), **asdict(options)}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return output / f"{modality}_{setting.replace(' ', '_').replace('/', '_')}_{digest}.json"


def prepare(cohort: Path, modality: str, options: Options) -> None:
    if not (cohort / "dataset.json").exists():
        counts = {"training": options.training, "validation": 0, "test": options.test, "slices": options.slices}
        make_cohort(cohort, PhantomSettings(modalities=(modality,), seed=options.seed, **counts), workers=1)


def intervals(rows: list[dict[str, float]], patients: Sequence[str]) -> dict[str, dict[str, float]]:
    """Median over slices with 95 % interval over patients."""
    table = np.array([[row[name] for name in FIGURES] for row in rows])
    found = bootstrap_intervals(partial(_medians, table), patients)
    return {name: {key: round(value, 4) for key, value in figure.items()} for name, figure in found.items()}


def _medians(table: np.ndarray, picked: np.ndarray) -> dict[str, float]:
    columns = [column[~np.isnan(column)] for column in table[picked].T]
    return {
        name: float(np.median(column)) if len(column) else np.nan for name, column in zip(FIGURES, columns, strict=True)
    }


def sweep(output: Path, options: Options, settings: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Result of each modality and setting, baselines first."""
    jobs = [(modality, setting) for modality in MODALITIES for setting in (*BASELINES, *settings)]
    report: dict[str, dict[str, dict[str, Any]]] = {modality: {} for modality in MODALITIES}
    for modality, setting in tqdm(jobs, desc="settings"):
        report[modality][setting] = row_of(modality, setting, output, options)
    return report


def markdown(report: dict[str, dict[str, dict[str, Any]]], options: Options) -> str:
    """The page."""
    lines = ["# Loss weights and tumour contrast", "", _protocol(options)]
    for modality, rows in report.items():
        lines += ["", f"## {modality}-MRI", "", "| setting | " + " | ".join(FIGURES.values()) + " | CPU s |"]
        lines.append("|---" * (len(FIGURES) + 2) + "|")
        for setting, row in rows.items():
            cells = [_cell(row[name]) for name in FIGURES]
            lines.append(f"| {_title(setting)} | " + " | ".join(cells) + f" | {row['cpu_s']:.0f} |")
    return "\n".join([*lines, "", "![MRI lesion against CT or PET finding](figures/fusion_sweep.png)", ""])


def _cell(figure: dict[str, float]) -> str:
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _title(setting: str) -> str:
    names = [name for name, chosen in PRESETS.items() if chosen == setting]
    return f"**{setting}** (`{names[0]}`)" if names else setting


def _protocol(options: Options) -> str:
    weights = SurfaceLoss().weights
    return (
        f"`python benchmarks/fusion_sweep.py --write`: `HAFusionNet` trained with `SurfaceLoss` on phantoms,"
        f" {options.training} patients of {options.slices} slices, {options.steps} Adam steps of {options.batch} crops"
        f" of {options.patch} px, seed {options.seed}, scored on {options.test} other patients. Default weights:"
        f" intensity {weights['intensity']:g}, gradient {weights['gradient']:g}, SSIM {weights['ssim']:g}, sources"
        " 1 : 1; x3 is 3 : 1 in the SSIM term. Median over slices with a lesion of more than"
        f" {SMALLEST} pixels and {VISIBLE:.0%} of the range of contrast in its source, 95 % bootstrap over patients; output range clip. Kept: contrast of what was planted"
        " to the brain around it (1 to 6 px away), fused over the source that alone shows it; 1 is all of it. Lesion"
        " border kept: slope of the fused gradients on those of the MRI at the lesion's border. CNR: contrast over the"
        " standard deviation of that brain. SSIM and VIF are sums over both sources. One seed: differences within the"
        " intervals are chance."
    )


def draw(report: dict[str, dict[str, dict[str, Any]]]) -> Figure:
    """One panel a modality: what is kept of the MRI lesion and of the CT or PET finding; names in a column beside it."""
    figure = Figure(figsize=(17, 7), layout="constrained")
    for axis, (modality, rows) in zip(figure.subplots(1, len(report)), report.items(), strict=True):
        axis.axvline(1, color="#cccccc", zorder=0)
        axis.axhline(1, color="#cccccc", zorder=0)
        places = {name: (row["kept_mri"], row["kept_functional"]) for name, row in rows.items()}
        heights = np.linspace(0.03, 0.97, len(rows))
        for height, setting in zip(heights, sorted(places, key=lambda name: places[name][1]["value"]), strict=True):
            _dot(axis, setting, *places[setting], height)
        axis.set_title(f"{modality}-MRI", fontsize=17)
        axis.set_xlabel("contrast kept: lesion in the MRI", fontsize=14)
        axis.set_ylabel(f"contrast kept: finding in the {modality}", fontsize=14)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _dot(axis: Axes, setting: str, x: dict[str, float], y: dict[str, float], height: float) -> None:
    preset = next((name for name, chosen in PRESETS.items() if chosen == setting), None)
    colour = COLOURS[preset or ("baseline" if setting in BASELINES else "setting")]
    reach = [[[p["value"] - p["low"]], [p["high"] - p["value"]]] for p in (x, y)]
    place = (x["value"], y["value"])
    axis.errorbar(*place, xerr=reach[0], yerr=reach[1], color=colour, alpha=0.35, linewidth=1.2)
    marker, size = ("*", 320) if preset else ("s" if setting in BASELINES else "o", 70)
    axis.scatter(*place, s=size, marker=marker, color=colour, zorder=3)
    axis.annotate(
        f"{preset}: {setting}" if preset else setting,
        place,
        (1.04, height),
        textcoords="axes fraction",
        va="center",
        color=colour,
        fontsize=13,
        fontweight="bold" if preset else "normal",
        arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.4, "linewidth": 0.8, "relpos": (0, 0.5)},
        annotation_clip=False,
    )


def main(arguments: argparse.Namespace) -> None:
    """Sweep, print the page, and write it where asked."""
    torch.set_num_threads(1)
    options = Options(**{name: getattr(arguments, name) for name in asdict(Options())})
    report = sweep(arguments.output, options, arguments.settings)
    text = markdown(report, options)
    print(text)
    if arguments.write:
        docs: Path = arguments.docs
        for path, content in {
            "fusion_sweep.md": text,
            "fusion_sweep.json": json.dumps(report, indent=4) + "\n",
        }.items():
            with atomic_path(docs / path) as temporary:
                temporary.write_text(content)
        with atomic_path(docs / "figures/fusion_sweep.png") as temporary:
            draw(report).savefig(temporary, dpi=120)


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in asdict(Options()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--output", type=Path, default=Path(tempfile.gettempdir()) / "fusion_sweep")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    os.chdir(ROOT)
    main(parsed())
