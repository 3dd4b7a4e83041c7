"""What the fusion study compares: the networks, how each is trained, and all methods as functions of the sources."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose, EnsureTyped, LoadImaged
from torch import Tensor, nn

from common.data import gray_or_rgb, load_datalist
from common.metrics import FUSION_BASELINES
from common.transforms import JoinSourcesd, RGBToYCbCrd, ScaleToUnitd

ROOT = Path(__file__).resolve().parents[1]
Fuser = Callable[[Tensor], Tensor]  # (B, N, H, W) in [0, 1] -> (B, 1, H, W)


@dataclass(frozen=True)
class Network:
    """A network of the study.

    Args:
        title: its name in tables.
        bundle: folder in ``bundles``.
        module: file in ``scripts`` of the bundle, without suffix.
        name: class in it.
        configs: override files of the training; ``{modality}`` stands for ct, pet or spect.
        max_epochs: of the training by modality; where left out, the number of the configs.
    """

    title: str
    bundle: str
    module: str
    name: str
    configs: tuple[str, ...]
    max_epochs: Mapping[str, int] = field(default_factory=dict)

    def config_files(self, modality: str) -> list[str]:
        """Override files for one modality."""
        return [name.format(modality=modality.lower()) for name in self.configs]


NETWORKS = {
    "emfusion": Network(
        "EMFusion", "brain_fusion_emfusion", "network", "EMFusionNet", ("quality.json", "{modality}.json")
    ),
    "attention": Network(
        "attention",
        "brain_fusion_emfusion",
        "attention_network",
        "AttentionFusionNet",
        ("attention.json", "surface.json"),
        max_epochs={"CT": 20, "PET": 10, "SPECT": 8},  # about as many steps each
    ),
    "haf": Network("HAF", "brain_fusion_haf", "ha_fusion_network", "HAFusionNet", ("quality.json", "{modality}.json")),
    "sdnet": Network("SDNet", "brain_fusion_sdnet", "sdnet", "SDNet", ("{modality}.json",)),
}
TITLES = {name: network.title for name, network in NETWORKS.items()} | {
    "average": "average",
    "maximum": "maximum",
    "laplacian_pyramid": "Laplacian pyramid",
}


def make_network(bundle: str, module: str, name: str) -> nn.Module:
    """Network of a bundle with two sources, in eval mode.

    Every bundle calls its package ``scripts``; here it becomes ``<bundle>_scripts``, so that several live side by side.

    Raises:
        ImportError: the bundle has no such package.
    """
    package = f"{bundle}_scripts"
    if package not in sys.modules:
        file = ROOT / "bundles" / bundle / "scripts" / "__init__.py"
        spec = importlib.util.spec_from_file_location(package, file)
        if not file.is_file() or spec is None or spec.loader is None:
            raise ImportError(f"make_network: bundle is {bundle!r}, and {file} is missing; use a complete checkout.")
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    return getattr(importlib.import_module(f"{package}.{module}"), name)(in_channels=2).eval()


@cache
def load_network(name: str, weights: Path) -> nn.Module:
    """Network of :data:`NETWORKS` with trained weights."""
    network = NETWORKS[name]
    made = make_network(network.bundle, network.module, network.name)
    made.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return made


@cache
def fold_of(folder: Path) -> dict[str, Path]:
    """Folder of the finished fold that held a pair out, by the id of the pair.

    Args:
        folder: of the cross-validation of one network.

    Raises:
        FileNotFoundError: `folder` has no finished fold.
    """
    folds = sorted(path.parent for path in folder.glob("fold*/metrics.json"))
    if not folds:
        raise FileNotFoundError(f"fold_of: {folder} holds no finished fold; run --stage train first.")
    return {case["id"]: fold for fold in folds for case in load_datalist(fold, ["test"])["test"]}


def fusers(folder: Path, names: Sequence[str], case: str | None = None) -> dict[str, Fuser]:
    """Methods by name.

    Args:
        folder: of one modality, with a folder of folds for each network.
        names: of networks and baselines.
        case: id of the pair to fuse: networks are those that never saw its case. None is an image of no case: the
            networks of the first fold.

    Raises:
        ValueError: the fold that holds the pair out is not finished.
    """
    found: dict[str, Fuser] = {}
    for name in names:
        if name in FUSION_BASELINES:
            found[name] = FUSION_BASELINES[name]
        else:
            folds = fold_of(folder / name)
            if case is not None and case not in folds:
                raise ValueError(
                    f"fusers: case is {case!r}, which no finished fold of {folder / name} holds out; run --stage train."
                )
            fold = next(iter(folds.values())) if case is None else folds[case]
            found[name] = load_network(name, fold / "models" / "model.pt")
    return found


def load_pair(item: dict[str, Any]) -> dict[str, Any]:
    """Read a pair as the bundles do: ``image`` becomes (2, H, W) in [0, 1], a colour source also gives ``chroma``."""
    return _loading()(item)


@cache
def _loading() -> Compose:
    keys = ["image", "mri"]
    loader = LoadImaged(
        keys,
        reader="PILReader",
        converter=gray_or_rgb,
        reverse_indexing=False,
        dtype=None,
        ensure_channel_first=True,
        image_only=True,
    )
    final = EnsureTyped("image", dtype=torch.float32, track_meta=False)
    return Compose([loader, ScaleToUnitd(keys), RGBToYCbCrd("image"), JoinSourcesd(keys), final])
