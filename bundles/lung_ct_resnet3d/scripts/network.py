"""Initial weights of the network; its definition is MONAI's ``ResNet`` in the configs."""

import logging
from pathlib import Path

import torch
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from torch import nn

__all__ = ["initialize"]


def initialize(network: nn.Module, zero_init_residual: bool = False, pretrained_path: str | None = None) -> nn.Module:
    """Prepare a MONAI ``ResNet`` for training, in place.

    Args:
        network: network with MONAI's initial weights (He, fan-out).
        zero_init_residual: start every residual branch at zero (weight of its last batch normalisation).
        pretrained_path: state dict to start from, bare or under ``state_dict`` with ``module.`` before the names
            (MedicalNet). The classifier ``fc`` is skipped where its shape differs.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: when ``pretrained_path`` does not exist.
        ValueError: when any other tensor is missing or has another shape.

    Reference:
        Goyal et al., Accurate, Large Minibatch SGD, arXiv:1706.02677, section 5.1 (zero initialisation).
    """
    if zero_init_residual:
        for module in network.modules():
            if isinstance(module, ResNetBlock | ResNetBottleneck):
                nn.init.zeros_((module.bn3 if isinstance(module, ResNetBottleneck) else module.bn2).weight)
    if pretrained_path:
        _load(network, Path(pretrained_path))
    return network


def _load(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"initialize: pretrained_path {path} does not exist; give a state dict (.pt, .pth).")
    content = torch.load(path, map_location="cpu", weights_only=True)
    weights = {name.removeprefix("module."): value for name, value in content.get("state_dict", content).items()}
    own = network.state_dict()
    skipped = [
        name for name in own if name.startswith("fc.") and own[name].shape != getattr(weights.get(name), "shape", 0)
    ]
    wrong = [
        name for name in own if name not in skipped and own[name].shape != getattr(weights.get(name), "shape", None)
    ]
    if wrong:
        raise ValueError(
            f"initialize: {path} does not fit the network at {wrong[0]} and {len(wrong) - 1} further tensors; choose the"
            " architecture (configs/resnet18.json, ...; widths, shortcut type) that the weights were trained with."
        )
    network.load_state_dict({name: weights[name] for name in own if name not in skipped}, strict=False)
    logging.getLogger("network").info(f"started from {path}, new: {skipped or 'nothing'}")
