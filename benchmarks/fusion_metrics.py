"""CPU time of every fusion metric on one pair of images.

Run from the repository root: ``python benchmarks/fusion_metrics.py [--size 256] [--rounds 5] [--write FILE.md]``.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common.metrics import FUSION_BASELINES, FUSION_METRICS, HIGHER_IS_BETTER  # noqa: E402


def make_pair(size: int) -> tuple[Tensor, Tensor]:
    """Noise inside a black border, which is a third of the image, as in brain slices; fused by Laplacian pyramids."""
    sources = torch.rand(1, 2, size, size, generator=torch.Generator().manual_seed(0))
    border = size // 11
    inside = torch.zeros(size, size)
    inside[border:-border, border:-border] = 1
    sources = sources * inside
    fused = FUSION_BASELINES["laplacian_pyramid"](sources) * inside
    return (fused * 255).round(), (sources * 255).round()


def milliseconds(size: int, rounds: int) -> dict[str, float]:
    """Median CPU time of each metric after one call beforehand."""
    fused, sources = make_pair(size)
    found = {}
    for name, metric in FUSION_METRICS.items():
        times = []
        for _ in range(rounds + 1):
            start = time.process_time()
            metric(fused, sources)
            times.append(time.process_time() - start)
        found[name] = 1000 * float(np.median(times[1:]))
    return found


def main(options: argparse.Namespace) -> None:
    """Print the table, and write it where asked."""
    times = milliseconds(options.size, options.rounds)
    lines = ["| metric | better | CPU ms |", "|---|---|---|"]
    lines += [f"| {name} | {'up' if HIGHER_IS_BETTER[name] else 'down'} | {ms:.1f} |" for name, ms in times.items()]
    lines.append(f"| all | | {sum(times.values()):.0f} |")
    text = f"one pair of {options.size} x {options.size}, one thread, median of {options.rounds}"
    report = ["# Speed of the fusion metrics", "", f"`python benchmarks/fusion_metrics.py`: {text}.", "", *lines]
    print("\n".join(report))
    if options.write:
        Path(options.write).write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", help="markdown file")
    main(parser.parse_args())
