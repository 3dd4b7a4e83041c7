"""Figures of the fusion study as one dictionary, and its tables rendered from nothing but that."""

import csv
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from common.data import atomic_path, fusion_figures, fusion_protocol, write_fusion_results
from common.data.fusion_results import BETTER, MODEL
from common.metrics import FUSION_BASELINES

from .fusion_study_methods import NETWORKS, ROOT, TITLES, Network, fusers, make_network
from .timing import cpu_ms

Rows = list[dict[str, Any]]
HEADLINE = ("qabf", "vif", "scd", "ssim")
ROBUST_METRICS = ("qabf", "vif", "ssim")
SHIFTS = (0, 1, 2, 3)
UNSHIFTED = "_unshifted"  # ending of a metric of an image fused from shifted sources, scored against those in place
REFERENCES = ("emfusion", "maximum")
NAMES = {"qabf": "Qabf", "psnr": "PSNR", "chroma_error": "chroma error", "ssim_cddfuse": "SSIM, CDDFuse's form"}
NUM_BOOTSTRAP = 1000
SIZE, REPEATS = 256, 15


def collect(
    output: Path,
    scored: Mapping[str, tuple[Rows, Rows]],
    networks: Sequence[str],
    folds: Mapping[str, int],
    every: int,
    max_epochs: int | None = None,
) -> dict[str, Any]:
    """All numbers of the study.

    Args:
        output: folder with a folder for each modality.
        scored: rows of ``scores.csv`` and ``shifted.csv`` by modality.
        networks: names in :data:`NETWORKS`.
        folds: number of folds by modality.
        every: which share of the pairs was scored.
        max_epochs: epochs of every training; None is those of the configs.

    Returns:
        ``timing`` (how it was done), ``networks`` (configs and parameters), ``cpu_seconds`` of each method, and for each modality
        ``protocol``, ``pairs``, ``cases``, ``figures``, ``differences`` and ``robustness``.
    """
    first = next(iter(scored))
    modalities = {
        name: _modality(output / name, rows, shifted, networks, _head(name, folds[name], every, max_epochs))
        for name, (rows, shifted) in scored.items()
    }
    return {
        "timing": f"CPU time of one pair of {SIZE} x {SIZE}: median of {REPEATS} in turns, {platform.machine()}, "
        f"torch {torch.__version__}, one thread",
        "networks": {name: _network(name, list(scored), max_epochs) for name in networks},
        "cpu_seconds": _cpu_seconds(output / first, networks),
        "modalities": modalities,
    }


def _head(name: str, folds: int, every: int, max_epochs: int | None) -> str:
    share = "all pairs" if every == 1 else f"one pair in {every} of each case"
    trial = "" if max_epochs is None else f"; a trial with {max_epochs} epochs of each training"
    return (
        f"{name}-MRI of AANLIB: {folds} folds of whole cases, the same for all networks, seed 0; each pair is fused by"
        f" networks that never saw its case; last epoch, no validation part; {share}{trial}"
    )


def _modality(folder: Path, rows: Rows, shifted: Rows, networks: Sequence[str], head: str) -> dict[str, Any]:
    protocol = fusion_protocol(head, "minmax", NUM_BOOTSTRAP)
    figures, differences = {}, {}
    for network in networks:
        place = folder / network / "compared"
        place.mkdir(exist_ok=True)
        found = write_fusion_results(place, _with_model(rows, network), protocol, NUM_BOOTSTRAP)
        figures[network] = found[MODEL]
        differences[network] = _differences(place / "comparison.csv", network)
    return {
        "protocol": protocol,
        "pairs": len({row["id"] for row in rows}),
        "cases": len({row["group"] for row in rows}),
        "figures": figures | {name: found[name] for name in FUSION_BASELINES},
        "differences": differences,
        "robustness": _robustness(shifted, [*networks, *FUSION_BASELINES]),
    }


def _with_model(rows: Rows, method: str) -> Rows:
    """The same rows with one method in the place of the model."""
    return [row | {"method": MODEL} if row["method"] == method else row for row in rows]


