"""The metrics give every printed digit of the VIFB benchmark's MATLAB figures."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from common.metrics import fusion_contrast as contrast
from common.metrics import fusion_fidelity as fidelity
from common.metrics.fusion_edges import edge_preservation
from common.metrics.fusion_information import entropy, histogram_cross_entropy, mutual_information
from common.metrics.fusion_perception import chen_blum, chen_varshney
from common.metrics.fusion_ssim import structural_similarity

FIGURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Avg_gradient": partial(contrast.average_gradient, variant="vifb"),
    "Cross_entropy": histogram_cross_entropy,
    "Edge_intensity": contrast.edge_intensity,
    "Entropy": entropy,
    "Mutinf": mutual_information,
    "Psnr": partial(fidelity.peak_signal_to_noise_ratio, variant="vifb"),
    "Qabf": edge_preservation,
    "Qcb": chen_blum,
    "Qcv": chen_varshney,
    "Rmse": partial(fidelity.root_mean_square_error, variant="vifb"),
    "Ssim": structural_similarity,
    "Variance": contrast.standard_deviation,
}


def gold_folder() -> Path:
    root = os.environ.get("BUNDLES_DATA", "")
    folder = Path(root, "fusion_metric_gold")
    if not root or not (folder / "gold.json").is_file():
        pytest.skip("BUNDLES_DATA names no folder with fusion_metric_gold/gold.json")
    return folder


def channels(path: Path) -> Tensor:
    """Colour image as a batch of its channels (3, 1, H, W)."""
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[:, None].float()


def side_by_side(image: Tensor) -> Tensor:
    """Channels (3, C, H, W) as one image (1, C, H, 3 W), over which VIFB's spatial frequency runs."""
    return torch.cat(list(image), dim=-1)[None]


def figures(folder: Path, method: str) -> dict[str, float]:
    fused = channels(folder / f"{method}.jpg")
    sources = torch.cat([channels(folder / "VI.jpg"), channels(folder / "IR.jpg")], dim=1)
    found = {name: float(metric(fused, sources).mean()) for name, metric in FIGURES.items()}  # mean over colours
    joined = contrast.spatial_frequency(side_by_side(fused), side_by_side(sources), variant="vifb")
    return found | {"Spatial_frequency": float(joined)}


@pytest.mark.parametrize("pair", ["carLight", "kettle", "manCar"])
def test_all_printed_digits_of_the_benchmark(pair: str) -> None:
    folder = gold_folder()
    for method, published in json.loads((folder / "gold.json").read_text())[pair].items():
        rounded = {name: float(f"{value:.5g}") for name, value in figures(folder / pair, method).items()}
        assert rounded == published, method
