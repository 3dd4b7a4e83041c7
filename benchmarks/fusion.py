"""Speed of the fusion networks: side by side, with ways to run the light one faster, by image size, and live.

Run from the repository root: ``python benchmarks/fusion.py [--repeats 20] [--write docs/fusion_speed]``. The weights
are random: the time of a convolution does not depend on them.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from timing import cpu_ms, wall_ms
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.fusion_study_methods import make_network as load_network  # noqa: E402
from common.data.brain_phantoms import PhantomSettings, make_cohort  # noqa: E402

NETWORKS = {
    "EMFusionNet": ("brain_fusion_emfusion", "network"),
    "AttentionFusionNet": ("brain_fusion_emfusion", "attention_network"),
    "SDNet": ("brain_fusion_sdnet", "sdnet"),
    "HAFusionNet": ("brain_fusion_haf", "ha_fusion_network"),
}
LIGHT, BASE, RIVAL = "HAFusionNet", "EMFusionNet", "SDNet"
SIZES = (128, 256, 512, 1024)
SIZE, THREADS = 256, 2
GOAL_RATIO, GOAL_FPS = 6, 25
RATE = re.compile(r"FrameRate: fused (\d+) frames of .*?: ([\d.]+) frames/s in the network, ([\d.]+) frames/s from")

Row = dict[str, Any]


def make_network(name: str) -> nn.Module:
    """The network of a bundle with random weights from one seed."""
    torch.manual_seed(0)
    return load_network(*NETWORKS[name], name)


def make_image(size: int = SIZE, batch: int = 1) -> Tensor:
    """Random pairs (B, 2, size, size) in [0, 1)."""
    return torch.rand(batch, 2, size, size, generator=torch.Generator().manual_seed(0))


def call(network: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], Tensor]:
    """One inference, as MONAI's engines do it: without gradients."""

    def work() -> Tensor:
        with torch.no_grad():
            return network(image)

    return work


def parameters_used(network: nn.Module) -> int:
    """Parameters that take part in ``network(image)``: those that get a gradient."""
    network(make_image(32)).sum().backward()
    used = sum(p.numel() for p in network.parameters() if p.grad is not None)
    network.zero_grad()
    return used


def multiply_adds(network: nn.Module) -> int:
    """Multiply-adds of the convolutions for one pair."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(make_image())
    return counter.get_total_flops() // 2


def peak_mib(name: str, size: int) -> float:
    """Peak resident memory of three inferences in a fresh process, less what imports, weights and the pair take."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name, "--sizes", str(size)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(name: str, size: int) -> None:
    """Body of the process that :func:`peak_mib` starts."""
    network, image = make_network(name), make_image(size)
    call(network, make_image(16))()  # libraries load parts of themselves at the first call
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        call(network, image)()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20)


def compare(names: list[str], repeats: int, peaks: dict[str, float]) -> dict[str, Row]:
    """First table: all networks on one pair."""
    networks = {name: make_network(name) for name in names}
    works = {name: call(network, make_image()) for name, network in networks.items()}
    cpu = cpu_ms(works, repeats)
    torch.set_num_threads(THREADS)
    wall = wall_ms(works, repeats)
    torch.set_num_threads(1)
    rows = {}
    for name, network in networks.items():
        rows[name] = {
            "parameters": sum(p.numel() for p in network.parameters()),
            "used at inference": parameters_used(network),
            "million multiply-adds": multiply_adds(network) / 1e6,
            "CPU ms": cpu[name],
            f"{BASE} / this": cpu[BASE] / cpu[name],
            f"this / {RIVAL}": cpu[name] / cpu[RIVAL] if RIVAL in cpu else None,
            f"frames/s, {THREADS} threads": 1000 / wall[name],
            "peak MiB": peaks[name],
        }
    return rows


def onnx_call(network: nn.Module, threads: int, folder: str) -> Callable[[Tensor], Tensor]:
    """The network in ONNX Runtime; its threads sleep between calls so that they take no time of the others."""
    import onnxruntime

    path = f"{folder}/network.onnx"
    if not os.path.exists(path):
        exported = torch.onnx.export(network, (make_image(),), dynamo=True, verbose=False)
        exported.save(path)  # type: ignore[union-attr]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: torch.from_numpy(session.run(None, {name: image.numpy()})[0])


