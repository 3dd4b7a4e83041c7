"""How much of the contrast of planted findings a fused image keeps.

``python benchmarks/fusion_findings.py COHORT WEIGHTS [WEIGHTS ...] [--write FILE]``: COHORT is a folder of brain phantoms
(``dataset.json``, test section), WEIGHTS are state dicts of ``EMFusionNet``.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundles/brain_fusion_emfusion")]
from scripts.network import EMFusionNet  # noqa: E402

from common.metrics.fusion_baselines import FUSION_BASELINES  # noqa: E402
from common.transforms import fused_output  # noqa: E402

FINDINGS = {"in the MRI only": (3, 1), "in the CT only": (4, 0)}  # label of the truth, source that shows it
BRAIN, RING = 1, 6


def kept(fused: np.ndarray, source: np.ndarray, finding: np.ndarray, brain: np.ndarray) -> float:
    """Contrast of the finding to the brain around it, fused over source; 1 is all of it, below 0 is inverted."""
    ring = binary_dilation(finding, iterations=RING) & brain
    return float((fused[finding].mean() - fused[ring].mean()) / (source[finding].mean() - source[ring].mean()))


def methods(weights: list[Path]) -> dict[str, torch.nn.Module]:
    found = dict(FUSION_BASELINES)
    for path in weights:
        network = EMFusionNet().eval()
        network.load_state_dict(torch.load(path, weights_only=True))
        found[path.stem] = network
    return found


@torch.no_grad()
def measure(cohort: Path, weights: list[Path]) -> dict[str, dict[str, list[float]]]:
    cases = json.loads((cohort / "dataset.json").read_text())["test"]
    fusers = methods(weights)
    table: dict[str, dict[str, list[float]]] = {}
    for case in cases:
        picture = [np.asarray(Image.open(cohort / case[key])) for key in ("image", "mri", "truth")]
        truth, image = picture[2], torch.from_numpy(np.stack(picture[:2])[None].astype(np.float32) / 255)
        for method, fuse in fusers.items():
            fused = fused_output(fuse(image), image, "minmax")[0, 0].numpy()
            for name, (label, source) in FINDINGS.items():
                if (truth == label).sum() > 20:
                    row = table.setdefault(method, {}).setdefault(name, [])
                    row.append(kept(fused, image[0, source].numpy(), truth == label, truth == BRAIN))
    return table


def markdown(table: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| method | " + " | ".join(f"{name}: median [quartiles], n" for name in FINDINGS) + " |", "|---|---|---|"]
    for method, rows in table.items():
        cells = [np.quantile(rows[name], [0.5, 0.25, 0.75]) for name in FINDINGS]
        shown = [f"{m:.2f} [{a:.2f}, {b:.2f}], {len(rows[n])}" for (m, a, b), n in zip(cells, FINDINGS, strict=True)]
        lines.append(f"| {method} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = markdown(measure(arguments.cohort, arguments.weights))
    print(text)
    if arguments.write:
        arguments.write.write_text(
            "# Planted findings in fused phantoms\n\nContrast of a finding to the brain around it in the fused image,"
            " over that in the source that shows it; test section of the brain phantoms, output range minmax.\n\n"
            f"{text}\n"
        )
