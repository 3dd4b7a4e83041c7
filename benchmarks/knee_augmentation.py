"""CPU time to augment a knee exam: each slice by itself beside slices as the channels of one image.

Run from the repository root: ``python benchmarks/knee_augmentation.py [--slices 30] [--repeats 7]``.
"""

import argparse
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from monai.transforms import Compose, RandAffined, RandFlipd
from scipy.ndimage import shift
from skimage.transform import rotate
from timing import cpu_ms

SIZE = 256


def slice_by_slice(image: np.ndarray, rng: np.random.Generator, shift_order: int) -> np.ndarray:
    """Rotate (linear), shift and flip each slice of (S, H, W) with one draw for the exam: two resamplings a slice."""
    angle, moved = rng.uniform(-25, 25), rng.uniform(-25, 25, 2)
    mirrored = rng.random() < 0.5
    slices = [shift(rotate(part, angle), moved, order=shift_order) for part in image]
    return np.stack([part[:, ::-1] if mirrored else part for part in slices])


def one_affine(dtype: torch.dtype) -> Compose:
    """The augmentation of the bundle, one linear resampling of all slices; MONAI's own precision is float64."""
    affine = RandAffined("image", prob=1, rotate_range=0.436, translate_range=(25, 25), padding_mode="zeros")
    affine.rand_affine.resampler.dtype = dtype
    return Compose([affine, RandFlipd("image", prob=0.5, spatial_axis=1)]).set_random_state(0)


def largest_difference(image: torch.Tensor) -> float:
    """Between both precisions for the same draws."""
    pairs = [one_affine(dtype)({"image": image})["image"] for dtype in (torch.float32, torch.float64)]
    return float((pairs[0] - pairs[1]).abs().max())


def main(slices: int, repeats: int) -> None:
    """Print CPU ms of each way, and how much faster it is than both ways slice by slice."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    image = np.random.default_rng(0).random((slices, SIZE, SIZE), dtype=np.float32)
    item, rng = {"image": torch.from_numpy(image)}, np.random.default_rng(0)
    works: dict[str, Callable[[], Any]] = {
        "slice by slice, scipy's cubic shift": partial(slice_by_slice, image, rng, 3),
        "slice by slice, linear shift": partial(slice_by_slice, image, rng, 1),
        "one RandAffined, float64": partial(one_affine(torch.float64), item),
        "one RandAffined, float32": partial(one_affine(torch.float32), item),
    }
    ms = cpu_ms(works, repeats)
    cubic, linear = list(ms.values())[:2]
    print(
        f"{slices} slices of {SIZE} x {SIZE}, one thread, interleaved, median of {repeats}, torch {torch.__version__}"
    )
    print("| way | CPU ms | faster than cubic | than linear |\n| --- | --- | --- | --- |")
    for name, value in ms.items():
        print(f"| {name} | {value:.1f} | {cubic / value:.1f} | {linear / value:.1f} |")
    print(f"float32 and float64 differ by at most {largest_difference(item['image']):.0e} on noise in [0, 1]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    main(**vars(parser.parse_args()))