def make_options(network: nn.Module, threads: int, folder: str) -> tuple[dict[str, Callable[[], Tensor]], list[str]]:
    """Ways to run the network, and which of them do not run here and why."""
    image, four = make_image(), make_image(batch=4)
    last = make_network(LIGHT).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def bfloat16(image: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(image)

    ways: dict[str, Callable[[], Tensor]] = {
        "eager": call(network, image),
        "inference_mode": lambda: torch.inference_mode()(network)(image),
        "channels_last": call(last, image),
        "bfloat16 autocast": call(bfloat16, image),
        "eager, batch of 4": call(network, four),
        "channels_last, batch of 4": call(last, four),
    }
    missing = []
    for name, make in {
        "torch.compile": lambda: call(torch.compile(network), image),
        "torch.compile, channels_last": lambda: call(torch.compile(last), image),
        "ONNX Runtime": lambda: call(onnx_call(network, threads, folder), image),
    }.items():
        try:
            way = make()
            way()
            ways[name] = way
        except Exception as problem:  # no compiler, no onnxruntime
            missing.append(f"{name}: {type(problem).__name__}: {str(problem).strip().splitlines()[0]}")
    return ways, missing


def options_table(repeats: int) -> tuple[dict[str, Row], list[str]]:
    """Second table: ways to run the light network, as ratios to eager; a batch counts for each of its pairs."""
    network = make_network(LIGHT)
    times: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for threads, measure in ((1, cpu_ms), (THREADS, wall_ms)):
            torch.set_num_threads(threads)
            ways, missing = make_options(network, threads, folder)
            found = measure(ways, repeats)
            times.append({name: ms / (4 if name.endswith("of 4") else 1) for name, ms in found.items()})
    eager = ways["eager"]()
    error = {name: float((way()[:1].float() - eager).abs().max()) for name, way in ways.items()}
    torch.set_num_threads(1)
    cpu, wall = times
    rows: dict[str, Row] = {
        name: {
            "CPU ms": cpu[name],
            "of eager": cpu[name] / cpu["eager"],
            f"ms on the clock, {THREADS} threads": wall[name],
            f"of eager, {THREADS} threads": wall[name] / wall["eager"],
            "largest difference": error[name],
        }
        for name in ways
    }
    return rows, missing


def sizes_table(sizes: tuple[int, ...], repeats: int, peaks: dict[int, float]) -> dict[str, Row]:
    """Third table: the light network by image size."""
    network = make_network(LIGHT)
    cpu = cpu_ms({str(size): call(network, make_image(size)) for size in sizes}, repeats)
    rows = {}
    for size in sizes:
        per_megapixel = cpu[str(size)] / 1000 / (size**2 / 1e6)
        rows[f"{size} x {size}"] = {
            "CPU s": cpu[str(size)] / 1000,
            "CPU s per megapixel": per_megapixel,
            "peak MiB": peaks[size],
        }
    return rows


def live_table(names: list[str], frames: int) -> dict[str, Row]:
    """Fourth table: the bundles' live command on folders of phantom frames, gray (CT) and colour (SPECT)."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        for modality in ("CT", "SPECT"):
            data = Path(folder) / modality
            settings = PhantomSettings(0, 0, 1, slices=frames, size=SIZE, modalities=(modality,))
            make_cohort(data, settings, workers=1)
            for name in names:
                bundle = NETWORKS[name][0]
                found = run_live(bundle, data, f"{folder}/{bundle}_{modality}")
                rows[f"{name}, {modality}"] = found
    return rows


def run_live(bundle: str, data: Path, output: str) -> Row:
    """Frames per second that the live command prints."""
    configs = [f"bundles/{bundle}/configs/{name}.json" for name in ("inference", "live")]
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", str(configs)]
    command += ["--logging_file", f"bundles/{bundle}/configs/logging.conf"]
    command += ["--dataset_dir", str(data), "--output_dir", output, "--load_pretrain", "False"]
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if not (match := RATE.search(done.stdout)):
        raise RuntimeError(f"run_live: {bundle} printed no frames/s: {done.stdout[-500:]}{done.stderr[-500:]}")
    return {"frames": int(match[1]), "frames/s in the network": float(match[2]), "from file to file": float(match[3])}


def goals(report: dict[str, Any]) -> list[str]:
    """What was asked of the light network, and what came out."""
    row, sizes = report["networks"][LIGHT], report["sizes"]
    rate = row[f"frames/s, {THREADS} threads"]
    each = [size["CPU s per megapixel"] for size in sizes.values()]
    ratio, rival = row[f"{BASE} / this"], row[f"this / {RIVAL}"]
    lines = [
        f"CPU time of {BASE} / {LIGHT}: {ratio:.1f}, goal >= {GOAL_RATIO}: {_met(ratio >= GOAL_RATIO)}",
        f"frames/s in the network on {THREADS} threads: {rate:.0f}, goal >= {GOAL_FPS}: {_met(rate >= GOAL_FPS)}",
        f"CPU s per megapixel from {list(sizes)[0]} to {list(sizes)[-1]}: {min(each):.2f} to {max(each):.2f}",
    ]
    if rival is not None:
        lines.append(f"CPU time of {LIGHT} / {RIVAL}: {rival:.2f}, goal <= 1: {_met(rival <= 1)}")
    for name, live in report["live"].items():
        if name.startswith(LIGHT):
            rate = live["from file to file"]
            lines.append(
                f"live, {name}: {rate:.0f} frames/s from file to file, goal >= {GOAL_FPS}: {_met(rate >= GOAL_FPS)}"
            )
    return lines


def _met(good: bool) -> str:
    return "met" if good else "NOT met"


def machine() -> str:
    """Processor, cores and versions."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores, torch {torch.__version__}"


def markdown(title: str, rows: dict[str, Row]) -> list[str]:
    """Table with a line for each row."""
    columns = list(next(iter(rows.values())))
    lines = ["", f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return lines + [f"| {name} | " + " | ".join(_cell(row[c]) for c in columns) + " |" for name, row in rows.items()]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def main(options: argparse.Namespace) -> None:
    """Measure, print the tables, and write them where asked."""
    names = [name for name, (bundle, _) in NETWORKS.items() if (ROOT / "bundles" / bundle).exists()]
    # memory first: a process starts with the peak of the one that starts it
    peaks = {name: peak_mib(name, SIZE) for name in names}
    size_peaks = {size: peak_mib(LIGHT, size) for size in options.sizes}
    report: dict[str, Any] = {"machine": machine(), "networks": compare(names, options.repeats, peaks)}
    report["options"], missing = options_table(options.repeats)
    report["sizes"] = sizes_table(tuple(options.sizes), options.repeats, size_peaks)
    with_live = [name for name in names if name != "AttentionFusionNet"]  # it shares a bundle with EMFusionNet
    report["live"] = live_table(with_live, options.frames)
    report["goals"] = goals(report)
    text = ["# Speed of the fusion networks", "", _protocol(options, report["machine"])]
    text += markdown("network", report["networks"]) + markdown(LIGHT, report["options"])
    text += [f"\nNot run: {line}" for line in missing]
    text += markdown(f"{LIGHT} by size", report["sizes"]) + markdown("live", report["live"])
    text += ["", *(f"- {line}" for line in report["goals"])]
    print("\n".join(text))
    if options.write:
        Path(f"{options.write}.md").write_text("\n".join(text) + "\n")
        Path(f"{options.write}.json").write_text(json.dumps(report, indent=4) + "\n")


def _protocol(options: argparse.Namespace, where: str) -> str:
    return (
        f"`python benchmarks/fusion.py`: one pair of {SIZE} x {SIZE} pixels, float32, random weights, no gradients;"
        f" median of {options.repeats} in turns after one to warm up. CPU ms: CPU time on one thread. Frames/s and ms on"
        f" the clock: {THREADS} threads. Peak MiB: largest resident memory of three inferences in a fresh process less"
        " that before them. Live: the command of the bundle with `live.json` on folders of phantom frames (PNG, gray CT"
        f" or colour SPECT beside MRI). Machine: {where}."
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--frames", type=int, default=60, help="of each folder in the live table")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--write", help="name of the .md and .json file, without suffix")
    parser.add_argument("--peak", choices=NETWORKS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print_peak(given.peak, given.sizes[0])
    else:
        main(given)
