"""Two questions that users of BrainGNN ask, measured: are regions all zero after pooling, do gradients explode?

Run from the repository root, after training or with the shipped weights of the phantoms:
``python benchmarks/braingnn_questions.py [--weights extra/phantoms] [--write docs/braingnn_questions.json]``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles/brain_fmri_braingnn"
sys.path.insert(0, str(BUNDLE))
from scripts.network import BrainGNN  # noqa: E402

SEEDS = range(10)


def load(weights: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Trained ensemble, images (S, 2, N, N) and labels (S,) of the test section."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / f"configs/{name}.json") for name in ("train", "evaluate")])
    parser.update({"weights": weights, "bundle_root": str(BUNDLE), "cases": "$@datalist['test']"})
    data = parser.get_parsed_content("validate#dataset")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(parser.get_parsed_content("ckpt_path"), weights_only=True))
    items = [data[k] for k in range(len(data))]
    images, labels = torch.stack([item["image"] for item in items]), torch.tensor([item["label"] for item in items])
    return network.eval(), images, labels


@torch.no_grad()
def zero_shares(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Share of the kept regions whose features are all 0, mean over subjects and members, by pooling layer."""
    shares: dict[str, list[float]] = {"first": [], "second": []}
    for member in network.members:  # type: ignore[union-attr]
        z, first, second = member.encode(images)
        widths = (member.conv1.out_channels, member.conv2.out_channels)
        placed = z[:, 2 * sum(widths) :].split([width * member.num_regions for width in widths], dim=1)
        kept = {"first": first.index, "second": first.index.gather(1, second.index)}
        for name, features, index in zip(kept, placed, kept.values(), strict=True):
            zero = (features.view(len(images), member.num_regions, -1) == 0).all(2)
            shares[name].append(float(zero.gather(1, index).float().mean()))
    return {name: float(np.mean(values)) for name, values in shares.items()}


@torch.no_grad()
def scale_effect(network: nn.Module, images: Tensor, factor: float = 1000.0) -> float:
    """Largest change of a probability when all edge weights are multiplied by one number."""
    scaled = images * torch.tensor([1.0, factor])[:, None, None]
    return float((network(scaled).exp() - network(images).exp()).abs().max())


def gradient_norms(images: Tensor, labels: Tensor, xavier: bool) -> dict[str, float]:
    """Norm of the gradient of the cross entropy in the first step, the paper's network, over ten seeds."""
    norms = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        network = BrainGNN(images.shape[-1], xavier=xavier)
        nn.functional.cross_entropy(network(images), labels).backward()
        norms.append(float(nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])))
    return {"median": float(np.median(norms)), "largest": float(np.max(norms))}


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--weights", default="extra/phantoms")
    options.add_argument("--write", default=str(ROOT / "docs/braingnn_questions.json"))
    chosen = options.parse_args()
    network, images, labels = load(chosen.weights)
    found: dict[str, Any] = {
        "share of kept regions that are all zero": zero_shares(network, images),
        "largest change of a probability, edge weights x 1000": scale_effect(network, images),
        "gradient norm of the first step, default initialisation": gradient_norms(images[:64], labels[:64], False),
        "gradient norm of the first step, xavier": gradient_norms(images[:64], labels[:64], True),
    }
    text = json.dumps(found, indent=4)
    Path(chosen.write).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