def _differences(path: Path, network: str) -> dict[str, dict[str, dict[str, float]]]:
    """Differences of a network to each reference by metric, from the ``comparison.csv`` of the network."""
    with open(path, newline="") as handle:
        lines = list(csv.DictReader(handle))
    numbers = ("difference", "low", "high", "p")
    return {
        reference: {
            line["metric"]: {name: float(line[name]) for name in numbers}
            for line in lines
            if line["baseline"] == reference
        }
        for reference in REFERENCES
        if reference != network and any(line["baseline"] == reference for line in lines)
    }


def _robustness(shifted: Rows, methods: Sequence[str]) -> dict[str, Any]:
    """Means by method, pixels and metric, of the pairs that are also fused with a shifted source."""
    found = fusion_figures(_with_model(shifted, f"{methods[0]} {SHIFTS[0]} px"), NUM_BOOTSTRAP)
    found[f"{methods[0]} {SHIFTS[0]} px"] = found.pop(MODEL)
    return {
        "pairs": len({row["id"] for row in shifted}),
        "methods": {name: {str(pixels): found[f"{name} {pixels} px"] for pixels in SHIFTS} for name in methods},
    }


def _network(name: str, modalities: Sequence[str], max_epochs: int | None) -> dict[str, Any]:
    network = NETWORKS[name]
    made = make_network(network.bundle, network.module, network.name)
    total = sum(p.numel() for p in made.parameters())
    made(torch.zeros(1, 2, 32, 32)).sum().backward()
    return {
        "class": network.name,
        "bundle": network.bundle,
        "configs": {modality: network.config_files(modality) for modality in modalities},
        "training": {modality: _training(network, modality, max_epochs) for modality in modalities},
        "parameters": total,
        "parameters_used": sum(p.numel() for p in made.parameters() if p.grad is not None),
    }


def _training(network: Network, modality: str, max_epochs: int | None) -> dict[str, Any]:
    """Epochs, and the weights file that the training starts from (None: random), as its configs say."""
    ids: dict[str, Any] = {}
    for file in ("train.json", *network.config_files(modality)):
        ids |= json.loads((ROOT / "bundles" / network.bundle / "configs" / file).read_text())
    start = re.search(r"[\w-]+\.pt", ids["pretrained_path"] or "")
    return {
        "epochs": max_epochs or network.max_epochs.get(modality) or ids["max_epochs"],
        "start": start[0] if start else None,
    }


