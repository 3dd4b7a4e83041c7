"""CPU time of the backbones of `knee_mri_mrnet` on one plane, and what folding the first convolution to gray saves.

Run from the repository root: ``python benchmarks/knee_backbone.py [--slices 12] [--size 160] [--repeats 7]``.
"""

import argparse
import copy
import os
import sys
import warnings
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from timing import cpu_ms

sys.path.insert(0, str(Path(__file__).parents[1] / "bundles/knee_mri_mrnet"))

from scripts.backbones import BACKBONES, fold_first_convolution, make_backbone


@torch.no_grad()
def main(slices: int, size: int, repeats: int) -> None:
    """Print CPU ms with three channels and with one, and the largest difference of the features."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    gray = torch.rand(slices, 1, size, size)
    colour = gray.repeat(1, 3, 1, 1)
    print(
        f"{slices} slices of {size} x {size}, one thread, interleaved, median of {repeats}, torch {torch.__version__}"
    )
    print("| backbone | three channels, ms | gray, ms | ratio | gray, ms a slice | difference of features |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in BACKBONES:
        three = make_backbone(name, in_channels=3)
        one = fold_first_convolution(copy.deepcopy(three).calibrate(colour))
        three.calibrate(colour)
        difference = float((three(colour) - one(gray)).abs().max() / three(colour).abs().max())
        ms = cpu_ms({"three": partial(three, colour), "one": partial(one, gray)}, repeats)
        ratio, each = ms["three"] / ms["one"], ms["one"] / slices
        print(
            f"| {name} | {ms['three']:.0f} | {ms['one']:.0f} | {ratio:.2f} | {each:.1f} | {difference:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    for option, default in (("slices", 12), ("size", 160), ("repeats", 7)):
        arguments.add_argument(f"--{option}", type=int, default=default)
    main(**vars(arguments.parse_args()))