@torch.no_grad()
def _cpu_seconds(folder: Path, networks: Sequence[str]) -> dict[str, float]:
    image = torch.rand(1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    methods = fusers(folder, [*networks, *FUSION_BASELINES])
    found = cpu_ms({name: lambda fuse=fuse: fuse(image) for name, fuse in methods.items()}, REPEATS)
    return {name: ms / 1000 for name, ms in found.items()}


def write_study(study: Mapping[str, Any], folder: Path) -> None:
    """Write ``fusion_study.json`` and ``fusion_study.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "fusion_study.json") as temporary:
        Path(temporary).write_text(json.dumps(_rounded(study), indent=1) + "\n")
    text = render(json.loads((folder / "fusion_study.json").read_text()))
    with atomic_path(folder / "fusion_study.md") as temporary:
        Path(temporary).write_text(text)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def render(study: Mapping[str, Any]) -> str:
    """The page of a study."""
    lines = ["# Fusion networks on the same unseen pairs", ""]
    lines += ["`make fusion-study AANLIB=path` makes this page, its picture and [all figures](fusion_study.json)."]
    lines += [
        "Brackets: 95 % interval over cases. Up is better unless marked; EN, SF, SD, AG and EI know no sources, and"
    ]
    lines += ["noise raises them too. Each network is trained as its bundle's configs say, with its own loss.", ""]
    lines += [*_networks(study), ""]
    lines += ["![Fused phantoms](figures/fusion_study.png)", "", study["picture"]["caption"]]
    for name, part in study["modalities"].items():
        lines += ["", f"## {name}-MRI: {part['pairs']} pairs of {part['cases']} cases", "", f"{part['protocol']}."]
        lines += ["", *_headline(part), "", *_rest(part)]
        lines += ["", "Difference of each network to two others, paired by case:", "", *_difference_table(part)]
        lines += ["", *_robustness_text(part["robustness"])]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _networks(study: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, seconds in study["cpu_seconds"].items():
        network = study["networks"].get(name)
        cells = ["", "", "", "0"]
        if network:
            total, used = network["parameters"], network["parameters_used"]
            configs = "; ".join(
                dict.fromkeys(", ".join(f"`{file}`" for file in c) for c in network["configs"].values())
            )
            trained = "; ".join(
                f"{modality} {part['epochs']}, {part['start'] or 'random'}"
                for modality, part in network["training"].items()
            )
            cells = [
                f"`{network['bundle']}`",
                configs,
                trained,
                f"{total:,}" + ("" if used == total else f" ({used:,})"),
            ]
        rows.append([TITLES[name], *cells, f"{1000 * seconds:.0f}"])
    head = [
        "method",
        "bundle",
        "configs after `train.json`",
        "epochs, start",
        "parameters (used in inference)",
        "CPU ms a pair",
    ]
    return [*_table(head, rows), "", f"{study['timing']}."]


def _interval(cell: Mapping[str, float]) -> str:
    return f"{_number(cell['value'])} [{_number(cell['low'])}, {_number(cell['high'])}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _name(metric: str) -> str:
    return NAMES.get(metric, metric.upper().replace("_", "-")) + ("" if BETTER.get(metric, True) else ", down")


def _headline(part: Mapping[str, Any]) -> list[str]:
    rows = [[TITLES[name], *(_interval(cells[m]) for m in HEADLINE)] for name, cells in part["figures"].items()]
    return _table(["method", *map(_name, HEADLINE)], rows)


def _rest(part: Mapping[str, Any]) -> list[str]:
    figures = part["figures"]
    rest = [metric for metric in next(iter(figures.values())) if metric not in HEADLINE]
    rows = [[_name(metric), *(_interval(cells[metric]) for cells in figures.values())] for metric in rest]
    return _table(["metric", *(TITLES[name] for name in figures)], rows)


def _difference_table(part: Mapping[str, Any]) -> list[str]:
    rows = []
    for network, references in part["differences"].items():
        for reference, metrics in references.items():
            cells = [metrics[metric] for metric in HEADLINE]
            shown = [f"{c['difference']:+.3f} [{c['low']:+.3f}, {c['high']:+.3f}], p {c['p']:.2g}" for c in cells]
            rows.append([f"{TITLES[network]} - {TITLES[reference]}", *shown])
    return _table(["difference", *map(_name, HEADLINE)], rows)


def _robustness_text(robustness: Mapping[str, Any]) -> list[str]:
    """Two tables: against the sources as the method got them, and against those in place."""
    lines = []
    for ending, text in (
        ("", "scored against the sources as the method got them, the second one shifted"),
        (UNSHIFTED, "the same images scored against the sources in place"),
    ):
        head = ["method"]
        for metric in ROBUST_METRICS:
            head += [f"{_name(metric)}, 0 px", *(f"{pixels} px" for pixels in SHIFTS[1:])]
        rows = []
        for name, by_pixels in robustness["methods"].items():
            cells = [TITLES[name]]
            for metric in ROBUST_METRICS:
                values = [by_pixels[str(pixels)][metric + ending]["value"] for pixels in SHIFTS]
                cells += [_number(values[0]), *(f"{100 * value / values[0]:.0f} %" for value in values[1:])]
            rows.append(cells)
        start = f"MRI shifted by 0 to 3 pixels in one of four directions, {robustness['pairs']} pairs"
        lines += [f"{start}; {text}; shares of 0 px:", "", *_table(head, rows), ""]
    return lines[:-1]
